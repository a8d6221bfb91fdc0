"""Questions of reports about generations: a page of a list, one whole, its scores. Answers are frozen records."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Text, cast, func, null, select
from sqlalchemy.exc import DBAPIError

from metaevo.errors import BadInput, StoreError
from metaevo.ledger.json_text import UnreadableJson, read_json
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.queries import abilities, objective_of
from metaevo.ledger.tables import ALIAS, GENERATION, RECIPE, SCORE
from objectives.types import Cell, Objective, Split


@dataclass(frozen=True, slots=True)
class GenerationFacts:
    """What a list says of a generation. ``scores`` are means over the anchor's cells, by ability."""

    id: str
    number: int
    parent: str | None
    status: str
    created_at: datetime
    objective: Objective | None
    recipe: str | None
    epoch: int | None
    decision: str | None
    reasons: tuple[Mapping[str, Any], ...]
    """The verdict's reasons as the ledger keeps them; `metaevo.gate.evidence` reads them. Of a verdict that is not
    JSON nothing is said: neither decision nor reasons.
    """
    parts: Mapping[str, str] | None
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CellScore:
    """What a generation scored on one cell of one split."""

    cell: Cell
    split: str
    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class GenerationOrigin:
    """Where a generation comes from: its cycle, its recipe's hash, the digest of its rows, and its verdict as kept."""

    id: str
    parent: str | None
    status: str
    cycle: int
    recipe: str | None
    data: str | None
    objective: Objective | None
    verdict: Mapping[str, Any] | None
    answer: tuple[Mapping[str, Any], ...]


def generation_page(ledger: Ledger, last: int, before: str | None = None) -> tuple[GenerationFacts, ...]:
    """Return the newest generations that were examined, ordered by id; only those below ``before``, an id or alias.

    Raises:
        BadInput: There is no generation ``before``.
    """
    query = _facts().where(GENERATION.c.manifest.is_not(None), GENERATION.c.status != "intermediate")
    query = query.order_by(GENERATION.c.number.desc()).limit(last)
    names = abilities(ledger)
    with ledger.look() as connection:
        if before is not None:
            query = query.where(GENERATION.c.number < _number(connection, _id(connection, before)))
        rows = list(reversed(_rows(connection, query)))
        scores = _means(connection, [row.id for row in rows], names)
    return tuple(_generation(row, scores[row.id]) for row in rows)


def generation(ledger: Ledger, which: str) -> GenerationFacts:
    """Return one generation by id or alias.

    Raises:
        BadInput: There is none of that id.
    """
    names = abilities(ledger)
    with ledger.look() as connection:
        id_ = _id(connection, which)
        (row,) = _rows(connection, _facts().where(GENERATION.c.id == id_))
        scores = _means(connection, [id_], names)
    return _generation(row, scores[id_])


def origin(ledger: Ledger, which: str) -> GenerationOrigin:
    """Return where a generation comes from, by id or alias.

    Raises:
        BadInput: There is none of that id.
        StoreError: Its verdict is not JSON.
    """
    names = [name for name in GenerationOrigin.__dataclass_fields__ if name != "verdict"]
    columns = (*(GENERATION.c[name] for name in names), _VERDICT_TEXT)
    with ledger.look() as connection:
        row = connection.execute(select(*columns).where(GENERATION.c.id == _id(connection, which))).one()
    facts = row._asdict()
    said = facts.pop("verdict_text")
    try:
        verdict: Any = read_json(said) if said is not None else None
    except UnreadableJson as error:
        raise unreadable_verdict(row.id, error) from error
    objective = objective_of(row.objective, f"generation {row.id}") if row.objective else None
    return GenerationOrigin(**facts | {"objective": objective, "answer": tuple(row.answer or ()), "verdict": verdict})


def unreadable_verdict(id_: str, error: Exception) -> StoreError:
    """Return what is said of a generation whose verdict cannot be read."""
    return StoreError(f"generation {id_}: its verdict cannot be read ({error}); run `metaevo fsck`")


def cell_scores(ledger: Ledger, which: str) -> tuple[CellScore, ...]:
    """Return what a generation scored, by split, environment and level."""
    columns = tuple(SCORE.c[name] for name in ("environment", "level", "split", "mean", "low", "high", "n"))
    query = select(*columns).where(SCORE.c.generation == which)
    query = query.order_by(SCORE.c.split, SCORE.c.environment, SCORE.c.level)
    with ledger.look() as connection:
        rows = connection.execute(query).all()
    return tuple(
        CellScore(cell=Cell(r.environment, r.level), split=r.split, mean=r.mean, low=r.low, high=r.high, n=r.n)
        for r in rows
    )


