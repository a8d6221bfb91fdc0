"""Knobs as a search space: named ``slot.module.knob``, so that evidence is shared between recipes."""

from collections.abc import Mapping
from typing import Any

from metaevo.modules.slots import RECIPE_SLOTS
from metaevo.recipes.schema import Recipe, Stage, Step
from metaevo.search.installed import Modules, procedure
from metaevo.types import Knob

Space = dict[str, dict[str, Any]]


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


def with_knobs(recipe: Recipe, params: Mapping[str, Any], modules: Modules) -> Recipe:
    """Return the recipe with these knobs set; every step of a module gets the same ones, answering procedures none."""

    def turned(slot: str, step: Step) -> Step:
        prefix = f"{slot}.{step.use}."
        mine = {key.removeprefix(prefix): value for key, value in params.items() if key.startswith(prefix)}
        return step.model_copy(update={"knobs": {**step.knobs, **mine}})

    def stage_turned(stage: Stage) -> Stage:
        done: dict[str, Any] = {}
        if procedure(modules, stage.update):
            return stage
        for slot in RECIPE_SLOTS[:6]:
            value = getattr(stage, slot)
            if isinstance(value, tuple):
                done[slot] = tuple(turned(slot, step) for step in value)
            elif value is not None:
                done[slot] = turned(slot, value)
        return stage.model_copy(update=done)

    merges = tuple(turned("consolidation", step) for step in recipe.consolidation)
    return recipe.model_copy(
        update={"stage": tuple(stage_turned(stage) for stage in recipe.stage), "consolidation": merges}
    )


def default_params(recipe: Recipe, modules: Modules) -> dict[str, Any]:
    """Return a recipe's own knobs as parameters, clipped into their ranges: how a preset is enqueued."""
    found = {}
    for key, entry in space(recipe, modules).items():
        value = entry["default"]
        found[key] = value if entry["kind"] == "choice" else min(max(value, entry["low"]), entry["high"])
    return found


__all__ = ["Knob", "Space", "default_params", "space", "with_knobs"]
