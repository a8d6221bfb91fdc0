"""The best anchor score of every cell on the champion's line, kept so that no cycle walks the line for it.

Anchor items are the same for every generation. What is kept of a cell is the greatest mean on the line, and the fewest
items any generation of the line was measured on. It changes inside the transaction that moves the champion
(`follow`) or writes anchor scores (`note`); where a line is left, it is made anew from the line it goes back to.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import CTE, Connection, Row, Select, delete, func, insert, select

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.line import line_above, line_of, number_of, on_line
from metaevo.ledger.tables import ALIAS, BEST_ANCHOR, SCORE
from metaevo.ledger.upsert import upsert
from objectives.capability import Score
from objectives.types import Cell, Split

_KEY = ("epoch", "environment", "level")


def best_anchors(ledger: Ledger, epoch: int) -> dict[Cell, Score]:
    """Return the best anchor score of every cell on the champion's line in one epoch."""
    best = select(BEST_ANCHOR).where(BEST_ANCHOR.c.epoch == epoch)
    with ledger.look() as connection:
        champion = connection.execute(_CHAMPION).scalar()
        rows = connection.execute(best.order_by(BEST_ANCHOR.c.environment, BEST_ANCHOR.c.level)).all()
    cells = [(Cell(row.environment, row.level), row) for row in rows]
    return {cell: Score(champion or "", cell, row.n, row.mean) for cell, row in cells}


def follow(connection: Connection, before: str | None, after: str | None) -> None:
    """Keep what a move of the champion changes: a child's scores are added, any other line is read anew."""
    lowest = number_of(connection, before) if before is not None else None
    if after is None or lowest is None:
        rebuild(connection, after)
        return
    line = line_above(after, lowest)
    first = connection.execute(select(line.c.parent).order_by(line.c.number).limit(1)).scalar()
    if first == before:
        _add(connection, connection.execute(_anchors(line)).all())
    else:
        rebuild(connection, after)


def note(connection: Connection, generation: str, epoch: int, *, replaced: bool) -> None:
    """Keep what the anchor scores of one generation change; ``replaced``: there were others in their place."""
    champion = connection.execute(_CHAMPION).scalar()
    if champion is None or not on_line(connection, generation, champion):
        return
    if replaced:
        rebuild(connection, champion)
    else:
        mine = (SCORE.c.generation == generation, SCORE.c.split == Split.ANCHOR.value, SCORE.c.epoch == epoch)
        _add(connection, connection.execute(select(*_SCORED).where(*mine)).all())


def rebuild(connection: Connection, champion: str | None) -> None:
    """Read the whole line anew."""
    connection.execute(delete(BEST_ANCHOR))
    if champion is not None:
        connection.execute(insert(BEST_ANCHOR).from_select([*_KEY, "n", "mean"], of_line(champion)))


def of_line(champion: str) -> Select[Any]:
    """Return the question that is kept the answer of: (epoch, environment, level, n, mean) over the whole line."""
    line = line_of(champion)
    least, greatest = func.min(SCORE.c.n).label("n"), func.max(SCORE.c.mean).label("mean")
    query = select(*_CELL, least, greatest).join(line, line.c.id == SCORE.c.generation)
    return query.where(SCORE.c.split == Split.ANCHOR.value).group_by(*_CELL)


_CHAMPION = select(ALIAS.c.generation).where(ALIAS.c.name == "champion")
_CELL = tuple(SCORE.c[name] for name in _KEY)
_SCORED = (*_CELL, SCORE.c.n, SCORE.c.mean)


def _anchors(line: CTE) -> Select[Any]:
    query = select(*_SCORED).join(line, line.c.id == SCORE.c.generation)
    return query.where(SCORE.c.split == Split.ANCHOR.value)


def _add(connection: Connection, scores: Sequence[Row[Any]]) -> None:
    """Take further scores of the line into account."""
    epochs = {row.epoch for row in scores}
    query = select(BEST_ANCHOR).where(BEST_ANCHOR.c.epoch.in_(sorted(epochs)))
    best = {(row.epoch, row.environment, row.level): (row.n, row.mean) for row in connection.execute(query)}
    changed = dict(_better(best, scores))
    rows = [dict(zip(_KEY, key, strict=True)) | {"n": n, "mean": mean} for key, (n, mean) in changed.items()]
    upsert(connection, BEST_ANCHOR, rows)


_Best = tuple[int, float]


def _better(
    best: dict[tuple[int, str, int], _Best], scores: Sequence[Row[Any]]
) -> Iterable[tuple[tuple[int, str, int], _Best]]:
    """Yield what changes when these scores join the best ones."""
    for row in scores:
        key = (row.epoch, row.environment, row.level)
        n, mean = best.get(key, (row.n, row.mean))
        now = (min(n, row.n), max(mean, row.mean))
        if best.get(key) != now:
            best[key] = now
            yield key, now
