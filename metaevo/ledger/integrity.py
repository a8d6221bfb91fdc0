"""Questions of a check of the home: what must hold between rows. A long journal is read in pieces."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

from sqlalchemy import Column, Text, and_, cast, func, select

from metaevo.ledger.anchors import of_line
from metaevo.ledger.confirmations import SAMPLE
from metaevo.ledger.holds import HoldRecord
from metaevo.ledger.json_text import UnreadableJson, read_json
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import (
    ALIAS,
    BEST_ANCHOR,
    CONFIG,
    CONFIRMATION,
    CONFIRMED_CELL,
    CYCLE,
    GENERATION,
    HOLD,
    MOVE,
    STEP,
)
from metaevo.ledger.unreadable import unreadable_rows
from objectives.types import JsonValue

DECIDED = ("promote", "hold", "reject")
AT_ONCE = 64
"""Cycles whose journal, or generations whose verdict, is in memory at once."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One move of an alias."""

    seq: int
    alias: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class PublishedParts:
    """A generation that was published: the digests of its manifest and its parts."""

    id: str
    manifest: str
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeptVerdict:
    """A verdict as the ledger keeps it, and whose it is; ``wrong`` says why where it is not JSON."""

    where: str
    data: Any
    wrong: str


@dataclass(frozen=True, slots=True)
class StepBody:
    """A journal row's body. ``sound`` is False where it stands in the row and is not what the digest names."""

    where: str
    digest: str
    inside: bool
    sound: bool


@dataclass(frozen=True, slots=True)
class ErrorSpent:
    """One confirmation of the error ledger. In a damaged row nothing need be of its kind."""

    budget: int
    k: int
    candidate: str
    parent: str
    cells: JsonValue
    weights: JsonValue
    level: JsonValue
    promotions: JsonValue
    outcome: str
    place: JsonValue
    """None where it is open, or was opened before schema 4, which kept the levels of an older rule."""


def champions(ledger: Ledger) -> tuple[str, ...]:
    """Return every generation that has the status champion."""
    query = select(GENERATION.c.id).where(GENERATION.c.status == "champion").order_by(GENERATION.c.number)
    with ledger.look() as connection:
        return tuple(connection.execute(query).scalars())


def aliases(ledger: Ledger) -> dict[str, str]:
    """Return where every alias points."""
    with ledger.look() as connection:
        return dict(connection.execute(select(ALIAS.c.name, ALIAS.c.generation)).tuples().all())


def lost_aliases(ledger: Ledger) -> dict[str, str]:
    """Return the aliases that point to what is no generation."""
    there = GENERATION.c.id == ALIAS.c.generation
    query = select(ALIAS.c.name, ALIAS.c.generation).outerjoin_from(ALIAS, GENERATION, there)
    with ledger.look() as connection:
        rows = connection.execute(query.where(GENERATION.c.id.is_(None)).order_by(ALIAS.c.name))
        return dict(rows.tuples().all())


def moves(ledger: Ledger) -> tuple[Moved, ...]:
    """Return every move of an alias, oldest first."""
    query = select(*(MOVE.c[name] for name in Moved.__dataclass_fields__)).order_by(MOVE.c.seq)
    with ledger.look() as connection:
        return tuple(Moved(*row) for row in connection.execute(query))


def parents(ledger: Ledger) -> dict[str, str | None]:
    """Return every generation's parent."""
    query = select(GENERATION.c.id, GENERATION.c.parent).order_by(GENERATION.c.number)
    with ledger.look() as connection:
        return dict(connection.execute(query).tuples().all())


def has_examined(ledger: Ledger) -> bool:
    """Return whether there is a generation that is more than an intermediate: the base is one as soon as it is set."""
    with ledger.look() as connection:
        query = select(GENERATION.c.id).where(GENERATION.c.status != "intermediate").limit(1)
        return connection.execute(query).first() is not None


def published_parts(ledger: Ledger) -> tuple[PublishedParts, ...]:
    """Return what every published generation is made of, oldest first."""
    columns = (GENERATION.c.id, GENERATION.c.manifest, GENERATION.c.parts)
    query = select(*columns).where(GENERATION.c.manifest.is_not(None)).order_by(GENERATION.c.number)
    with ledger.look() as connection:
        return tuple(PublishedParts(id_, manifest, parts or {}) for id_, manifest, parts in connection.execute(query))


def verdicts(ledger: Ledger) -> Iterator[KeptVerdict]:
    """Yield the verdict of every generation and then of every cycle, a few at a time, oldest first."""
    yield from _verdicts(ledger, GENERATION.c.number, GENERATION.c.verdict, GENERATION.c.id)
    yield from _verdicts(ledger, CYCLE.c.number, CYCLE.c.verdict, None)


def _verdicts(
    ledger: Ledger, number: Column[Any], verdict: Column[Any], id_: Column[Any] | None
) -> Iterator[KeptVerdict]:
    text = cast(verdict, Text)
    query = select(number, number if id_ is None else id_, text).order_by(number).limit(AT_ONCE)
    last = -1
    while True:
        with ledger.look() as connection:
            rows = connection.execute(query.where(text.is_not(None), number > last)).all()
        for _, whose, said in rows:
            yield _kept_verdict(f"cycle {whose}" if id_ is None else whose, said)
        if len(rows) < AT_ONCE:
            return
        last = rows[-1][0]


