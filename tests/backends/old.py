"""Ledgers as an older metaevo wrote them, on either database, and everything that is in one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, create_engine, inspect, text

from metaevo.ledger.ledger import database_of
from metaevo.ledger.migrations.apply import revise
from metaevo.ledger.postgres import Postgres

NOON = "2027-01-12 12:00:00.000000"
LATER = "2027-01-12 12:01:30.500000"
STAR, AIM = {"recipe": "star"}, {"objective": ["a", "p"]}
CYCLES = (
    (1, "promote", "", {"objective": None, "recipe": None}, "promoted", ""),
    (2, "hold", "inconclusive: needs more items", None, "inconclusive", ""),
    (3, "reject", "limit of recipe: screen failed", {"objective": None} | STAR, "limit of recipe", "recipe"),
    (4, "none", "converged: nothing is open", AIM | STAR, "converged", "objective recipe"),
    (5, "none", "limit of data: no trial came to an end", AIM, "limit of data", "objective"),
    (6, "none", "limit of model: no sample solves any", None, "limit of model", ""),
    (7, "none", "infrastructure: the engine died", None, "infrastructure", ""),
    (8, "void", "code changed: step 8/1: tasks changed", None, "code changed", ""),
    (9, "void", "evaluator changed", None, "evaluator changed", ""),
    (10, "void", "rolled back to g000000", None, "rolled back", ""),
    (11, "void", "refinement.x is quarantined: it lies", None, "quarantined", ""),
    (12, "void", "9 of 16 items could not be graded, more than 5%", None, "not graded", ""),
    (13, "void", "weakest_first returned nothing", None, "module failed", ""),
    (14, "abandoned", "upgraded", None, "upgraded", ""),
    (15, "open", "", None, "", ""),
    (16, "void", "refinement.x is quarantined: the evaluator changed its mind", None, "quarantined", ""),
    (17, "void", "mine raised: evaluator changed, 2 of 3 items could not be graded", None, "module failed", ""),
)
"""Number, outcome, sentence and pins of cycles, then the code and the words that the migration makes of them."""
TRIALS = (
    (1, "", "ok"),
    (2, "ModuleFailed: nothing left to learn from after refinement (9 attempts)", "nothing_to_learn"),
    (3, "ModuleFailed: it raised", "module_failed"),
    (4, "NotFinite: a loss", "not_finite"),
    (5, "OutOfMemory: 2 GiB", "out_of_memory"),
    (6, "BadInput: k", "bad_input"),
    (7, "UnknownModule: x", "bad_input"),
    (8, "infrastructure: the engine died", "infrastructure"),
)
"""Number and sentence of trials, then the code that the migration makes of it."""
SCORES = (("g000000", 40, 0.25), ("g000001", 32, 0.5), ("g000002", 8, 0.75))
"""(generation, n, mean) on one anchor cell; the last one is not on the champion's line."""


def write_schema_2(place: Path | Postgres) -> None:
    """Make a ledger of schema 2 with a row of every kind."""
    database = database_of(place)
    engine = database.engine()
    with engine.connect() as connection, connection.begin():
        database.begin(connection, forced=True)
        revise(connection, 2)
        _fill(connection)
    engine.dispose()


def empty(place: Path | Postgres, version: int) -> None:
    """Make a ledger of an older schema without a row."""
    database = database_of(place)
    engine = database.engine()
    with engine.connect() as connection, connection.begin():
        database.begin(connection, forced=True)
        revise(connection, version)
    engine.dispose()


