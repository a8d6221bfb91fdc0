"""Lines of protection, pure: what the outcomes so far say about one rule against one generation.

A line is two betting e-processes on the mean over the rule's cells: one grows where "at most the limit" is false, the
other where "at least the limit" is; the first at the odds decides. Items come in whole rounds, each with the same
number of items of a cell, so that bets item by item are bets on the cells' weighted mean: the product over a round is
at most that of its mean (inequality of the means). The items of one group are one item: their mean. A cell that is
counted whole has no error: its mean moves the limit of the others. Howard et al. 2021 (arXiv:1810.08240) for evidence
at any time; e-Holm: Vovk and Wang (arXiv:1912.06116).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metaevo.gate.evidence import CellHarm, ProtectionFinding, ProtectionState, RuleOutcomes
from objectives.betting import Wealth, confidence_sequence
from objectives.goals import Rule
from objectives.statistics import Interval

SLIP = 1e-9
"""What floats may be off where rows are counted whole."""
FINE = 4
"""Decimals of an outcome that is kept."""
CANDIDATE, CHAMPION = "candidate", "champion"
"""Series of scores, which a floor is measured by; all other series hold differences."""
ALONE = "alone"
"""Series of what light cells did against the parent for their own margins; no part of the ability's mean."""

Outcomes = Mapping[str, Counter[float]]
"""Cell to how often each outcome came."""


@dataclass(slots=True)
class Series:
    """All outcomes of one rule so far: for every generation it is compared with, per cell."""

    rounds: int
    outcomes: dict[str, dict[str, Counter[float]]]

    @classmethod
    def of(cls, kept: RuleOutcomes | None) -> "Series":
        """Return the outcomes that a held candidate's verdict kept."""
        if kept is None:
            return cls(0, {})
        found = {
            name: {cell: Counter(dict(counts)) for cell, counts in cells.items()} for name, cells in kept.series.items()
        }
        return cls(kept.rounds, found)

    def kept(self, what: str) -> RuleOutcomes:
        """Return the outcomes as a verdict keeps them."""
        made = {
            name: {cell: tuple(sorted(counts.items())) for cell, counts in cells.items()}
            for name, cells in self.outcomes.items()
        }
        return RuleOutcomes(what, self.rounds, made)

    def add(self, name: str, cell: str, outcome: float) -> None:
        """Count one outcome: of an item, or the mean of a group."""
        self.outcomes.setdefault(name, {}).setdefault(cell, Counter())[round(outcome, FINE) + 0.0] += 1

    def of_series(self, name: str) -> Outcomes:
        """Return the outcomes of one series."""
        return self.outcomes.get(name, {})


@dataclass(frozen=True, slots=True)
class Frame:
    """What one rule's lines are judged by, beside the outcomes."""

    rule: Rule
    sampled: tuple[str, ...]
    whole: tuple[str, ...]
    """Cells of which all rows were asked: what is said of them is said of those rows."""
    odds: float
    left: int | None = None
    """Items that are left to read beyond this cycle's; None: without an end."""
    items: float = 1.0
    """Items that one bet takes: more where they share groups."""


@dataclass(frozen=True, slots=True)
class _Mean:
    """The mean over a rule's cells in two parts: those counted whole, without error, and those sampled."""

    whole: tuple[float, ...]
    """The mean of each cell that was counted whole."""
    pooled: Counter[float]
    """The outcomes of all sampled cells."""
    sampled: int
    """Cells that are sampled."""
    n: int

    @classmethod
    def of(cls, frame: Frame, outcomes: Outcomes) -> "_Mean":
        """Return the parts of one series."""
        whole = tuple(_mean(outcomes.get(cell, Counter())) for cell in frame.whole)
        pooled: Counter[float] = Counter()
        for cell in frame.sampled:
            pooled.update(outcomes.get(cell, Counter()))
        return cls(whole, pooled, len(frame.sampled), sum(map(Counter.total, outcomes.values())))

    @property
    def cells(self) -> int:
        """Return how many cells there are."""
        return self.sampled + len(self.whole)

    @property
    def rows(self) -> int:
        """Return how many items are not sampled: rows that were counted whole."""
        return self.n - self.pooled.total()

    def over_all(self, part: float) -> float:
        """Return the mean over all cells where that of the sampled ones is ``part``."""
        return (part * self.sampled + sum(self.whole)) / max(1, self.cells)

    def bound(self, limit: float) -> float:
        """Return what the mean of the sampled cells must be for that of all to be ``limit``."""
        return (limit * self.cells - sum(self.whole)) / self.sampled

    def interval(self, odds: float) -> Interval:
        """Return the mean over all cells with bounds that hold whenever one stopped."""
        if not self.sampled:
            mean = self.over_all(0.0)
            return Interval(mean, mean, mean, self.n)
        seen = confidence_sequence(self.pooled, 1 - 2 / odds)
        mean, low, high = map(self.over_all, (seen.mean, seen.low, seen.high))
        return Interval(mean, low, high, self.n)


