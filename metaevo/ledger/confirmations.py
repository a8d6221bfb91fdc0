"""The error ledger: the k-th confirmation of a budget, written before its first item is looked at, never refunded.

k runs on over the epochs of a home; only a person opens another budget. The level of a confirmation stands on how many
promotions the gate made by then and nobody undid (e-LOND, Xu and Ramdas 2024, arXiv:2311.06412).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection, Select, and_, func, insert, or_, select, update

from metaevo.errors import Refused
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import alias_of
from metaevo.ledger.tables import BUDGET, CONFIRMATION, CONFIRMED_CELL
from objectives.statistics import level, reread_share

Ended = Literal["open", "proven", "unproven", "void"]
Marks = Mapping[str, Sequence[str]]
"""What each finite cell's sample is known by, by the cell's name: a sample is the same one under another name."""
NO_MARKS: Marks = MappingProxyType({})
SAMPLE = "sample:"
"""How a served row begins that names a mark of a sample; all others name a cell."""


class SampleUsedUp(Refused):
    """A finite cell's fixed sample has served as many confirmations as it may."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a confirmation is about. Whatever of it changes takes a new k."""

    candidate: str
    parent: str
    epoch: int
    cells: tuple[str, ...]
    weights: tuple[float, ...]
    """The share of items of each cell; they sum to 1."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The place of a confirmation in its budget, and the level of error it has."""

    k: int
    level: float
    budget: int = 1
    promotions: int = 0


def open_confirmation(
    ledger: Ledger,
    asked: Asked,
    *,
    cycle: int,
    alpha: float,
    finite: Mapping[str, int],
    reuse: int,
    marks: Marks = NO_MARKS,
) -> Confirmation:
    """Return the confirmation of what is asked, opened where it has none; a held one goes on with the one it has.

    ``finite`` holds how many texts each finite cell has: such a sample is read again by every confirmation on it, and
    serves ``reuse`` of them; ``marks`` say what each is known by under any name. One that was void is never begun again
    under its k.

    Raises:
        SampleUsedUp: A finite cell has no confirmation left.
    """
    with ledger.transaction() as connection:
        known = _known(connection, asked)
        if known is not None:
            return known
        earlier = _readers(connection, finite, marks)
        for cell, texts in finite.items():
            if sum(cell == read for _, _, read in earlier) >= reuse:
                raise SampleUsedUp(
                    f"{cell}: its exam sample served {reuse} confirmations; {texts} new rows of it renew the sample"
                )
        budget = current_budget(connection)
        last = select(func.max(CONFIRMATION.c.k)).where(CONFIRMATION.c.budget == budget)
        k, promotions = (connection.execute(last).scalar() or 0) + 1, _promotions(connection, budget)
        reads = {(k_, outcome) for k_, outcome, _ in earlier}
        proven = sum(outcome == "proven" for _, outcome in reads)
        error = level(alpha, k, promotions) * reread_share(len(reads) + 1, proven)
        row: dict[str, Any] = {"budget": budget, "k": k, "epoch": asked.epoch, "cycle": cycle, "level": error}
        row |= {"candidate": asked.candidate, "parent": asked.parent, "promotions": promotions, "outcome": "open"}
        row |= {"cells": list(asked.cells), "weights": list(asked.weights), "at": ledger.now()}
        connection.execute(insert(CONFIRMATION).values(row))
        served = {cell: finite.get(cell) for cell in asked.cells}
        served |= {mark: finite[cell] for cell in asked.cells if cell in finite for mark in _marked(marks, cell)}
        each = [
            {"cell": cell, "budget": budget, "k": k, "cycle": cycle, "texts": texts} for cell, texts in served.items()
        ]
        connection.execute(insert(CONFIRMED_CELL), each)
        return Confirmation(k, error, budget, promotions)


def end_confirmation(ledger: Ledger, row: Confirmation, outcome: Ended, place: int, log_e: float) -> None:
    """Write where a confirmation stands after its last whole block; ``open`` is one that may go on."""
    mine = (CONFIRMATION.c.budget == row.budget, CONFIRMATION.c.k == row.k)
    stand = {"outcome": outcome, "place": place, "log_e": log_e if math.isfinite(log_e) else None}
    with ledger.transaction() as connection:
        connection.execute(update(CONFIRMATION).where(*mine).values(stand))


def current_budget(connection: Connection) -> int:
    """Return the number of the budget that is spent from."""
    return connection.execute(select(func.max(BUDGET.c.number))).scalar() or 1


def budget_count(ledger: Ledger) -> int:
    """Return how many budgets the home has had: the number that stands beside every rate."""
    with ledger.look() as connection:
        return current_budget(connection)


