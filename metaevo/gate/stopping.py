"""The decision about a gain without its items: weights, when a confirmation ends, and how. Nothing here does I/O.

The operating characteristic (`tests/evidence/years.py`) is measured through these functions and no others.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from objectives.betting import FRACTIONS, Wealth

Standing: TypeAlias = Literal["proven", "futile", "open"]
LEAST = 256
"""Bets before which nothing is called futile."""


def screened(mean: float, bar: float) -> bool:
    """Return whether a screen's estimate is worth a confirmation."""
    return mean >= bar


def standing(wealth: Wealth, error: float, left: int) -> Standing:
    """Return how a confirmation stands after a whole block, ``left`` bets before its limit."""
    threshold = math.log(1 / error)
    if wealth.log_e >= threshold:
        return "proven"
    return "futile" if is_hopeless(wealth, threshold, left) else "open"


def is_hopeless(wealth: Wealth, threshold: float, left: int) -> bool:
    """Return whether even a gain at the upper end of its interval would not reach the threshold in the items left.

    Then they are better spent elsewhere. Stopping early for futility never raises the error of an e-process.
    """
    if wealth.n < LEAST:
        return False
    best = wealth.gain().high
    if best <= 0:
        return True
    differ = max(wealth.squares / wealth.n, best)  # as if every difference to come were a whole point
    better, worse = (differ + best) / 2, (differ - best) / 2
    grown = tuple(
        log + left * (better * math.log1p(f) + worse * math.log1p(-f))
        for f, log in zip(FRACTIONS, wealth.logs, strict=True)
    )
    return Wealth(grown).log_e < threshold


def cell_weights(unread: Sequence[int | None], most: int) -> tuple[float, ...]:
    """Return the share of items of each cell: equal, but a finite one's at most its unread items over the limit.

    ``unread`` is None where a cell is endless. Of finite cells alone each has a share as large as its sample.
    """
    finite = [n for n in unread if n is not None]
    if len(finite) == len(unread):
        whole = sum(finite)
        return tuple(n / whole if whole else 1 / len(finite) for n in finite)
    share = 1 / len(unread)
    capped = [None if n is None else min(share, n / most) for n in unread]
    rest = (1 - sum(c for c in capped if c is not None)) / sum(c is None for c in capped)
    return tuple(rest if c is None else c for c in capped)


def mean_of_groups(differences: Sequence[float], groups: Sequence[str]) -> tuple[float, ...]:
    """Return one difference a bet: a group's mean, where items share a world or a document; "" is no group."""
    together: dict[str, list[float]] = {}
    for place, (difference, group) in enumerate(zip(differences, groups, strict=True)):
        together.setdefault(group or f"\0{place}", []).append(difference)
    return tuple(sum(members) / len(members) for members in together.values())


def none_limit(share: float, margins: Sequence[float]) -> float:
    """Return the share of replaced items above which a decision is void: a third of the smallest margin, if less."""
    return min([share, *(margin / 3 for margin in margins)])


def is_pass_or_fail(differences: Mapping[float, int]) -> bool:
    """Return whether nothing but whole points was won and lost."""
    return set(differences) <= {-1.0, 0.0, 1.0}
