"""What a number of items can decide about a loss or a gain, before any is asked: the smallest one, and the power."""

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

from objectives.betting import FRACTIONS

DISCORDANCE = 0.05
"""Share of items on which an unchanged candidate differs: what margins are planned for."""
GAIN_DISCORDANCE = 0.2
"""Share of items on which a better candidate differs: what provable gains are planned for. A larger gain differs so."""
POWER = 0.8
STEP = 0.005
"""Margins are looked for in steps of half a point."""
FAR = 5.0
"""Standard deviations of the number of differing pairs that are counted."""
POINTS, FEW = 32, 40
"""Numbers of differing pairs looked at, where there are many; losses up to which binomial terms are summed."""


def excludes(items: int, margin: float, odds: float) -> bool:
    """Return whether ``items`` without any difference decide that a loss is smaller than the margin."""
    return _log_e(items, 0, 0, margin) >= math.log(odds)


def smallest_loss(items: int, odds: float) -> float:
    """Return the smallest loss that ``items`` can exclude at all: none of them differs. 1.0: none."""
    return next((_margin(i) for i in range(1, _LAST) if excludes(items, _margin(i), odds)), 1.0)


def smallest_harm(items: int, margin: float, odds: float) -> float:
    """Return the smallest share of a cell's items that proves, if nothing else differs, a loss beyond its margin.

    1.0 and more: not even all of them would.
    """
    lost = next((n for n in range(items + 1) if _log_e(items, n, 0, -margin) >= math.log(odds)), items + 1)
    return lost / max(1, items)


def power(items: int, margin: float, odds: float, discordance: float = DISCORDANCE) -> float:
    """Return how often an unchanged candidate is kept after ``items``, of which this share differs, half worse."""
    spread = FAR * math.sqrt(items * discordance) + 3
    low, high = max(0, int(items * discordance - spread)), min(items, int(items * discordance + spread))
    found = 0.0
    for differ in range(low, high + 1):
        most = _most_worse(items, differ, margin, odds)
        kept = sum(math.exp(_choose(differ, worse) - differ * math.log(2)) for worse in range(most + 1))
        found += kept * math.exp(_log_binomial(items, differ, discordance))
    return found


def smallest_margin(items: int, odds: float) -> float:
    """Return the smallest margin that ``items`` decide with power .8 at discordance .05; 1.0: none."""
    first, last = 1, _LAST
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if power(items, _margin(middle), odds) >= POWER else (middle + 1, last)
    return 1.0 if first >= _LAST else _margin(first)


@lru_cache(maxsize=4096)
def smallest_gain(items: int, error: float, exact: bool, screened: int = 0, bar: float = 0.0) -> float:
    """Return the smallest mean gain that ``items`` prove at this level with power .8 at discordance .2; 1.0: none.

    By bets, or by the ``exact`` paired test on pass and fail; ``screened`` items of their own must reach ``bar`` first.
    """
    first, last = 1, _WHOLE
    while first < last:
        middle = (first + last) // 2
        enough = _proves(items, STEP * middle, error, exact) * _clears(screened, STEP * middle, bar) >= POWER
        first, last = (first, middle) if enough else (middle + 1, last)
    return _margin(first)


def _proves(items: int, gain: float, error: float, exact: bool) -> float:
    """Return how often a gain is proven after all ``items``."""
    share = max(GAIN_DISCORDANCE, gain)
    lost = (share - gain) / (2 * share)
    spread = FAR * math.sqrt(items * share * (1 - share))
    low, high = max(0, int(items * share - spread)), min(items, math.ceil(items * share + spread))
    found = whole = 0.0
    for differ in range(low, high + 1, 1 + (high - low) // POINTS):
        most = _most_lost(differ, error) if exact else _most_worse(items, differ, 0.0, 1 / error)
        weight = math.exp(_log_binomial(items, differ, share))
        found, whole = found + weight * _at_most(most, differ, lost), whole + weight
    return found / whole if whole else 0.0


def _clears(items: int, gain: float, bar: float) -> float:
    """Return how often the mean of so many items reaches the bar. Without items there is none."""
    if items == 0:
        return 1.0
    spread = math.sqrt((max(GAIN_DISCORDANCE, gain) - gain * gain) / items)
    return NormalDist(gain, spread).cdf(2 * gain - bar) if spread else float(gain >= bar)


def _at_most(most: int, n: int, p: float) -> float:
    """Return P(at most so many of ``n``): exactly where few count, else by the normal law."""
    if most < 0 or most >= n or p == 0.0:
        return float(most >= 0)
    if most <= FEW:
        return min(1.0, math.fsum(math.exp(_log_binomial(n, k, p)) for k in range(most + 1)))
    return NormalDist(n * p, math.sqrt(n * p * (1 - p))).cdf(most + 0.5)


@lru_cache(maxsize=65536)
def _most_lost(differ: int, error: float) -> int:
    """Return with how many losses among the pairs that differ the exact test is still below the error; -1: none."""
    if differ > 4 * FEW:
        return math.floor(NormalDist(differ / 2, math.sqrt(differ) / 2).inv_cdf(error) - 0.5)
    below = 0.0
    for lost in range(differ + 1):
        below += math.exp(_log_binomial(differ, lost, 0.5))
        if below > error:
            return lost - 1
    return differ


def _most_worse(items: int, differ: int, margin: float, odds: float) -> int:
    """Return how many of the pairs that differ may be losses: one more only weakens the evidence. -1: not even none."""
    return _largest(differ, lambda lost: _log_e(items, differ - lost, lost, margin) >= math.log(odds))


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to ``most`` for which it holds, if it holds for all smaller ones; -1: for none."""
    first, last = -1, most
    while first < last:
        middle = (first + last + 1) // 2
        first, last = (middle, last) if holds(middle) else (first, middle - 1)
    return first


_LAST, _WHOLE = 190, 200


def _margin(steps: int) -> float:
    return round(STEP * steps, 3)


def _log_e(items: int, better: int, worse: int, margin: float) -> float:
    """Return the evidence against a loss of the margin, as `objectives.betting.Wealth` has it."""
    reach = 1 - margin
    same, won = margin / reach, (1 + margin) / reach
    logs = [
        (items - better - worse) * math.log1p(f * same) + better * math.log1p(f * won) + worse * math.log1p(-f)
        for f in FRACTIONS
    ]
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))


def _log_binomial(n: int, k: int, p: float) -> float:
    if p in (0.0, 1.0):
        return 0.0 if k == n * p else -math.inf
    return _choose(n, k) + k * math.log(p) + (n - k) * math.log1p(-p)


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
