"""Bets on paired differences in [-1, 1]: evidence, valid whenever one looks, that their mean lies beyond a bound.

A paired betting e-process, wealth mixed over betting fractions that are fixed beforehand (Waudby-Smith and Ramdas
2024, arXiv:2010.09686). The fractions are geometric: small differences and large ones each have one that suits them.
The same bets on every mean there may be give the confidence sequence. Nothing here reads or writes anything.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from objectives.statistics import Interval, z

FRACTIONS: tuple[float, ...] = tuple(round(0.03 * (0.7 / 0.03) ** (i / 9), 4) for i in range(10))
"""Betting fractions of the mixture, fixed beforehand: 0.03 to 0.7, geometric, equal weights."""
STEP = 0.0005
"""Width of the grid on which a confidence sequence is looked for."""


@dataclass(frozen=True, slots=True)
class Wealth:
    """The state of one e-process on paired differences in [-1, 1]. H0: their mean is at most ``bound``.

    With ``above`` False H0 is that their mean is at least ``bound``: what grows is evidence that it lies below.
    """

    logs: tuple[float, ...] = (0.0,) * len(FRACTIONS)
    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    bound: float = 0.0
    above: bool = True

    def bet(self, differences: Sequence[float]) -> "Wealth":
        """Return the wealth after these further items, in their fixed order."""
        side, reach = (1.0, 1.0 + self.bound) if self.above else (-1.0, 1.0 - self.bound)
        many = [(side * (d - self.bound) / reach, times) for d, times in Counter(differences).items()]
        tables = [(times, _logs(part)) for part, times in many if part]
        logs = [log + sum([times * table[i] for times, table in tables]) for i, log in enumerate(self.logs)]
        return replace(
            self,
            logs=tuple(logs),
            n=self.n + len(differences),
            total=self.total + math.fsum(differences),
            squares=self.squares + math.fsum(d * d for d in differences),
        )

    @property
    def log_e(self) -> float:
        """Return the logarithm of the e-value: under H0 the chance that it ever reaches log(1/a) is at most a."""
        most = max(self.logs)
        return most + math.log(sum(math.exp(log - most) for log in self.logs) / len(self.logs))

    @property
    def e_value(self) -> float:
        """Return the e-value, capped where a float ends."""
        return math.exp(min(self.log_e, 700.0))

    def gain(self, confidence: float = 0.95) -> Interval:
        """Return the mean difference with a normal interval (a description; the decision is the e-value's)."""
        if self.n == 0:
            return Interval(0.0, -1.0, 1.0, 0)
        mean = self.total / self.n
        spread = math.sqrt(max(self.squares / self.n - mean * mean, 0.0) / self.n + 0.25 / self.n**2)
        half = z(0.5 + confidence / 2) * spread
        return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half), self.n)

    def needed(self, threshold: float) -> int | None:
        """Return about how many more items reach the threshold at the present pace; None if the pace is not a gain."""
        if self.n == 0 or self.log_e <= 0:
            return None
        return max(0, math.ceil((math.log(threshold) - self.log_e) / (self.log_e / self.n)))


@lru_cache(maxsize=4096)
def _logs(part: float) -> tuple[float, ...]:
    """Return what one bet adds to the logarithm of the wealth of each fraction; most differences are whole points."""
    return tuple(math.log1p(f * part) for f in FRACTIONS)


def confidence_sequence(differences: Mapping[float, int], confidence: float = 0.95) -> Interval:
    """Return the mean of differences (each with how often it came) with bounds that hold whenever one stopped.

    A mean is outside where the bets that the true one is larger, or those that it is smaller, won 2/(1 - confidence).
    """
    n = sum(differences.values())
    if n == 0:
        return Interval(0.0, -1.0, 1.0, 0)
    mean = math.fsum(d * times for d, times in differences.items()) / n
    threshold = math.log(2 / (1 - confidence))
    return Interval(mean, _edge(differences, mean, threshold, -1), _edge(differences, mean, threshold, 1), n)


def _edge(differences: Mapping[float, int], mean: float, threshold: float, side: int) -> float:
    """Return the bound on one side, by bisection: the wealth against a mean grows with its distance."""
    inside, outside = mean, float(side)
    while abs(outside - inside) > STEP:
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if _against(differences, middle, side) >= threshold else (middle, outside)
    return outside


def _against(differences: Mapping[float, int], mean: float, side: int) -> float:
    """Return the log-wealth of bets that the true mean lies above ``mean`` (side -1) or below it (side 1)."""
    reach = 1.0 + mean if side < 0 else 1.0 - mean
    many = [(-side * (d - mean) / reach, times) for d, times in differences.items()]
    logs = [sum(times * math.log1p(f * part) for part, times in many) for f in FRACTIONS]
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))
