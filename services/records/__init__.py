"""What operations return: a frozen record for every noun, which `--json`, `metaevo schema VERB` and text all read.

A field without a default is always in the JSON. A field with a default is left out while it has it. A field's key is
its name; an underscore at the end, for words that Python keeps for itself, is dropped. Nothing here imports anything
heavy: the command line reads these types at every start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, dataclass_transform, runtime_checkable

from objectives.types import JsonValue

Scalar: TypeAlias = str | int | float | bool | None
JsonSchema: TypeAlias = Mapping[str, JsonValue]
T = TypeVar("T")


def _key(name: str) -> str:
    return name.removesuffix("_")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def record(kind: type[T]) -> type[T]:
    """Make a class a record: a frozen, slotted dataclass whose fields are given by name."""
    return _made(kind, _key)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def spaced(kind: type[T]) -> type[T]:
    """Make a class a record whose keys have a space where its fields have an underscore."""
    return _made(kind, lambda name: _key(name).replace("_", " "))


def _made(kind: type[T], key: Callable[[str], str]) -> type[T]:
    config = {"alias_generator": key, "serialize_by_alias": True, "extra": "forbid", "use_attribute_docstrings": True}
    kind.__pydantic_config__ = config  # type: ignore[attr-defined]  # pydantic finds the keys here, and only it looks
    return dataclass(frozen=True, slots=True, kw_only=True)(kind)


@runtime_checkable
class Checked(Protocol):
    """What a check found."""

    @property
    def well(self) -> bool:
        """Return whether nothing is wrong; a command that prints what is not ends with another exit code."""


def well(result: object) -> bool:
    """Return whether a result tells of nothing wrong; of several tiers one that is well is enough."""
    if isinstance(result, Checked):
        return result.well
    return not isinstance(result, list | tuple) or not result or any(well(part) for part in result)


@record
class Measured:
    """A mean over n items with its interval."""

    mean: float
    low: float
    high: float
    n: int
