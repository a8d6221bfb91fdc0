"""The error ledger: the k-th confirmation of an epoch, written before its first item is looked at, never refunded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import CONFIRMATION, CONFIRMED_CELL


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The place of a confirmation in its epoch, and the level of error it has."""

    k: int
    level: float


def open_confirmation(
    ledger: Ledger, *, epoch: int, candidate: str, cycle: int, cells: Sequence[str], level: Callable[[int], float]
) -> Confirmation:
    """Return the confirmation of this candidate, opened where it has none; a held one goes on with the one it has.

    ``level`` is the error of the epoch's k-th confirmation.
    """
    with ledger.transaction() as connection:
        mine = (CONFIRMATION.c.epoch == epoch, CONFIRMATION.c.candidate == candidate)
        known = connection.execute(select(CONFIRMATION.c.k, CONFIRMATION.c.level).where(*mine)).first()
        if known is not None:
            return Confirmation(*known)
        last = select(func.max(CONFIRMATION.c.k)).where(CONFIRMATION.c.epoch == epoch)
        k = (connection.execute(last).scalar() or 0) + 1
        row = {"epoch": epoch, "k": k, "cycle": cycle, "candidate": candidate, "level": level(k)}
        connection.execute(insert(CONFIRMATION).values(row | {"cells": list(cells), "at": ledger.now()}))
        each = [{"epoch": epoch, "cell": cell, "k": k, "cycle": cycle} for cell in dict.fromkeys(cells)]
        if each:
            connection.execute(insert(CONFIRMED_CELL), each)
        return Confirmation(k, level(k))


def confirmation_count(ledger: Ledger, epoch: int, before: int) -> int:
    """Return how many confirmations of the epoch earlier cycles opened.

    What a cycle knows of them does not change while it runs.
    """
    query = select(CONFIRMATION.c.k).where(CONFIRMATION.c.epoch == epoch, CONFIRMATION.c.cycle < before)
    with ledger.look() as connection:
        return connection.execute(query.order_by(CONFIRMATION.c.k.desc()).limit(1)).scalar() or 0


def confirmations_per_cell(ledger: Ledger, epoch: int, before: int, cells: Sequence[str]) -> dict[str, int]:
    """Return how many confirmations of earlier cycles in the epoch each of these cells was part of."""
    mine = (CONFIRMED_CELL.c.epoch == epoch, CONFIRMED_CELL.c.cell.in_(cells), CONFIRMED_CELL.c.cycle < before)
    query = select(CONFIRMED_CELL.c.cell, func.count()).where(*mine).group_by(CONFIRMED_CELL.c.cell)
    with ledger.look() as connection:
        rows = connection.execute(query).all()
    return dict.fromkeys(cells, 0) | {row[0]: row[1] for row in rows}
