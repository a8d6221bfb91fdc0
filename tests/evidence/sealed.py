"""The sealed re-score: vault items, which no decision, watch, search or training ever reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from metaevo.runtime.answering import measure
from metaevo.runtime.host import Host
from metaevo.tiny.corpus import PLAN
from metaevo.types import Generation
from objectives.statistics import difference, harm, holm
from objectives.types import Cell, Split

ITEMS = 256
OPEN = (0.05, 0.90)
Scores = Mapping[Cell, Sequence[float]]


def rescore(host: Host, generation: Generation, seed: int) -> dict[Cell, list[float]]:
    """Return every cell's scores on its vault items, the same for every generation with the same seed."""
    cells = [cell for environment in host.environments.values() for cell in environment.cells]
    drawn = host.graders.draw_many([(c.environment, c.level, Split.VAULT, seed, 0, ITEMS) for c in cells])
    tasks = tuple(task for found in drawn for task in found.tasks)
    made: dict[Cell, list[float]] = {cell: [] for cell in cells}
    for outcome in measure(host, host.engine, generation, tasks, Split.VAULT).outcomes:
        if outcome.score is not None:
            made[outcome.cell].append(outcome.score)
    return made


def kind(cell: Cell) -> str:
    """Return what was planned for a cell of the built-in model: a systematic mistake, thin coverage, nothing, all."""
    plan = PLAN[cell.environment]
    if cell.level in plan.noisy or (plan.working and cell.level > plan.strong):
        return "planted"
    return "sparse" if cell.level in plan.sparse else "strong" if cell.level <= plan.strong else "absent"


def table(before: Scores, after: Scores, cells: Sequence[Cell], abilities: Mapping[str, str]) -> dict[str, Any]:
    """Return gains in points: over the open cells, by planted or not, by cell, and the abilities that lost."""
    by_kind = {
        name: [c for c in cells if (kind(c) == "planted") == (name == "planted")] for name in ("planted", "others")
    }
    losses: dict[str, float] = {}
    for ability in sorted(set(abilities.values())):
        paired = [d for c in before if abilities[c.environment] == ability for d in _paired(before, after, c)]
        losses[ability] = harm(paired)
    return {
        "open cells": gain(before, after, cells),
        **{name: gain(before, after, found) for name, found in by_kind.items()},
        "cells": {
            str(c): {"kind": kind(c), "n": len(before[c]), "before": _mean(before[c]), "after": _mean(after[c])}
            for c in sorted(before)
            if before[c]
        },
        "abilities": {
            ability: gain(before, after, [c for c in before if abilities[c.environment] == ability])
            | {"p of harm": round(losses[ability], 5)}
            for ability in losses
        },
        "abilities below generation 0 (Holm)": holm(losses),
    }


def gain(before: Scores, after: Scores, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the mean gain over cells in points, with its two-sided 95 % interval."""
    differences = {cell: _paired(before, after, cell) for cell in cells}
    found = difference(differences, 0.975)
    return {
        "cells": len([1 for values in differences.values() if values]),
        "items": sum(len(values) for values in differences.values()),
        "before": _mean([_mean(before[c]) for c in cells if before[c]]),
        "gain": round(100 * found.mean, 2),
        "low": round(100 * found.low, 2),
        "high": round(100 * found.high, 2),
    }


def _paired(before: Scores, after: Scores, cell: Cell) -> list[float]:
    return [b - a for a, b in zip(before[cell], after[cell], strict=True)]


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
