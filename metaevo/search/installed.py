"""The modules a search combines, read once and asked for by what they say of themselves, never by their names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from metaevo.recipes.schema import Step
from metaevo.registry.laws import unlawful_modules
from metaevo.registry.registry import Registry
from metaevo.registry.slots import RECIPE_SLOTS, Module
from metaevo.traits import Trait


class Modules(Protocol):
    """Where a module is found: a registry, or what was read from one."""

    def get(self, slot: str, name: str, place: str = "recipe") -> Module:
        """Return the module.

        Raises:
            UnknownModule: Nothing of that name is installed.
            ModuleFailed: It does not load.
        """


@dataclass(frozen=True, slots=True)
class Installed:
    """The lawful modules of a registry: a registry looks at the files each time, which is too slow for thousands of
    combinations.
    """

    registry: Registry
    modules: Mapping[tuple[str, str], Module]

    @classmethod
    def of(cls, registry: Registry) -> "Installed":
        """Return what is installed now, without what breaks a law or does not load."""
        known = unlawful_modules(registry)
        names = [(slot, name) for slot in RECIPE_SLOTS for name in registry.names(slot)]
        return cls(registry, {key: registry.get(*key) for key in names if key not in known})

    def get(self, slot: str, name: str, place: str = "recipe") -> Module:
        """Return the module, like `Registry.get`."""
        return self.modules.get((slot, name)) or self.registry.get(slot, name, place)

    def names(self, slot: str) -> Iterator[str]:
        """Yield the names of a slot's modules, sorted."""
        return (name for known, name in self.modules if known == slot)

    def having(self, slot: str, *traits: Trait) -> Iterator[Step]:
        """Yield a step for every module of a slot with all of the traits."""
        return (Step(use=name) for name in self.names(slot) if self.modules[slot, name].traits.issuperset(traits))


def has(modules: Modules, slot: str, step: Step, *traits: Trait) -> bool:
    """Return whether a step's module has any of the traits."""
    return not modules.get(slot, step.use).traits.isdisjoint(traits)


def procedure(modules: Modules, update: Step) -> bool:
    """Return whether an update changes how the model answers and trains nothing."""
    return modules.get("update", update.use).procedure
