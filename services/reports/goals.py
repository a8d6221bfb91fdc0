"""Goals as data: where each stands, and what is protected."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metaevo.errors import BadInput
from metaevo.gate.settings import GateRules
from metaevo.ledger.generation_queries import champion_scores
from objectives.goals import BadGoals, Goal, Rule, cells_of
from objectives.statistics import wilson
from objectives.types import Cell, Environment
from services.home.home import Home
from services.home.level import next_error
from services.records.goals import Goals, GoalStanding, ProtectedRule

Scores = Mapping[Cell, tuple[float, int]]
"""The champion's mean and number of items per cell."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """The mean over all items of some cells with its interval; None where nothing was measured."""

    now: float | None
    low: float | None
    high: float | None
    n: int


def goals_now(home: Home, *, tree: bool = False) -> Goals:
    """Return goals and protections with where they stand."""
    from services.home.open import gate_rules, graders

    config = home.config()
    wishes = config.wishes()
    with graders(home.path, config) as (_, environments):
        rules = gate_rules(config)
        scores, error = _scores(home) if home.founded else {}, next_error(home, rules)
        try:
            goals = tuple(_goal(goal, environments, scores, rules, error, tree) for goal in wishes.wanted)
            protected = tuple(_protected(rule, scores) for rule in wishes.rules(environments))
        except BadGoals as error:
            raise BadInput.of(error).inside("metaevo.toml") from error
    return Goals(goals=goals, protected=protected, protects_nothing=wishes.protects_nothing)


def _scores(home: Home) -> Scores:
    ledger = home.ledger()
    try:
        return champion_scores(ledger)
    finally:
        ledger.close()


def _pooled(cells: Iterable[Cell], scores: Scores) -> Pooled:
    known = [scores[cell] for cell in cells if cell in scores]
    n = sum(count for _, count in known)
    if not n:
        return Pooled(None, None, None, 0)
    found = wilson(sum(mean * count for mean, count in known), n)
    return Pooled(found.mean, found.low, found.high, n)


def _goal(
    goal: Goal, environments: Mapping[str, Environment], scores: Scores, rules: GateRules, error: float, tree: bool
) -> GoalStanding:
    from metaevo.evolution.provable import smallest_provable

    cells = sorted(cells_of(goal.what, environments, f"goals.{goal.name}.raise"))
    standing = _pooled(cells, scores)
    low = standing.low
    reached = goal.target is not None and low is not None and low >= goal.target
    return GoalStanding(
        name=goal.name,
        raise_=goal.what,
        direction=goal.direction.value,
        weight=goal.weight,
        why=goal.why,
        now=standing.now,
        low=low,
        high=standing.high,
        n=standing.n,
        target=goal.target,
        by=goal.by.isoformat() if goal.by else None,
        spent=None,
        forecast=None,
        state="reached" if reached else "not measured" if low is None else "open",
        smallest_provable_gain=min(
            smallest_provable(environments[c.environment], c.level, rules, error) for c in cells
        ),
        cells={str(cell): scores[cell][0] if cell in scores else None for cell in cells} if tree else None,
    )


def _protected(rule: Rule, scores: Scores) -> ProtectedRule:
    standing = _pooled(rule.cells, scores)
    limit = rule.floor if rule.floor is not None else -rule.margin if rule.margin is not None else None
    return ProtectedRule(
        what=rule.what,
        rule="floor" if rule.floor is not None else "margin",
        limit=limit,
        now=standing.now,
        low=standing.low,
        against="floor" if rule.floor is not None else "parent and reference",
        state="not measured" if standing.now is None else "kept",
    )