def _fill(connection: Connection) -> None:
    def put(table: str, **row: object) -> None:
        values = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"insert into {table} ({', '.join(row)}) values ({marks})"), values)

    put("meta", key="secret", value="s")
    put("epoch", number=1, evaluator="e", why="first", opened_at=NOON)
    for number, id_ in enumerate(("g000000", "g000001", "g000002")):
        about = {"cycle": number, "trial": 1, "place": 0, "answer": [], "manifest": f"m{number}", "parts": {}}
        status = ("retired", "champion", "rejected")[number]
        parent = None if number == 0 else "g000000"
        put("generation", id=id_, number=number, parent=parent, status=status, created_at=NOON, **about)
    for seq, (alias, after) in enumerate((("champion", "g000001"), ("reference", "g000000")), 1):
        put("alias", name=alias, generation=after)
        put("move", seq=seq, alias=alias, after=after, who="metaevo", why="w", evidence={}, at=NOON)
    if connection.dialect.name == "postgresql":  # rows that brought their numbers do not move the sequence
        connection.execute(text("select setval('move_seq_seq', 2)"))
    for generation, n, mean in SCORES:
        about = {"split": "anchor", "environment": "sorting", "level": 4, "epoch": 1, "cycle": 1}
        put("score", generation=generation, n=n, mean=mean, low=0.0, high=1.0, **about)
    for number, outcome, why, fixed, *_new in CYCLES:
        about = {"parent": "g000000", "epoch": 1, "seed": 1, "commitment": "c", "runtime": "r", "tokens": 5}
        closed = None if outcome == "open" else LATER
        pins = {"fixed": fixed} if fixed is not None else {}
        put("cycle", number=number, outcome=outcome, why=why, opened_at=NOON, closed_at=closed, **about, **pins)
    for number, failure, _ending in TRIALS:
        about = {"study": "s", "recipe": "h", "fidelity": 1.0, "constraints": {}, "tokens": 7}
        params = {"skeleton": f"star{number}", "k": 2} if number > 1 else {}
        put("trial", cycle=1, number=number, failure=failure, params=params, **about)
    cells = ["sorting/5", "sorting/4", "sorting/4"]
    put("confirmation", epoch=1, k=1, cycle=1, candidate="g000001", level=0.025, cells=cells, at=NOON)
    put("hold", candidate="g000002", parent="g000001", epoch=1, k=1, cycle=2, tries=0, open=False, exam={"a": 1})
    key = {"cycle": 1, "trial": 1, "stage": 0, "round": 0, "step": "tasks", "position": 0}
    put(
        "step", **key, module="tasks.x", mark="m", digest="d", body=b"\x00\xff", counts={"n": 1}, runs=1, opened_at=NOON
    )


def shape(place: Path | Postgres) -> dict[str, Any]:
    """Return every table but Alembic's with its columns, keys, checks and indexes."""
    engine = _engine(place)
    looked, found = inspect(engine), {}
    for table in looked.get_table_names():
        if table == "alembic_version":
            continue
        columns = {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in looked.get_columns(table)}
        unique = sorted(sorted(one["column_names"]) for one in looked.get_unique_constraints(table))
        checks = sorted(str(one["sqltext"]) for one in looked.get_check_constraints(table))
        indexes = [(i["name"], i["column_names"], bool(i["unique"]), _where(i)) for i in looked.get_indexes(table)]
        found[table] = {
            "columns": columns,
            "key": looked.get_pk_constraint(table)["constrained_columns"],
            "unique": unique,
            "checks": checks,
            "indexes": sorted(indexes, key=str),
        }
    engine.dispose()
    return found


def _where(index: Mapping[str, Any]) -> str:
    return str(next((value for name, value in index.get("dialect_options", {}).items() if name.endswith("where")), ""))


def rows(place: Path | Postgres) -> dict[str, list[str]]:
    """Return every row of every table, without the running numbers: what PostgreSQL rolls back leaves a gap in them."""
    engine = _engine(place)
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        found = {
            table.name: sorted(_row(row._mapping) for row in connection.execute(table.select()))
            for table in metadata.sorted_tables
        }
    engine.dispose()
    return found


def _row(values: Mapping[Any, Any]) -> str:
    return repr(sorted((name, value) for name, value in values.items() if name != "seq"))


def _engine(place: Path | Postgres) -> Any:
    if isinstance(place, Path):
        return database_of(place).engine(read_only=True)
    return create_engine(place.url)


def loaded(file: Path, place: Postgres) -> None:
    """Write the ledger of a golden home into PostgreSQL as the metaevo of its time would have: row by row."""
    source, engine = _engine(file), place.engine()
    theirs, ours = MetaData(), MetaData()
    theirs.reflect(source)
    with source.connect() as old, engine.connect() as connection, connection.begin():
        schema = old.execute(text("select value from meta where key = 'schema'")).scalar()
        revise(connection, int(str(schema)))
        ours.reflect(connection)
        connection.execute(text("delete from meta"))
        for table in theirs.sorted_tables:
            rows = [dict(row._mapping) for row in old.execute(table.select())]
            if rows:
                connection.execute(ours.tables[table.name].insert(), rows)
        for table in ("move", "event"):  # rows that brought their numbers do not move the sequence
            highest = f"(select coalesce(max(seq), 0) + 1 from {table})"
            connection.execute(text(f"select setval('{table}_seq_seq', {highest}, false)"))
    source.dispose()
    engine.dispose()