def champion_scores(ledger: Ledger) -> dict[Cell, tuple[float, int]]:
    """Return the champion's probe scores: (mean, n) per cell, of the newest epoch that measured it."""
    columns = (SCORE.c.environment, SCORE.c.level, SCORE.c.mean, SCORE.c.n)
    query = select(*columns).join(ALIAS, ALIAS.c.generation == SCORE.c.generation)
    query = query.where(ALIAS.c.name == "champion", SCORE.c.split == Split.PROBE.value).order_by(SCORE.c.epoch)
    with ledger.look() as connection:
        return {Cell(name, level): (mean, n) for name, level, mean, n in connection.execute(query)}


_VERDICT_TEXT = cast(GENERATION.c.verdict, Text).label("verdict_text")
"""The verdict unread, so that one that is not JSON can be named."""


def _rows(connection: Connection, query: Select[Any]) -> list[Row[Any]]:
    """Return the rows; where a verdict is not JSON, which ends the whole query, that row's says nothing."""
    try:
        return list(connection.execute(query).all())
    except (DBAPIError, ValueError):
        ids = connection.execute(query.with_only_columns(GENERATION.c.id, maintain_column_froms=True)).scalars().all()
        return [_row_of(connection, id_) for id_ in ids]


def _row_of(connection: Connection, id_: str) -> Row[Any]:
    mine = GENERATION.c.id == id_
    try:
        return connection.execute(_facts().where(mine)).one()
    except (DBAPIError, ValueError):
        return connection.execute(_facts(verdict=False).where(mine)).one()


def _facts(*, verdict: bool = True) -> Select[Any]:
    """Return the query of what a list shows: of a verdict only the decision and its reasons, never the evidence."""
    own = tuple(GENERATION.c[name] for name in ("id", "number", "parent", "status", "created_at", "objective"))
    column = GENERATION.c.verdict
    said = (null().label("decision"), null().label("reasons"))
    if verdict:
        said = (column["decision"].as_string().label("decision"), column["reasons"].label("reasons"))
    columns = (*own, GENERATION.c.epoch, GENERATION.c.parts, RECIPE.c.name.label("recipe"), *said)
    return select(*columns).outerjoin_from(GENERATION, RECIPE, RECIPE.c.hash == GENERATION.c.recipe)


def _means(connection: Connection, ids: Iterable[str], names: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return each generation's mean over its anchor cells, by ability."""
    who = (SCORE.c.generation, SCORE.c.environment)
    query = select(*who, func.sum(SCORE.c.mean), func.count()).group_by(*who)
    query = query.where(SCORE.c.generation.in_(list(ids)), SCORE.c.split == Split.ANCHOR.value)
    sums: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
    for id_, environment, total, count in connection.execute(query):
        ability = names.get(environment, environment)
        before, cells = sums[id_].get(ability, (0.0, 0))
        sums[id_][ability] = (before + total, cells + count)
    return defaultdict(dict) | {
        id_: {ability: round(total / count, 4) for ability, (total, count) in sorted(found.items())}
        for id_, found in sums.items()
    }


def _generation(row: Row[Any], scores: Mapping[str, float]) -> GenerationFacts:
    facts = row._asdict()
    objective = objective_of(row.objective, f"generation {row.id}") if row.objective else None
    reasons = tuple(row.reasons) if isinstance(row.reasons, list) else ()
    made = {"objective": objective, "reasons": reasons, "scores": scores}
    return GenerationFacts(**facts | made)


def _id(connection: Connection, which: str) -> str:
    """Return the id behind an id or alias."""
    alias = connection.execute(select(ALIAS.c.generation).where(ALIAS.c.name == which)).scalar()
    id_: str = alias or which
    _number(connection, id_)
    return id_


def _number(connection: Connection, id_: str) -> int:
    found = connection.execute(select(GENERATION.c.number).where(GENERATION.c.id == id_)).scalar()
    if found is None:
        raise BadInput("", f"no generation {id_[:40]!r}", "`metaevo generations` lists them")
    return int(found)