def _kept_verdict(where: str, said: str) -> KeptVerdict:
    try:
        return KeptVerdict(where, read_json(said), "")
    except UnreadableJson as error:
        return KeptVerdict(where, None, str(error))


def unreadable(ledger: Ledger, most: int) -> tuple[str, ...]:
    """Return the first rows with JSON that cannot be read; verdicts have a question of their own."""
    with ledger.look() as connection:
        return tuple(islice(unreadable_rows(connection, ("verdict",)), most))


def objectives(ledger: Ledger) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every objective, and whose it is."""
    for table, key in ((CYCLE, CYCLE.c.number), (GENERATION, GENERATION.c.id)):
        with ledger.look() as connection:
            rows = connection.execute(select(key, table.c.objective).order_by(key)).all()
        yield from ((f"{table.name} {whose}", data) for whose, data in rows if data is not None)


def holds(ledger: Ledger) -> tuple[HoldRecord, ...]:
    """Return every hold, open or not."""
    query = select(*(HOLD.c[field.name] for field in fields(HoldRecord))).order_by(HOLD.c.cycle)
    with ledger.look() as connection:
        return tuple(HoldRecord(*row) for row in connection.execute(query))


def configurations(ledger: Ledger) -> tuple[str, ...]:
    """Return the text of every configuration the home ran under."""
    with ledger.look() as connection:
        return tuple(connection.execute(select(CONFIG.c.text)).scalars())


def open_cycles(ledger: Ledger) -> tuple[int, ...]:
    """Return the cycles that are open."""
    query = select(CYCLE.c.number).where(CYCLE.c.outcome == "open").order_by(CYCLE.c.number)
    with ledger.look() as connection:
        return tuple(connection.execute(query).scalars())


def unfinished_steps(ledger: Ledger) -> tuple[str, ...]:
    """Return the steps that are open in cycles that were decided; a trial's may be: it failed there."""
    here = and_(CYCLE.c.number == STEP.c.cycle, CYCLE.c.outcome.in_(DECIDED))
    query = select(*_PLACE).join(CYCLE, here).where(STEP.c.digest.is_(None), STEP.c.trial == 0)
    with ledger.look() as connection:
        return tuple(_where(tuple(row)) for row in connection.execute(query.order_by(*_PLACE)))


def step_bodies(ledger: Ledger) -> Iterator[StepBody]:
    """Yield every finished step's body, a few cycles at a time."""
    with ledger.look() as connection:
        first, last = connection.execute(select(func.min(STEP.c.cycle), func.max(STEP.c.cycle))).one()
    while first is not None and first <= last:
        query = select(*_PLACE, STEP.c.digest, STEP.c.body).where(STEP.c.digest.is_not(None))
        query = query.where(STEP.c.cycle >= first, STEP.c.cycle < first + AT_ONCE).order_by(*_PLACE)
        with ledger.look() as connection:
            rows = connection.execute(query).all()
            beyond = select(func.min(STEP.c.cycle)).where(STEP.c.cycle >= first + AT_ONCE)
            first = connection.execute(beyond).scalar()
        for *place, digest, body in rows:
            fine = body is None or hashlib.sha256(body).hexdigest() == digest
            yield StepBody(_where(tuple(place)), digest, body is not None, fine)


def every_confirmation(ledger: Ledger) -> tuple[ErrorSpent, ...]:
    """Return every confirmation, by budget and number; a level that is no number is what stands there."""
    columns = [CONFIRMATION.c[field.name] for field in fields(ErrorSpent)]
    query = select(*columns).order_by(CONFIRMATION.c.budget, CONFIRMATION.c.k)
    with ledger.look() as connection:
        return tuple(ErrorSpent(*row) for row in connection.execute(query))


def wrong_confirmed_cells(ledger: Ledger) -> tuple[str, ...]:
    """Return the confirmations whose cells, kept one a row, are not those that the confirmation itself names."""
    named = select(CONFIRMATION.c.budget, CONFIRMATION.c.k, CONFIRMATION.c.cycle, CONFIRMATION.c.cells)
    each = select(*(CONFIRMED_CELL.c[name] for name in ("budget", "k", "cycle", "cell")))
    with ledger.look() as connection:
        said = {(*place, cell) for *place, cells in connection.execute(named) for cell in cells}
        kept = {tuple(row) for row in connection.execute(each.where(CONFIRMED_CELL.c.cell.not_like(f"{SAMPLE}%")))}
    return tuple(f"{k} of budget {budget}" for budget, k in sorted({(budget, k) for budget, k, _, _ in said ^ kept}))


def wrong_anchors(ledger: Ledger) -> tuple[str, ...]:
    """Return the cells whose kept best anchor score is not what the champion's line says."""
    with ledger.look() as connection:
        champion = connection.execute(select(ALIAS.c.generation).where(ALIAS.c.name == "champion")).scalar()
        line = set(connection.execute(of_line(champion)).all()) if champion is not None else set()
        kept = set(connection.execute(select(BEST_ANCHOR)).all())
    places = sorted({(epoch, environment, level) for epoch, environment, level, _, _ in line ^ kept})
    return tuple(f"{environment}/{level} in epoch {epoch}" for epoch, environment, level in places)


_PLACE = tuple(STEP.c[name] for name in ("cycle", "trial", "stage", "round", "step", "position"))


def _where(place: tuple[object, ...]) -> str:
    return "/".join(map(str, place))
