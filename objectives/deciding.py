"""What a number of items can decide about a loss, before any is asked: the smallest loss excluded, and the power."""

import math

from objectives.betting import FRACTIONS

DISCORDANCE = 0.05
"""Share of items on which an unchanged candidate differs: what margins are planned for."""
POWER = 0.8
STEP = 0.005
"""Margins are looked for in steps of half a point."""
FAR = 5.0
"""Standard deviations of the number of differing pairs that are counted."""


def excludes(items: int, margin: float, odds: float) -> bool:
    """Return whether ``items`` without any difference decide that a loss is smaller than the margin."""
    return _log_e(items, 0, 0, margin) >= math.log(odds)


def smallest_loss(items: int, odds: float) -> float:
    """Return the smallest loss that ``items`` can exclude at all: none of them differs. 1.0: none."""
    return next((_margin(i) for i in range(1, _LAST) if excludes(items, _margin(i), odds)), 1.0)


def power(items: int, margin: float, odds: float, discordance: float = DISCORDANCE) -> float:
    """Return how often an unchanged candidate is kept after ``items``, of which this share differs, half worse."""
    spread = FAR * math.sqrt(items * discordance) + 3
    low, high = max(0, int(items * discordance - spread)), min(items, int(items * discordance + spread))
    found = 0.0
    for differ in range(low, high + 1):
        most = _most_worse(items, differ, margin, odds)
        kept = sum(math.exp(_choose(differ, worse) - differ * math.log(2)) for worse in range(most + 1))
        found += kept * math.exp(
            _choose(items, differ) + differ * math.log(discordance) + (items - differ) * math.log1p(-discordance)
        )
    return found


def smallest_margin(items: int, odds: float) -> float:
    """Return the smallest margin that ``items`` decide with power .8 at discordance .05; 1.0: none."""
    first, last = 1, _LAST
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if power(items, _margin(middle), odds) >= POWER else (middle + 1, last)
    return 1.0 if first >= _LAST else _margin(first)


def _most_worse(items: int, differ: int, margin: float, odds: float) -> int:
    """Return how many of the pairs that differ may be losses: one more only weakens the evidence. -1: not even none."""
    first, last = -1, differ
    while first < last:
        middle = (first + last + 1) // 2
        kept = _log_e(items, differ - middle, middle, margin) >= math.log(odds)
        first, last = (middle, last) if kept else (first, middle - 1)
    return first


_LAST = 190


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


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
