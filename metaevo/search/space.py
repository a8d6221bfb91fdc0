"""Knobs as a search space: named ``slot.module.knob``, so that evidence is shared between recipes."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, TypedDict

from metaevo.recipes.schema import Recipe, Step
from metaevo.search.installed import Modules, procedure
from metaevo.types import Knob

Value: TypeAlias = int | float | str | bool
Params: TypeAlias = dict[str, Value]
"""A trial's parameters: its ``skeleton``, then knobs as ``slot.module.knob``."""


class TrialEvidence(TypedDict):
    """A trial as later searches and Optuna see it; plain, for another process."""

    params: Params
    score: float | None
    constraints: dict[str, float]
    fidelity: float


class Range(TypedDict, total=False):
    """What one knob may be: ``choices``, or the numbers from ``low`` to ``high``; plain, for another process."""

    kind: Literal["choice", "int", "float"]
    choices: list[Value]
    low: float
    high: float
    log: bool
    default: Value


Space: TypeAlias = dict[str, Range]


def chosen_in(params: Mapping[str, Value]) -> str:
    """Return the id of the skeleton that a trial's parameters belong to, empty where they say none."""
    return str(params.get("skeleton", ""))


def space(recipe: Recipe, modules: Modules) -> Space:
    """Return every searched knob of a recipe: its kind, its range or choices, and the recipe's own value.

    An answering procedure keeps its own: it ends in one attempt a task, which more samples would break.
    """
    found: Space = {}
    for stage in recipe.stage:
        if procedure(modules, stage.update):
            continue
        for slot, _, step in stage.steps():
            found |= _knobs(slot, step, modules)
    for step in recipe.consolidation:
        found |= _knobs("consolidation", step, modules)
    return found


def _knobs(slot: str, step: Step, modules: Modules) -> Space:
    module = modules.get(slot, step.use)
    found: Space = {}
    for name, knob in module.space.items():
        default = step.knobs.get(name, module.knobs.model_fields[name].default)
        key = f"{slot}.{step.use}.{name}"
        if isinstance(knob, tuple):
            found[key] = {"kind": "choice", "choices": list(knob), "default": default}
            continue
        whole = module.knobs.model_fields[name].annotation is int
        low, high = (int(knob.low), int(knob.high)) if whole else (float(knob.low), float(knob.high))
        found[key] = {
            "kind": "int" if whole else "float",
            "low": low,
            "high": high,
            "log": knob.log,
            "default": default,
        }
    return found


def with_knobs(recipe: Recipe, params: Mapping[str, Value], modules: Modules) -> Recipe:
    """Return the recipe with these knobs set; every step of a module gets the same ones, answering procedures none."""

    def turned(slot: str, step: Step) -> Step:
        prefix = f"{slot}.{step.use}."
        mine = {key.removeprefix(prefix): value for key, value in params.items() if key.startswith(prefix)}
        return step.model_copy(update={"knobs": {**step.knobs, **mine}})

    stages = tuple(s if procedure(modules, s.update) else s.map(turned) for s in recipe.stage)
    merges = tuple(turned("consolidation", step) for step in recipe.consolidation)
    return recipe.model_copy(update={"stage": stages, "consolidation": merges})


def default_params(recipe: Recipe, modules: Modules) -> Params:
    """Return a recipe's own knobs as parameters, clipped into their ranges: how a preset is enqueued."""
    found = {}
    for key, entry in space(recipe, modules).items():
        value = entry["default"]
        found[key] = value if entry["kind"] == "choice" else min(max(value, entry["low"]), entry["high"])
    return found


__all__ = ["Knob", "Params", "Range", "Space", "TrialEvidence", "chosen_in", "default_params", "space", "with_knobs"]
