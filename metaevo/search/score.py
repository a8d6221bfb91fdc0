"""What a trial is worth on dev items: its gain on the objective, less what protected abilities lose beyond noise."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from metaevo.types import Trial
from objectives.statistics import difference
from objectives.types import Cell, Environment, Report

PARENT, REFERENCE = "parent", "reference"
SHARE = 0.5
"""What the gate's own uncertainty leaves of a margin: a loss of more is held there for want of items."""
WEIGHT = 1.0
"""Points of gain that one point lost in a protected ability costs a trial. With 0 demos gained as much, but the weakest
ability sank by 1.8 points: inside the margin and yet real."""
LIKELY = 0.7
"""One-sided confidence from which a loss costs and may exclude: small samples say little, but a candidate that the gate
holds costs a whole cycle, another trial nothing."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Paired differences: to the parent on the objective's cells, to parent and reference by ability on all others."""

    aimed: Mapping[Cell, list[float]]
    kept: Mapping[tuple[str, str], Mapping[Cell, list[float]]]
    """By (ability, against whom)."""


def measure_changes(
    environments: Mapping[str, Environment], aimed_ids: frozenset[str], report: Report, others: Mapping[str, Report]
) -> Changes:
    """Return how a trial's answers differ from the others' on the same items; a None on either side is left out.

    ``others`` are the reports of the ``parent`` and, where it is another generation, of the ``reference``.
    """
    aimed: dict[Cell, list[float]] = {}
    kept: dict[tuple[str, str], dict[Cell, list[float]]] = {}
    for against, other in others.items():
        for new, old in zip(report.outcomes, other.outcomes, strict=True):
            if new.score is None or old.score is None or (new.task in aimed_ids and against != PARENT):
                continue
            key = environments[new.cell.environment].ability, against
            place = aimed if new.task in aimed_ids else kept.setdefault(key, {})
            place.setdefault(new.cell, []).append(new.score - old.score)
    return Changes(aimed, kept)


def score_trial(made: Trial, changes: Changes, margin: float, token_limit: int | None) -> Trial:
    """Return the trial with its score and constraints (feasible at 0 and below); the worse comparison counts."""
    gain = fmean([fmean(values) for values in changes.aimed.values()] or [0.0])
    lost: dict[str, float] = {}
    constraints: dict[str, float] = {}
    for (ability, _), cells in changes.kept.items():
        lost[ability] = max(lost.get(ability, 0.0), -difference(cells, LIKELY).high)
        name, excess = f"kept {ability}", -difference(cells, LIKELY).high - SHARE * margin
        constraints[name] = max(constraints.get(name, excess), excess)
    if token_limit is not None:
        constraints["cost"] = made.tokens / token_limit - 1.0
    return replace(made, score=gain - WEIGHT * sum(lost.values()), constraints=constraints)


def is_feasible(constraints: Mapping[str, float]) -> bool:
    """Return whether a trial with these breaks none."""
    return all(value <= 0 for value in constraints.values())


def rank(made: Trial) -> tuple[bool, float, int]:
    """Order trials: feasible ones first, then by score."""
    return (not is_feasible(made.constraints), -(made.score or 0.0), made.number)
