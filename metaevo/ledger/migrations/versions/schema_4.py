"""Schema 4: one count of confirmations for the home's whole life, what each was about, and the budgets they spend from.

The confirmations there are keep their levels and get one count over all epochs. What they were about is read from their
cycles: whose parent, and whether the gain was proven.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Connection, column

revision, down_revision = "4", "3"

TIME = sa.DateTime(timezone=True)
OUTCOMES = "outcome in ('open', 'proven', 'unproven', 'void')"
CYCLE = sa.table(
    "cycle",
    *(Column(name, sa.Integer) for name in ("number",)),
    *(Column(name, sa.String) for name in ("outcome", "parent", "candidate")),
    Column("verdict", sa.JSON),
)
OLD = sa.table(
    "confirmation",
    *(Column(name, sa.Integer) for name in ("epoch", "k", "cycle")),
    Column("candidate", sa.String),
    Column("level", sa.Float),
    Column("cells", sa.JSON),
    Column("at", TIME),
)
GENERATION = sa.table(
    "generation", Column("number", sa.Integer), *(Column(name, sa.String) for name in ("id", "parent"))
)
HOLD = sa.table(
    "hold",
    *(Column(name, sa.Integer) for name in ("epoch", "k")),
    Column("candidate", sa.String),
    Column("exam", sa.JSON),
)


def upgrade() -> None:
    """Read what there is, make the tables anew, and write it with its new numbers."""
    connection = op.get_bind()
    confirmations = list(_renumbered(connection))
    op.drop_table("confirmed_cell")
    op.drop_table("confirmation")
    _new_tables()
    for row in confirmations:
        connection.execute(sa.insert(_CONFIRMATION).values(row.values))
        if row.cells:
            connection.execute(sa.insert(_CONFIRMED_CELL), row.cells)
        _renumber_hold(connection, row.values)


def _renumber_hold(connection: Connection, row: Mapping[str, Any]) -> None:
    """Give the hold of a confirmation its new number, beside the evidence that goes on under it, too."""
    mine = (HOLD.c.candidate == row["candidate"], HOLD.c.epoch == row["epoch"])
    for held in connection.execute(sa.select(HOLD.c.exam).where(*mine)).all():
        gain = held.exam.get("gain")
        exam = held.exam | ({"gain": gain | {"k": row["k"]}} if gain else {})
        connection.execute(sa.update(HOLD).where(*mine).values(k=row["k"], exam=exam))


def _new_tables() -> None:
    op.create_table(
        "budget",
        Column("number", sa.Integer(), nullable=False),
        Column("who", sa.String(), nullable=False),
        Column("why", sa.String(), nullable=False),
        Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "confirmation",
        *(Column(name, sa.Integer(), nullable=False) for name in ("budget", "k", "epoch", "cycle")),
        *(Column(name, sa.String(), nullable=False) for name in ("candidate", "parent")),
        *(Column(name, sa.JSON(), nullable=False) for name in ("cells", "weights")),
        Column("level", sa.Float(), nullable=False),
        Column("promotions", sa.Integer(), nullable=False),
        Column("outcome", sa.String(), nullable=False),
        Column("place", sa.Integer()),
        Column("log_e", sa.Float()),
        Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("budget", "k"),
        sa.CheckConstraint(OUTCOMES),
    )
    op.create_index("confirmation_candidate", "confirmation", ["candidate", "parent"])
    op.create_table(
        "confirmed_cell",
        Column("cell", sa.String(), nullable=False),
        *(Column(name, sa.Integer(), nullable=False) for name in ("budget", "k", "cycle")),
        Column("texts", sa.Integer()),
        sa.PrimaryKeyConstraint("cell", "budget", "k"),
    )


_CONFIRMATION = sa.table(
    "confirmation",
    *(column(name) for name in ("budget", "k", "epoch", "cycle", "candidate", "parent", "level", "promotions")),
    *(Column(name, sa.JSON) for name in ("cells", "weights")),
    *(column(name) for name in ("outcome", "place", "log_e")),
    Column("at", TIME),
)
_CONFIRMED_CELL = sa.table("confirmed_cell", *(column(name) for name in ("cell", "budget", "k", "cycle")))


class Renumbered(NamedTuple):
    """A confirmation as it stands from now on."""

    values: dict[str, Any]
    cells: list[dict[str, Any]]


def _renumbered(connection: Connection) -> Iterator[Renumbered]:
    """Yield every confirmation in the order they were opened, epoch by epoch, with one count."""
    cycles = {row.number: row for row in connection.execute(sa.select(CYCLE))}
    proven = {row.candidate for row in cycles.values() if row.candidate is not None and _is_proven(row.verdict)}
    promoted = {row.candidate for row in cycles.values() if row.outcome == "promote"}
    on_line: dict[str, int] = {}
    """Promotions among a generation and its ancestors: parents were born before their children."""
    for born in connection.execute(sa.select(GENERATION).order_by(GENERATION.c.number)):
        on_line[born.id] = on_line.get(born.parent or "", 0) + (born.id in promoted)
    for k, row in enumerate(connection.execute(sa.select(OLD).order_by(OLD.c.epoch, OLD.c.k)).all(), 1):
        its = cycles.get(row.cycle)
        names = list(dict.fromkeys(row.cells))
        values = {"budget": 1, "k": k, "epoch": row.epoch, "cycle": row.cycle, "candidate": row.candidate}
        parent = its.parent if its is not None else ""
        values |= {"parent": parent, "level": row.level, "at": row.at}
        values |= {"cells": names, "weights": _equal(names), "promotions": on_line.get(parent, 0)}
        values |= {"outcome": _outcome(row.candidate in proven, its), "place": None, "log_e": None}
        yield Renumbered(values, [{"cell": cell, "budget": 1, "k": k, "cycle": row.cycle} for cell in names])


def _outcome(proven: bool, cycle: Any) -> str:
    if proven:
        return "proven"
    return "void" if cycle is not None and cycle.outcome in ("void", "abandoned") else "unproven"


def _is_proven(verdict: Mapping[str, Any] | None) -> bool:
    """Return whether a verdict's gain was proven, whatever else it said."""
    gain = ((verdict or {}).get("exam") or {}).get("gain") or {}
    if "p" in gain:
        return float(gain["p"]) <= float(gain["level"])
    return "e_value" in gain and float(gain["e_value"]) >= float(gain["threshold"])


def _equal(names: Sequence[str]) -> list[float]:
    return [1 / len(names)] * len(names) if names else []
