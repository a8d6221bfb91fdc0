"""Guards: each may veto a promotion for one reason of its own, with numbers. One guard a file, found by being here.

A guard is a function with its file's name, ``(exam, case) -> GuardFinding | None``; None says that the case gives it
nothing to judge. ``NAME`` is what verdicts and the ledger call it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from metaevo.gate.case import Case
from metaevo.gate.evidence import GuardFinding
from metaevo.gate.exam import GateExam

Guard = Callable[[GateExam, Case], GuardFinding | None]


@dataclass(frozen=True, slots=True)
class NamedGuard:
    """A guard and the name that verdicts give it."""

    name: str
    judge: Guard


@cache
def guards() -> tuple[NamedGuard, ...]:
    """Return every guard of this folder, in the order of the files' names."""
    found = []
    for stem in sorted(module.name for module in iter_modules(__path__)):
        module = import_module(f"{__name__}.{stem}")
        found.append(NamedGuard(module.NAME, getattr(module, stem)))
    return tuple(found)


def ask_guards(exam: GateExam, case: Case) -> dict[str, GuardFinding]:
    """Return what each guard found that had something to judge, by its name."""
    said = {guard.name: guard.judge(exam, case) for guard in guards()}
    return {name: finding for name, finding in said.items() if finding is not None}
