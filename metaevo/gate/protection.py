"""Was anything protected lost? Non-inferiority per rule against parent and reference; harm per cell by Holm."""

import math
from collections.abc import Sequence

from metaevo.gate.evidence import ProtectionFinding, ProtectionState
from metaevo.gate.exam import GateExam, Pairs
from metaevo.gate.settings import GateRules
from metaevo.types import Generation
from objectives.goals import Rule
from objectives.statistics import Interval, difference, harm, holm, wilson


def check_protection(
    exam: GateExam,
    candidate: Generation,
    parent: Generation,
    reference: Generation,
    rules: Sequence[Rule],
    least: int = 0,
) -> tuple[list[ProtectionFinding], dict[str, float]]:
    """Return how every rule fared, and the p-values of harm per cell."""
    found: list[ProtectionFinding] = []
    p_values: dict[str, float] = {}
    for number, rule in enumerate(rules):
        count = max(least, exam.rules.protection_items(rule))
        tasks = exam.items(rule.cells, exam.at.cycle, count, "protection")
        pairs = exam.pairs("protect", 2 * number, candidate, parent, tasks)
        found.append(_floor(rule, pairs) if rule.floor is not None else _kept(rule, "parent", pairs))
        p_values |= {str(cell): harm(values) for cell, values in pairs.by_cell().items()}
        if rule.floor is None and reference.id not in (parent.id, candidate.id):
            old = exam.pairs("protect", 2 * number + 1, candidate, reference, tasks)
            found.append(_kept(rule, "reference", old))
    return found, p_values


def needed_items(line: ProtectionFinding, rules: GateRules) -> int:
    """Return about how many items would settle an open line, if the difference is what it looks like."""
    room = max(1e-3, line.mean - line.limit)
    return math.ceil(rules.discordant * (1.645 / room) ** 2)


def harmed_cells(p_values: dict[str, float]) -> list[str]:
    """Return the cells whose loss is proven, Holm-corrected over all protected cells."""
    return holm(p_values)


def _kept(rule: Rule, against: str, pairs: Pairs) -> ProtectionFinding:
    margin = rule.margin if rule.margin is not None else 0.0
    found: Interval = difference(pairs.by_cell())
    state: ProtectionState = "kept" if found.low > -margin else "harmed" if found.high < -margin else "open"
    return ProtectionFinding(
        what=rule.what,
        against=against,
        mean=found.mean,
        low=found.low,
        high=found.high,
        n=found.n,
        limit=-margin,
        state=state,
    )


def _floor(rule: Rule, pairs: Pairs) -> ProtectionFinding:
    """Return a floor's state: the candidate's lower bound must clear it, or the champion's mean where that is lower."""
    n = max(1, len(pairs.differences))
    score = wilson(pairs.scores[0], n, 0.90)
    champion = pairs.scores[1] / n
    limit = min(rule.floor or 0.0, champion)
    state: ProtectionState = (
        "kept" if score.low >= limit or (score.mean >= limit and limit < (rule.floor or 0.0)) else "open"
    )
    state = "harmed" if score.high < limit else state
    return ProtectionFinding(
        what=rule.what, against="floor", mean=score.mean, low=score.low, high=score.high, n=n, limit=limit, state=state
    )
