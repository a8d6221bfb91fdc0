"""Rows that may be there already, in the one form that each database has for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows by their primary key: new ones are inserted, of others every other named column is replaced."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    insert = _INSERT[connection.dialect.name](table)
    others = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=others), [dict(row) for row in rows])