def judge(frame: Frame, series: Series, against: str, margin: float) -> ProtectionFinding:
    """Return how the rule fares against one generation at this margin."""
    seen = _Mean.of(frame, series.of_series(against))
    found = seen.interval(frame.odds)
    if not seen.sampled:
        return _counted(frame, against, found, -margin)
    bound = seen.bound(-margin)
    if abs(bound) >= 1:  # what was counted whole decides alone, whatever the other cells do
        return _finding(frame, against, found, -margin, "kept" if bound < 0 else "harmed", seen.rows)
    outcomes = list(seen.pooled.elements())
    better, worse = Wealth(bound=bound).bet(outcomes), Wealth(bound=bound, above=False).bet(outcomes)
    return _two_sided(frame, against, found, -margin, better, worse, seen.rows)


def judge_floor(frame: Frame, series: Series, floor: float) -> ProtectionFinding:
    """Return whether the candidate's own mean score lies above the floor."""
    seen = _Mean.of(frame, series.of_series(CANDIDATE))
    found = seen.interval(frame.odds)
    if not seen.sampled:
        return _counted(frame, "floor", found, floor)
    found = Interval(found.mean, max(0.0, found.low), min(1.0, found.high), found.n)
    bound = seen.bound(floor)
    if not 0 < bound < 1:
        return _finding(frame, "floor", found, floor, "kept" if bound <= 0 else "harmed", seen.rows)
    scores = list(seen.pooled.elements())  # a score lies in [0, 1]: bets reach further than on a difference
    better = Wealth().bet([(score - bound) / bound for score in scores])
    worse = Wealth(above=False).bet([(score - bound) / (1 - bound) for score in scores])
    return _two_sided(frame, "floor", found, floor, better, worse, seen.rows)


def champion_below(frame: Frame, series: Series, floor: float) -> bool:
    """Return whether the champion's own mean lies below the floor on the items so far."""
    seen = _Mean.of(frame, series.of_series(CHAMPION))
    return seen.over_all(_mean(seen.pooled)) < floor - SLIP


def harms(margin: float, *series: Outcomes) -> list[CellHarm]:
    """Return for every cell the evidence, of all these series, that it lost more than its own margin."""
    found = []
    for cell in sorted({cell for outcomes in series for cell in outcomes}):
        counts = sum((outcomes.get(cell, Counter()) for outcomes in series), Counter[float]())
        wealth = Wealth(bound=-margin, above=False).bet(list(counts.elements()))
        found.append(CellHarm(cell, e_value=wealth.e_value, mean=_mean(counts), n=wealth.n, margin=margin))
    return found


def e_holm(harmed: Sequence[CellHarm], cells: int, odds: float) -> tuple[CellHarm, ...]:
    """Return the cells whose loss is proven among ``cells`` that are protected: e-Holm at one over the odds."""
    found: list[CellHarm] = []
    for rank, one in enumerate(sorted(harmed, key=lambda one: (-(one.e_value or 0.0), one.cell))):
        if (one.e_value or 0.0) < odds * max(1, cells - rank):
            break
        found.append(one)
    return tuple(found)


def _counted(frame: Frame, against: str, found: Interval, limit: float) -> ProtectionFinding:
    """Return what is said where all rows were counted: there is no error to allow for."""
    return _finding(frame, against, found, limit, "kept" if found.mean >= limit - SLIP else "harmed", whole=found.n)


def _two_sided(
    frame: Frame, against: str, found: Interval, limit: float, better: Wealth, worse: Wealth, rows: int
) -> ProtectionFinding:
    threshold = math.log(frame.odds)
    state: ProtectionState = "kept" if better.log_e >= threshold else "harmed" if worse.log_e >= threshold else "open"
    more = _needed(better, threshold, frame.items) if state == "open" else 0
    return _finding(frame, against, found, limit, state, rows, more, better.e_value, worse.e_value)


def _needed(wealth: Wealth, threshold: float, items: float) -> int | None:
    """Return about how many more items reach the threshold at the pace of the best bets; None where none wins."""
    pace = max(wealth.logs) / max(1, wealth.n)
    if pace <= 0:
        return None
    return max(1, math.ceil(items * (threshold - wealth.log_e) / pace))


def _finding(
    frame: Frame,
    against: str,
    found: Interval,
    limit: float,
    state: ProtectionState,
    whole: int = 0,
    needed: int | None = 0,
    kept: float | None = None,
    harmed: float | None = None,
) -> ProtectionFinding:
    return ProtectionFinding(
        what=frame.rule.what,
        against=against,
        mean=found.mean,
        low=found.low,
        high=found.high,
        n=found.n,
        limit=limit,
        state=state,
        whole=whole,
        e_kept=kept,
        e_harmed=harmed,
        odds=frame.odds,
        needed=needed,
        left=frame.left,
        cell_margin=None if frame.rule.floor is not None else frame.rule.cell_margin,
    )


def _mean(counts: Counter[float]) -> float:
    return math.fsum(value * times for value, times in counts.items()) / max(1, counts.total())
