"""What generations scored on cells: written once a split and epoch, pooled where a generation is probed again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from metaevo.ledger import anchors
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import SCORE
from metaevo.ledger.upsert import upsert
from objectives.capability import Score
from objectives.statistics import wilson
from objectives.types import Cell, Split


@dataclass(frozen=True, slots=True)
class ScoredCell:
    """A mean over the items of one cell, with its interval."""

    cell: Cell
    n: int
    mean: float
    low: float
    high: float
    latent: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """What one generation scored on one split."""

    generation: str
    split: Split
    cells: tuple[ScoredCell, ...]


def scores_of(ledger: Ledger, generation: str, split: Split, epoch: int) -> dict[Cell, Score]:
    """Return a generation's scores on one split."""
    return scores_of_each(ledger, [generation], split, epoch)[generation]


def scores_of_each(
    ledger: Ledger, generations: Sequence[str], split: Split, epoch: int
) -> dict[str, dict[Cell, Score]]:
    """Return the scores of a few generations on one split, each with its own."""
    mine = (SCORE.c.generation.in_(generations), SCORE.c.split == split.value, SCORE.c.epoch == epoch)
    columns = (SCORE.c.generation, SCORE.c.environment, SCORE.c.level, SCORE.c.n, SCORE.c.mean, SCORE.c.latent)
    query = select(*columns).where(*mine).order_by(SCORE.c.generation, SCORE.c.environment, SCORE.c.level)
    found: dict[str, dict[Cell, Score]] = {generation: {} for generation in generations}
    with ledger.look() as connection:
        for generation, environment, level, n, mean, latent in connection.execute(query):
            cell = Cell(environment, level)
            found[generation][cell] = Score(generation, cell, n, mean, latent)
    return found


def pool_scores(ledger: Ledger, split: Split, epoch: int, cycle: int, found: Sequence[Score]) -> None:
    """Write new scores of one generation, pooled with what earlier cycles measured of it; twice a cycle is once."""
    measured = [score for score in found if score.n]
    if not measured:
        return
    generation = measured[0].generation
    with ledger.transaction() as connection:
        old = _known(connection, generation, split, epoch)
        pooled = []
        for score in measured:
            n, hits = score.n, score.mean * score.n
            if score.cell in old:
                before_n, before_mean, before_cycle = old[score.cell]
                if before_cycle == cycle:
                    continue
                n, hits = n + before_n, hits + before_mean * before_n
            bounds = wilson(hits, n)
            pooled.append(
                ScoredCell(
                    cell=score.cell, n=bounds.n, mean=bounds.mean, low=bounds.low, high=bounds.high, latent=score.latent
                )
            )
        write_scores(connection, Scores(generation, split, tuple(pooled)), epoch, cycle)


def write_scores(connection: Connection, made: Scores, epoch: int, cycle: int) -> None:
    """Write a generation's scores on one split in the caller's transaction."""
    anchored = made.split is Split.ANCHOR
    old = _known(connection, made.generation, made.split, epoch) if anchored else {}
    upsert(connection, SCORE, list(_rows(made, epoch, cycle)))
    if anchored:
        replaced = any(old.get(score.cell, (score.n, score.mean))[:2] != (score.n, score.mean) for score in made.cells)
        anchors.note(connection, made.generation, epoch, replaced=replaced)


def _rows(made: Scores, epoch: int, cycle: int) -> Iterable[dict[str, object]]:
    for score in made.cells:
        yield {
            "generation": made.generation,
            "split": made.split.value,
            "environment": score.cell.environment,
            "level": score.cell.level,
            "epoch": epoch,
            "n": score.n,
            "mean": score.mean,
            "low": score.low,
            "high": score.high,
            "latent": score.latent,
            "cycle": cycle,
        }


def _known(connection: Connection, generation: str, split: Split, epoch: int) -> dict[Cell, tuple[int, float, int]]:
    """Return (n, mean, cycle) of every cell that was measured before."""
    mine = (SCORE.c.generation == generation, SCORE.c.split == split.value, SCORE.c.epoch == epoch)
    query = select(SCORE.c.environment, SCORE.c.level, SCORE.c.n, SCORE.c.mean, SCORE.c.cycle).where(*mine)
    rows = connection.execute(query).all()
    return {Cell(environment, level): (n, mean, cycle) for environment, level, n, mean, cycle in rows}
