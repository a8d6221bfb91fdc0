"""The capability map: what each cell's scores over the generations say. Pure functions on numbers.

Scores are chance-corrected where blind guesses would score; a level counts as saturated when the
lower bound of its interval passes the target.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from objectives.statistics import Interval, chance_corrected, wilson
from objectives.types import Cell, Json

MASTERED = 0.9
TREND = 3
"""Generations a trend looks back."""


@dataclass(frozen=True, slots=True)
class Score:
    """One generation on one cell: ``latent`` is pass@k, chance-corrected, where it was sampled."""

    generation: str
    cell: Cell
    n: int
    mean: float
    latent: float | None = None

    @property
    def interval(self) -> Interval:
        """Return the mean with its Wilson interval."""
        return wilson(self.mean * self.n, self.n) if self.n else Interval(0.0, 0.0, 1.0, 0)


def agreement(answers: Sequence[Json]) -> float:
    """Return how likely two tasks' answers agree: what a blind guess drawn from the answers scores, without bias.

    Not the share of the most common answer: among few items of a large answer space that is their luckiest coincidence.
    """
    n = len(answers)
    if n < 2:
        return 0.0
    counts = Counter(str(answer) for answer in answers)
    return sum(count * (count - 1) for count in counts.values()) / (n * (n - 1))


def latent(solved_P: Sequence[bool], k: int, chance: float) -> float:
    """Return the chance-corrected share of tasks that at least one of ``k`` samples solves.

    Without the correction a cell with few possible answers looks promising only because guesses hit.
    """
    if not solved_P:
        return 0.0
    lucky = 1.0 - (1.0 - chance) ** k
    return chance_corrected(sum(solved_P) / len(solved_P), lucky)


def drops(history: Mapping[Cell, Sequence[Score]]) -> dict[Cell, float]:
    """Return how much the newest generation lost on each cell against its best ancestor, 0 within noise.

    ``history`` holds anchor scores, oldest first: the same items for every generation.
    """
    found: dict[Cell, float] = {}
    for cell, scores in history.items():
        if len(scores) < 2:
            continue
        best = max(scores[:-1], key=lambda score: score.mean)
        now = scores[-1]
        if now.interval.high < best.interval.low:
            found[cell] = best.mean - now.mean
    return found


def trend(scores: Sequence[Score], window: int = TREND) -> float:
    """Return the mean change per generation over the last ``window`` scores, in points of the mean."""
    recent = scores[-window - 1 :]
    if len(recent) < 2:
        return 0.0
    return (recent[-1].mean - recent[0].mean) / (len(recent) - 1)


def saturated(interval: Interval, target: float) -> bool:
    """Return whether a level retires: its lower bound passes the target."""
    return interval.low >= target
