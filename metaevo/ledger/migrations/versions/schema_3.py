"""Schema 3: an index for every question of a cycle or a report, codes beside sentences, and kept values.

What is new is filled from what is there: codes from the sentences that schema 2 had in their place.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Connection, Float, Integer, String, column

revision, down_revision = "3", "2"

OUTCOMES = "outcome in ('open', 'promote', 'hold', 'reject', 'none', 'void', 'abandoned')"
INDEXES = (
    ("cycle_outcome", "cycle", ("outcome", "number", "wall_s", "tokens")),
    ("cycle_candidate", "cycle", ("candidate", "number")),
    ("cycle_pinned", "cycle", ("pinned",)),
    ("step_opened", "step", ("cycle", "opened_at")),
    ("step_name", "step", ("step", "cycle", "position")),
    ("step_module", "step", ("module", "cycle", "trial")),
    ("generation_status", "generation", ("status", "number", "recipe")),
    ("generation_parent", "generation", ("parent", "number")),
    ("generation_recipe", "generation", ("recipe", "number")),
    ("move_alias", "move", ("alias", "seq")),
    ("move_after", "move", ("after", "alias")),
    ("trial_study", "trial", ("study", "cycle", "number")),
    ("trial_recipe", "trial", ("recipe", "cycle", "number")),
    ("confirmation_candidate", "confirmation", ("epoch", "candidate")),
    ("hold_open", "hold", ("open", "cycle")),
    ("event_code", "event", ("code", "seq")),
)
FAILED = "failure != ''"
CYCLE_ENDINGS = ("converged", "limit of model", "limit of data", "limit of recipe", "inconclusive", "infrastructure")
"""How the sentences of schema 2 began where a cycle promoted nothing."""
VOID_ENDINGS = {
    r"code changed": "code changed",
    r"evaluator changed": "evaluator changed",
    r"rolled back": "rolled back",
    r"\d+ of \d+ items could not be graded": "not graded",
    r"\S+ is quarantined: ": "quarantined",
}
"""How they began where it was void; what follows may be an operator's words."""
TRIAL_ENDINGS = {
    "ModuleFailed: nothing left to learn from%": "nothing_to_learn",
    "NotFinite:%": "not_finite",
    "OutOfMemory:%": "out_of_memory",
    "BadInput:%": "bad_input",
    "UnknownModule:%": "bad_input",
    "infrastructure%": "infrastructure",
    "ModuleFailed:%": "module_failed",
}

CYCLE = sa.table(
    "cycle",
    Column("number", Integer),
    Column("outcome", String),
    Column("why", String),
    Column("fixed", sa.JSON),
    Column("opened_at", sa.DateTime(timezone=True)),
    Column("closed_at", sa.DateTime(timezone=True)),
    *(Column(name, String) for name in ("ending", "pinned")),
    Column("wall_s", Float),
)
TRIAL = sa.table("trial", Column("params", sa.JSON), *(Column(n, String) for n in ("failure", "ending", "skeleton")))
CONFIRMATION = sa.table(
    "confirmation", *(Column(n, Integer) for n in ("epoch", "k", "cycle")), Column("cells", sa.JSON)
)


def upgrade() -> None:
    """Add columns and tables, fill them, then make the indexes."""
    _new_tables()
    with op.batch_alter_table("cycle") as batch:
        batch.add_column(Column("ending", String()))
        batch.add_column(Column("pinned", String()))
        batch.add_column(Column("wall_s", Float()))
    with op.batch_alter_table("trial") as batch:
        batch.add_column(Column("ending", String()))
        batch.add_column(Column("skeleton", String()))
    connection = op.get_bind()
    _fill_cycles(connection)
    _fill_trials(connection)
    _fill_confirmed_cells(connection)
    _name_base(connection)
    _fill_best_anchors(connection)
    # SQLite makes the table anew here and keeps no check that has no name: it is given once more
    with op.batch_alter_table("cycle", table_args=(sa.CheckConstraint(OUTCOMES),)) as batch:
        for name, kind in (("ending", String()), ("pinned", String()), ("wall_s", Float())):
            batch.alter_column(name, existing_type=kind, nullable=False)
    with op.batch_alter_table("trial") as batch:
        for name in ("ending", "skeleton"):
            batch.alter_column(name, existing_type=String(), nullable=False)
    for name, table, columns in INDEXES:
        op.create_index(name, table, list(columns))
    failed = sa.text(FAILED)
    names = ["study", "skeleton", "cycle"]
    op.create_index("trial_failed", "trial", names, sqlite_where=failed, postgresql_where=failed)


