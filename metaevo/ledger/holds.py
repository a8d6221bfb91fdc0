"""Held candidates: examined again with new items while there is reason to, expired otherwise."""

from collections.abc import Callable, Set
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from sqlalchemy import Connection, select, update

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import GENERATION, HOLD, JsonMap
from metaevo.ledger.upsert import upsert


@dataclass(frozen=True, slots=True)
class HoldRecord:
    """A held candidate as the ledger has it."""

    candidate: str
    parent: str
    epoch: int
    k: int
    cycle: int
    tries: int
    exam: JsonMap


@dataclass(frozen=True, slots=True)
class NewHold:
    """What is kept of a candidate whose examination is not at its end: wealth, level, place in the item order."""

    candidate: str
    parent: str
    epoch: int
    k: int
    exam: JsonMap


Standing: TypeAlias = Literal["due", "waits", "over"]


def due_hold(ledger: Ledger, standing: Callable[[HoldRecord], Standing]) -> HoldRecord | None:
    """Return the newest open hold that is due; one that waits for a person stays, all others expire here."""
    with ledger.transaction() as connection:
        chosen = None
        for hold in _open(connection):
            stands = standing(hold)
            if chosen is None and stands == "due":
                chosen = hold
            elif stands != "waits":
                expire(connection, hold.candidate)
        return chosen


def open_holds(ledger: Ledger) -> list[HoldRecord]:
    """Return the open holds, newest first."""
    with ledger.look() as connection:
        return _open(connection)


def tried(connection: Connection, candidate: str) -> None:
    """Count one more try of a held candidate; all else stays as it was."""
    connection.execute(update(HOLD).where(HOLD.c.candidate == candidate).values(tries=HOLD.c.tries + 1))


def keep(connection: Connection, made: NewHold, cycle: int) -> None:
    """Hold a candidate, or hold it again: it keeps the cycle that held it first, and one try more."""
    old = connection.execute(select(HOLD.c.cycle, HOLD.c.tries).where(HOLD.c.candidate == made.candidate)).first()
    row = {field.name: getattr(made, field.name) for field in fields(made)}
    row |= {"cycle": old.cycle if old else cycle, "tries": old.tries + 1 if old else 0, "open": True}
    upsert(connection, HOLD, [row])


def close(connection: Connection, candidate: str) -> None:
    """Close a hold; what its candidate is was just decided."""
    connection.execute(update(HOLD).where(HOLD.c.candidate == candidate).values(open=False))


def expire(connection: Connection, candidate: str) -> None:
    """Close a hold; its candidate is rejected."""
    close(connection, candidate)
    held = (GENERATION.c.id == candidate, GENERATION.c.status == "held")
    connection.execute(update(GENERATION).where(*held).values(status="rejected"))


def expire_all(connection: Connection) -> None:
    """Close every open hold; the candidates are rejected."""
    for hold in _open(connection):
        expire(connection, hold.candidate)


def close_all(connection: Connection, family: Set[str] | None = None) -> None:
    """Close the holds of a family, or all; statuses stay as they are."""
    for hold in _open(connection):
        if family is None or hold.candidate in family:
            close(connection, hold.candidate)


def _open(connection: Connection) -> list[HoldRecord]:
    """Return the open holds, newest first."""
    columns = [HOLD.c[field.name] for field in fields(HoldRecord)]
    query = select(*columns).where(HOLD.c.open.is_(True)).order_by(HOLD.c.cycle.desc())
    return [HoldRecord(*row) for row in connection.execute(query)]
