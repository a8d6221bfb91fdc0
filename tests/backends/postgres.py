"""Ledgers in PostgreSQL for tests: each in a schema of its own, gone at the end. `postgres.sh` starts the server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url

from metaevo.ledger.postgres import Postgres

ADDRESS = os.environ.get("METAEVO_TEST_POSTGRES", "")
NEEDED = (
    pytest.mark.full,
    pytest.mark.skipif(not ADDRESS, reason="needs PostgreSQL: . tests/backends/postgres.sh; postgres_up"),
)
"""The marks of a test that needs the server."""


def new_place() -> Postgres:
    """Return an empty schema of its own."""
    name = f"test_{uuid4().hex}"
    _do(f"create schema {name}")
    url = make_url(ADDRESS).update_query_dict({"options": f"-csearch_path={name}"})
    return Postgres(url.render_as_string(hide_password=False))


def remove(place: Postgres) -> None:
    """Drop what `new_place` made, and end every connection to it that a test left."""
    name = str(make_url(place.url).query["options"]).removeprefix("-csearch_path=")
    _do(
        "select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory'"
        f" and objid = (hashtext('{name}')::bigint & 4294967295)::oid"
    )
    _do(f"drop schema {name} cascade")


@contextmanager
def temporary() -> Iterator[Postgres]:
    """Yield an empty schema while the block runs."""
    place = new_place()
    try:
        yield place
    finally:
        remove(place)


def _do(statement: str) -> None:
    engine = create_engine(ADDRESS, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
