"""Questions about descent, each one recursive query: a walk row by row would make every cycle dearer than the last."""

from collections.abc import Iterable

from sqlalchemy import CTE, Connection, and_, exists, literal, select

from metaevo.ledger.tables import GENERATION, MOVE

CHUNK = 500
"""Ids in one statement: databases limit how many a statement may name."""


def line_of(id_: str, most: int | None = None) -> CTE:
    """Return a generation's line: (id, parent, number, depth), itself at depth 0, ``most`` rows at most."""
    columns = (GENERATION.c.id, GENERATION.c.parent, GENERATION.c.number)
    first = select(*columns, literal(0).label("depth")).where(GENERATION.c.id == id_)
    line = first.cte("line", recursive=True)
    up = select(*columns, line.c.depth + 1).where(GENERATION.c.id == line.c.parent)
    return line.union_all(up if most is None else up.where(line.c.depth + 1 < most))


def line_above(id_: str, number: int) -> CTE:
    """Return the query of that part of a generation's line whose numbers are higher than ``number``.

    A parent is reserved before its children, so its number is lower: the walk ends where nothing can follow.
    """
    columns = (GENERATION.c.id, GENERATION.c.parent, GENERATION.c.number)
    first = select(*columns).where(GENERATION.c.id == id_, GENERATION.c.number > number)
    line = first.cte("line_above", recursive=True)
    up = select(*columns).where(GENERATION.c.id == line.c.parent, GENERATION.c.number > number)
    return line.union_all(up)


def number_of(connection: Connection, id_: str) -> int | None:
    """Return a generation's number, None where there is none of that id."""
    return connection.execute(select(GENERATION.c.number).where(GENERATION.c.id == id_)).scalar()


def on_line(connection: Connection, id_: str, tip: str) -> bool:
    """Return whether a generation is the tip of a line or one of its ancestors."""
    if id_ == tip:
        return True
    number = number_of(connection, id_)
    if number is None:
        return False
    above = line_above(tip, number - 1)
    return connection.execute(select(above.c.id).where(above.c.id == id_)).first() is not None


def family_of(connection: Connection, ids: Iterable[str]) -> set[str]:
    """Return these generations and everything published that descends from them."""
    found, wanted = set[str](), sorted(ids)
    for first in range(0, len(wanted), CHUNK):
        some = wanted[first : first + CHUNK]
        family = select(GENERATION.c.id).where(GENERATION.c.id.in_(some)).cte("family", recursive=True)
        children = and_(GENERATION.c.parent == family.c.id, GENERATION.c.manifest.is_not(None))
        family = family.union(select(GENERATION.c.id).where(children))
        found |= set(connection.execute(select(family.c.id)).scalars())
    return found


def earlier_champion(connection: Connection, id_: str) -> str | None:
    """Return the nearest ancestor that was champion and is not quarantined, None where there is none."""
    line = line_of(id_)
    crowned = exists().where(MOVE.c.alias == "champion", MOVE.c.after == line.c.id)
    query = select(line.c.id).join(GENERATION, GENERATION.c.id == line.c.id)
    query = query.where(line.c.depth > 0, GENERATION.c.status != "quarantined", crowned)
    return connection.execute(query.order_by(line.c.depth).limit(1)).scalar()