def _new_tables() -> None:
    op.create_table(
        "best_anchor",
        Column("epoch", Integer(), nullable=False),
        Column("environment", String(), nullable=False),
        Column("level", Integer(), nullable=False),
        Column("n", Integer(), nullable=False),
        Column("mean", Float(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "environment", "level"),
    )
    op.create_table(
        "confirmed_cell",
        Column("epoch", Integer(), nullable=False),
        Column("cell", String(), nullable=False),
        Column("k", Integer(), nullable=False),
        Column("cycle", Integer(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "cell", "k"),
    )


def _fill_cycles(connection: Connection) -> None:
    rows = [
        {
            "its": row.number,
            "code": cycle_ending(row.outcome, row.why),
            "words": pinned(row.fixed),
            "seconds": seconds(row.opened_at, row.closed_at),
        }
        for row in connection.execute(sa.select(CYCLE))
    ]
    values: dict[str, Any] = {"ending": sa.bindparam("code"), "pinned": sa.bindparam("words")}
    values["wall_s"] = sa.bindparam("seconds")
    if rows:
        connection.execute(sa.update(CYCLE).where(CYCLE.c.number == sa.bindparam("its")).values(values), rows)


def cycle_ending(outcome: str, why: str) -> str:
    """Return the code of how a cycle ended, read from the sentence that schema 2 had alone."""
    if outcome in ("open", "promote", "abandoned"):
        return {"open": "", "promote": "promoted", "abandoned": "upgraded"}[outcome]
    if outcome == "void":
        return next((code for words, code in VOID_ENDINGS.items() if re.match(words, why)), "module failed")
    return next((code for code in CYCLE_ENDINGS if why.startswith(code)), "limit of recipe")


def pinned(fixed: Mapping[str, Any] | None) -> str:
    """Return what the operator had pinned, as words."""
    return " ".join(name for name in ("objective", "recipe") if (fixed or {}).get(name))


def seconds(opened: datetime, closed: datetime | None) -> float:
    """Return how long a cycle took, 0 where it is open."""
    return (closed - opened).total_seconds() if closed is not None else 0.0


def _fill_trials(connection: Connection) -> None:
    whens = [(TRIAL.c.failure.like(words), code) for words, code in TRIAL_ENDINGS.items()]
    ending = sa.case((TRIAL.c.failure == "", "ok"), *whens, else_="module_failed")
    skeleton = sa.func.coalesce(TRIAL.c.params["skeleton"].as_string(), "")
    connection.execute(sa.update(TRIAL).values(ending=ending, skeleton=skeleton))


def _fill_confirmed_cells(connection: Connection) -> None:
    confirmed = sa.table("confirmed_cell", *(column(name) for name in ("epoch", "cell", "k", "cycle")))
    rows = [*_confirmed_cells(connection)]
    if rows:
        connection.execute(sa.insert(confirmed), rows)


def _confirmed_cells(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(sa.select(CONFIRMATION)):
        for cell in sorted(set(row.cells)):
            yield {"epoch": row.epoch, "cell": cell, "k": row.k, "cycle": row.cycle}


def _name_base(connection: Connection) -> None:
    """Point the alias ``base`` to generation 0, with the row that every move of an alias has."""
    base = "select id from generation where parent is null and manifest is not null order by number limit 1"
    connection.execute(sa.text(f"insert into alias (name, generation) select 'base', b.id from ({base}) b"))
    move = "insert into move (alias, before, after, who, why, evidence, at)"
    values = "select 'base', null, g.id, 'metaevo', 'the base model', '{}', g.created_at from generation g"
    connection.execute(sa.text(f"{move} {values} where g.id = ({base})"))


def _fill_best_anchors(connection: Connection) -> None:
    """Keep the greatest mean and the fewest items of each anchor cell on the champion's line."""
    connection.execute(
        sa.text(
            "with recursive line (id, parent) as ("
            " select g.id, g.parent from generation g join alias a on a.generation = g.id where a.name = 'champion'"
            " union all select g.id, g.parent from generation g join line on g.id = line.parent)"
            " insert into best_anchor (epoch, environment, level, n, mean)"
            " select s.epoch, s.environment, s.level, min(s.n), max(s.mean)"
            " from score s join line on line.id = s.generation where s.split = 'anchor'"
            " group by s.epoch, s.environment, s.level"
        )
    )
