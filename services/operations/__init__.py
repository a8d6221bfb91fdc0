"""One typed function per verb. Its signature is its command (and later its route and form); it returns records.

Modules here import nothing heavy at the top: the command line reads their signatures at every start.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Scope = Literal["read", "operate", "admin"]
NOUNS = (
    *("evolution", "generations", "goals", "configuration", "environments"),
    *("modules", "recipes", "sandbox", "health", "models", "audit", "verbs"),
)


@dataclass(frozen=True, slots=True)
class Operation:
    """A verb: ``group`` is the noun it stands under on the command line, empty for the top level."""

    name: str
    group: str
    scope: Scope
    call: Callable[..., Any]
    home: bool
    """Whether it needs a home as its first parameter."""

    @property
    def key(self) -> str:
        """Return what renders its result is found by."""
        return f"{self.group}_{self.name}" if self.group else self.name

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """Return what a person gives: every parameter but the home."""
        return [p for p in inspect.signature(self.call).parameters.values() if p.name != "home"]

    def check(self, given: Mapping[str, object]) -> None:
        """Look at what a person gave, whatever the verb and the way it came.

        Raises:
            BadInput: It is no text, or a reason is empty.
        """
        from metaevo.errors import BadInput

        for name, value in given.items():
            if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
                raise BadInput(name, "is not UTF-8 text", "type it again", given=f"{value!a}")
        if str(given.get("reason", "said")).strip() == "":
            raise BadInput("--reason", "is empty", "say why: it is kept and shown")

    @property
    def result(self) -> type[object]:
        """Return the type of what it returns; one that stands there as a text is imported only now."""
        found = inspect.signature(self.call).return_annotation
        resolved: type[object] = pkgutil.resolve_name(found) if isinstance(found, str) else found
        return resolved


OPERATIONS: list[Operation] = []


def operation(
    scope: Scope, group: str = "", *, name: str = "", home: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function an operation: of that scope, under that noun."""

    def keep(call: Callable[..., Any]) -> Callable[..., Any]:
        OPERATIONS.append(Operation(name or call.__name__.rstrip("_").replace("_", "-"), group, scope, call, home))
        return call

    return keep


def load() -> list[Operation]:
    """Return every operation."""
    for noun in NOUNS:
        importlib.import_module(f"services.operations.{noun}")
    return OPERATIONS
