"""Does a knob do anything? A module is run with its small real effects, the knob alone moved from end to end.

Where the small batch cannot show it (a module that trains, a knob that only bites on other rows), a test in
tests/metaevo/modules/test_knob_effects.py or test_training_knob_effects.py does: `@effect_of("slot.module.knob")`.
"""

import ast
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from metaevo.effects import Fitness, Weights
from metaevo.registry.laws import batch_for, effects_for
from metaevo.registry.registry import Registry
from metaevo.registry.slots import SLOTS, Module
from metaevo.types import Knob
from tests.architecture import tree

Test = TypeVar("Test", bound=Callable[..., Any])
TESTS = sorted((tree.ROOT / "tests" / "metaevo" / "modules").glob("test_*knob_effects.py"))


def effect_of(*_knobs: str) -> Callable[[Test], Test]:
    """Say which knobs, each as ``slot.module.knob``, a test shows the effect of."""
    return lambda test: test


def ours() -> Iterator[Module]:
    """Yield every module of the tree."""
    registry = Registry()
    for slot in SLOTS:
        for name in registry.names(slot):
            if registry.where(slot, name) == "metaevo":
                yield registry.get(slot, name)


def every_knob() -> list[str]:
    """Return every knob as ``slot.module.knob``."""
    return [f"{module.slot}.{module.name}.{knob}" for module in ours() for knob in module.space]


def values(module: Module, knob: str) -> list[Any]:
    """Return the lowest value a recipe may say and both ends of the search, or every choice."""
    space = module.space[knob]
    if not isinstance(space, Knob):
        return list(space)
    kind = module.knobs.model_fields[knob].annotation
    least = space.low if space.least is None else space.least
    return [kind(end) for end in dict.fromkeys((least, space.low, space.high))] if kind is not None else []


def moves(module: Module, knob: str) -> bool:
    """Return whether the module's result depends on the knob for its small batch; False where it cannot be run."""
    if {Weights, Fitness} & set(module.effects.values()):
        return False
    batch, seen = batch_for(module.slot), []
    for value in values(module, knob):
        given = module.fill({knob: value}, "probe")
        seen.append(module.call(batch, **effects_for(module), **given))
    return any(result != seen[0] for result in seen[1:])


def shown() -> set[str]:
    """Return the knobs that a test of their own shows the effect of."""
    found: set[str] = set()
    for node in (node for path in TESTS for node in ast.walk(ast.parse(path.read_text("utf-8")))):
        for mark in getattr(node, "decorator_list", []):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "effect_of":
                found |= {str(given.value) for given in mark.args if isinstance(given, ast.Constant)}
    return found
