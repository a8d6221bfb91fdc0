"""Rows whose JSON cannot be read, by name: what a reader that met one says, and what a check of all rows finds."""

from collections.abc import Collection, Iterator

from sqlalchemy import JSON, Connection, Table, Text, cast, select

from metaevo.ledger.json_text import UnreadableJson, read_json
from metaevo.ledger.tables import CONFIRMATION, CYCLE, EVENT, GENERATION, HOLD, MOVE, RECIPE, STEP, TRIAL

TABLES = (CYCLE, GENERATION, HOLD, CONFIRMATION, EVENT, MOVE, RECIPE, TRIAL, STEP)
"""Every table with a column of JSON; the smaller ones first."""
LISTS = frozenset(("answer", "cells", "weights", "modules"))
"""Columns that hold a list; all others hold an object."""
AT_ONCE = 256
"""Rows that are in memory at once."""


def unreadable_rows(connection: Connection, but: Collection[str] = ()) -> Iterator[str]:
    """Yield each column of JSON that cannot be read, ``but`` those of these names: table, key, column and why."""
    for table in TABLES:
        names = [column.name for column in table.columns if isinstance(column.type, JSON) and column.name not in but]
        keys = tuple(table.primary_key.columns)
        texts = tuple(cast(table.c[name], Text) for name in names)
        query = select(*keys, *texts).order_by(*keys).execution_options(yield_per=AT_ONCE)
        for row in connection.execute(query):
            place, said = tuple(row)[: len(keys)], tuple(row)[len(keys) :]
            for name, text in zip(names, said, strict=True):
                why = _wrong(table, name, text)
                if why:
                    yield f"{table.name} {'/'.join(map(str, place))}: its {name} cannot be read ({why})"


def _wrong(table: Table, name: str, text: str | None) -> str:
    """Return why a column's text is not what the column holds, empty where it is."""
    if text is None:
        return ""
    try:
        value = read_json(text)
    except UnreadableJson as error:
        return str(error)
    wanted = list if name in LISTS else dict
    if isinstance(value, wanted) or (value is None and table.c[name].nullable):
        return ""
    return f"want {'a list' if wanted is list else 'an object'}, got {text[:40]}"
