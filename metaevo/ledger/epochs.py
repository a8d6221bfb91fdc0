"""Evaluator epochs: scores are comparable as long as tasks, graders, decoding and libraries are the same."""

from dataclasses import dataclass

from sqlalchemy import insert, select

from metaevo.ledger import holds
from metaevo.ledger.cycles import close_open
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import EPOCH
from metaevo.types import CycleEnd


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch. ``evaluator`` is the hash of what it was opened for."""

    number: int
    evaluator: str
    why: str


def newest_epoch(ledger: Ledger) -> Epoch | None:
    """Return the newest epoch."""
    with ledger.look() as connection:
        row = connection.execute(_NEWEST).first()
    return Epoch(*row) if row is not None else None


def next_epoch(ledger: Ledger, evaluator: str) -> int:
    """Return the epoch in which a cycle with this evaluator would run, without opening it."""
    last = newest_epoch(ledger)
    if last is None:
        return 1
    return last.number if last.evaluator == evaluator else last.number + 1


def ensure_epoch(ledger: Ledger, evaluator: str) -> int:
    """Return the epoch of this evaluator; where it is another than before, open one.

    Then every hold expires and an open cycle is void: both rest on scores of the epoch that ended.
    """
    with ledger.transaction() as connection:
        last = connection.execute(_NEWEST).first()
        if last is not None and last.evaluator == evaluator:
            return int(last.number)
        number = last.number + 1 if last is not None else 1
        why = "first" if last is None else "tasks, graders, decoding or libraries changed"
        now = ledger.now()
        connection.execute(insert(EPOCH).values(number=number, evaluator=evaluator, why=why, opened_at=now))
        holds.expire_all(connection)
        close_open(connection, "void", CycleEnd.EVALUATOR_CHANGED, "evaluator changed", now)
    if number > 1:
        ledger.event("epoch_opened", f"evaluator epoch {number} was opened: {why}; scores start anew")
    return int(number)


_NEWEST = select(EPOCH.c.number, EPOCH.c.evaluator, EPOCH.c.why).order_by(EPOCH.c.number.desc()).limit(1)