def open_budget(ledger: Ledger, who: str, why: str) -> int:
    """Open a new budget: a person's word that what was promoted before is not this claim's any more."""
    with ledger.transaction() as connection:
        number = current_budget(connection) + 1
        connection.execute(insert(BUDGET).values(number=number, who=who, why=why, at=ledger.now()))
    ledger.event("budget_opened", f"{who} opened error budget {number}: {why}", budget=number)
    return number


def next_level(ledger: Ledger, alpha: float, before: int) -> tuple[int, float]:
    """Return number and level of the confirmation that a cycle would open on endless cells.

    What a cycle knows of those before it does not change while it runs.
    """
    with ledger.look() as connection:
        budget = current_budget(connection)
        mine = (CONFIRMATION.c.budget == budget, CONFIRMATION.c.cycle < before)
        k = (connection.execute(select(func.max(CONFIRMATION.c.k)).where(*mine)).scalar() or 0) + 1
        return k, level(alpha, k, _promotions(connection, budget))


def confirmation_count(ledger: Ledger, before: int) -> int:
    """Return how many confirmations of the budget earlier cycles opened."""
    with ledger.look() as connection:
        mine = (CONFIRMATION.c.budget == current_budget(connection), CONFIRMATION.c.cycle < before)
        return connection.execute(select(func.max(CONFIRMATION.c.k)).where(*mine)).scalar() or 0


def confirmations_per_cell(
    ledger: Ledger, before: int, texts: Mapping[str, int], marks: Marks = NO_MARKS
) -> dict[str, tuple[int, int]]:
    """Return how many confirmations of earlier cycles read each finite cell's sample, and how many of them proved."""
    found = dict.fromkeys(texts, (0, 0))
    with ledger.look() as connection:
        for _, outcome, cell in _readers(connection, texts, marks, before):
            reads, proven = found[cell]
            found[cell] = (reads + 1, proven + (outcome == "proven"))
    return found


def _known(connection: Connection, asked: Asked) -> Confirmation | None:
    """Return the newest confirmation of exactly this question that may go on."""
    columns = ("k", "level", "budget", "promotions", "epoch", "cells", "weights", "outcome")
    query: Select[Any] = select(*(CONFIRMATION.c[name] for name in columns)).where(
        CONFIRMATION.c.candidate == asked.candidate,
        CONFIRMATION.c.parent == asked.parent,
        CONFIRMATION.c.epoch == asked.epoch,
        CONFIRMATION.c.budget == current_budget(connection),
    )
    for row in connection.execute(query.order_by(CONFIRMATION.c.k.desc())):
        same = (tuple(row.cells), tuple(row.weights)) == (asked.cells, asked.weights)
        if same and row.outcome != "void":
            return Confirmation(row.k, row.level, row.budget, row.promotions)
    return None


def _marked(marks: Marks, cell: str) -> list[str]:
    """Return the names that a cell's sample has in the served rows beside the cell's own."""
    return [f"{SAMPLE}{mark}" for mark in marks.get(cell, ())]


def _readers(
    connection: Connection, finite: Mapping[str, int], marks: Marks, before: int | None = None
) -> list[tuple[tuple[int, int], str, str]]:
    """Return (confirmation, outcome, cell) of all that read these samples, under these names or others.

    A sample that doubled is another one.
    """
    if not finite:
        return []
    here = and_(CONFIRMATION.c.budget == CONFIRMED_CELL.c.budget, CONFIRMATION.c.k == CONFIRMED_CELL.c.k)
    served = CONFIRMED_CELL.c
    columns = (served.budget, served.k, CONFIRMATION.c.outcome, served.cell, served.texts)
    names = {cell: {cell, *_marked(marks, cell)} for cell in finite}
    of = or_(
        *(
            and_(served.cell.in_(sorted(names[cell])), or_(served.texts.is_(None), served.texts * 2 > n))
            for cell, n in finite.items()
        )
    )
    query = select(*columns).join(CONFIRMATION, here).where(of)
    if before is not None:
        query = query.where(served.cycle < before)
    found: dict[tuple[tuple[int, int], str, str], None] = {}
    for budget, k, outcome, name, texts in connection.execute(query):
        same = (cell for cell, n in finite.items() if name in names[cell] and (texts is None or texts * 2 > n))
        found.update({((budget, k), outcome, cell): None for cell in same})
    return list(found)


def _promotions(connection: Connection, budget: int) -> int:
    """Return the gate's own promotions in a budget that nobody undid: those on the champion's line.

    The champion's own confirmation was opened on its parent's line and kept their number there: nothing is walked.
    """
    mine = (CONFIRMATION.c.candidate == alias_of(connection, "champion"), CONFIRMATION.c.budget == budget)
    proven = select(CONFIRMATION.c.promotions).where(*mine, CONFIRMATION.c.outcome == "proven")
    before = connection.execute(proven.order_by(CONFIRMATION.c.k.desc()).limit(1)).scalar()
    return 0 if before is None else int(before) + 1
