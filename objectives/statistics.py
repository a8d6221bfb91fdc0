"""The few statistics everything is decided with, each valid for scores in [0, 1], not only for pass and fail.

Intervals: Wilson (1927). Gain: the betting e-process of `objectives.betting`; pass and fail on finite cells: the exact
paired test (McNemar). Loss: stratified one-sided bounds; many cells: Holm (1979).
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

GRID = 200
"""Score differences are rounded to 1/200 for the exact test."""


class Interval(NamedTuple):
    """A mean with its bounds and how many items it rests on."""

    mean: float
    low: float
    high: float
    n: int


def z(level: float) -> float:
    """Return the standard normal quantile of ``level``."""
    return NormalDist().inv_cdf(level)


def interval(scores: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of scores in [0, 1] with its Wilson interval (conservative for partial credit)."""
    n = len(scores)
    if n == 0:
        return Interval(0.0, 0.0, 1.0, 0)
    return wilson(sum(scores), n, confidence)


def wilson(hits: float, n: int, confidence: float = 0.95) -> Interval:
    """Return ``hits / n`` with its Wilson interval."""
    p, q = hits / n, z(0.5 + confidence / 2)
    centre = (p + q * q / (2 * n)) / (1 + q * q / n)
    half = q / (1 + q * q / n) * math.sqrt(max(0.0, p * (1 - p)) / n + q * q / (4 * n * n))
    return Interval(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def level(alpha: float, k: int, promotions: int = 0) -> float:
    """Return the error level of a budget's k-th confirmation after so many promotions.

    e-LOND (Xu and Ramdas 2024, arXiv:2311.06412) with weights that sum to 1 over all k: the expected share of false
    ones among all promotions is at most alpha, whatever the dependence between the decisions.
    """
    return alpha * (promotions + 1) * math.log(5) * (1 / math.log(k + 4) - 1 / math.log(k + 5))


def reread_share(reads: int, proven: int) -> float:
    """Return what is left of a level for the ``reads``-th look at one fixed sample, ``proven`` earlier ones proven.

    Search has learnt no more from the earlier looks than which of them proved something: so many histories there are,
    and each look pays for all that could have led to it.
    """
    return 1 / (reads * math.comb(reads - 1, proven))


def exact_paired(differences: Sequence[float]) -> float:
    """Return the one-sided p-value of "the mean difference is positive by chance" under random sign flips."""
    import numpy as np

    units = [round(abs(d) * GRID) for d in differences]
    step = math.gcd(*units) if any(units) else 0
    if step == 0:
        return 1.0
    steps = [unit // step for unit in units if unit]
    observed = sum(round(d * GRID) for d in differences) // step
    total = sum(steps)
    chance = np.zeros(2 * total + 1)
    chance[total] = 1.0
    for size in steps:
        chance = 0.5 * (np.roll(chance, size) + np.roll(chance, -size))
    return float(min(1.0, chance[total + observed :].sum()))


def difference(by_cell: Mapping[Any, Sequence[float]], confidence: float = 0.95) -> Interval:
    """Return the mean over cells of the cells' mean differences, with one-sided bounds at ``confidence`` each.

    Half a discordant pair is added to the whole, so that a sample without any is not taken for certainty.
    """
    cells = [values for values in by_cell.values() if values]
    if not cells:
        return Interval(0.0, -1.0, 1.0, 0)
    means = [sum(values) / len(values) for values in cells]
    variance = 0.0
    for mean, values in zip(means, cells, strict=True):
        spread = sum((value - mean) ** 2 for value in values) + 0.5 / len(cells)
        variance += spread / len(values) / len(values)
    mean = sum(means) / len(cells)
    half = z(confidence) * math.sqrt(variance) / len(cells)
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half), sum(len(values) for values in cells))


def chance_corrected(score: float, chance: float) -> float:
    """Return the score with the most common answer's share as zero."""
    return max(0.0, (score - chance) / (1 - chance)) if chance < 1 else 0.0


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, None for fewer than three pairs or a constant side."""
    if len(xs) < 3 or len(set(xs)) == 1 or len(set(ys)) == 1:
        return None
    a, b = _ranks(xs), _ranks(ys)
    mean = (len(xs) - 1) / 2
    top = sum((i - mean) * (j - mean) for i, j in zip(a, b, strict=True))
    return top / math.sqrt(sum((i - mean) ** 2 for i in a) * sum((j - mean) ** 2 for j in b))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end + 1 < len(order) and values[order[end + 1]] == values[order[at]]:
            end += 1
        for i in order[at : end + 1]:
            ranks[i] = (at + end) / 2
        at = end + 1
    return ranks
