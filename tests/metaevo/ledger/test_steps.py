"""Names of journal steps: declared once, each of one phase, and never another than what old ledgers have."""

import ast
from pathlib import Path

import pytest

import metaevo
from metaevo.ledger.steps import Phase, StepName, phase_of
from metaevo.registry.slots import SLOTS

ROOT = Path(metaevo.__file__).parents[1]
PLACES = {"key": 0, "pairs": 0}
"""Methods that take the name of a step, and where."""
GENERAL = {
    "metaevo/gate/exam.py",
    "metaevo/ledger/journal.py",
    "metaevo/runtime/step_runner.py",
    "metaevo/runtime/training.py",
}
"""Files that pass on the name they were given: an examination's step, a slot."""

OLD = {
    *("diagnose", "objective", "pool", "archive", "score", "search.ask", "search.random", "anchor"),
    *("kernel", "kernels", "kernel.rows", "kernel.trial"),
    *("tasks", "solutions", "feedback", "refinement", "stability", "update", "consolidation", "evaluation"),
    *("screen", "confirm", "protect", "guard_cost", "guard_tokens"),
}
"""The names that ledgers of schema 2 have: written out, for a renamed one would make them unreadable."""
SINCE = {"guard_artifact", "door", "exact", "told"}
"""Names that came later."""


def used() -> list[tuple[str, str]]:
    """Return (place, name) of every step name in our code; what is no name and no constant is returned as it is."""
    found = []
    for path in sorted((*ROOT.glob("metaevo/**/*.py"), *ROOT.glob("services/**/*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PLACES):
                continue
            if not node.args:
                continue
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            match node.args[PLACES[node.func.attr]]:
                case ast.Attribute(value=ast.Name(id="StepName"), attr=member):
                    found.append((place, StepName[member].value))
                case ast.Constant(value=str(name)):
                    found.append((place, name))
                case other if str(path.relative_to(ROOT)) not in GENERAL:
                    found.append((place, ast.unparse(other)))
    return found


def test_every_name_that_is_used_is_declared() -> None:
    names = used()
    assert len(names) > 15
    unknown = [f"{place}: {name}" for place, name in names if name not in set(StepName)]
    assert not unknown, "\n".join(unknown)


def test_every_slot_is_the_name_of_a_step() -> None:
    assert set(SLOTS) - {"objective"} <= set(StepName)


def test_every_name_has_a_phase_and_an_unknown_one_is_an_error() -> None:
    assert {name.phase for name in StepName} == set(Phase)
    assert phase_of("confirm", 0) is Phase.EXAMINE
    assert phase_of("score", 0) is phase_of("update", 3) is phase_of("anything", 1) is Phase.SEARCH
    with pytest.raises(ValueError, match="guess"):
        phase_of("guess", 0)


def test_names_are_what_every_ledger_has() -> None:
    assert set(StepName) == OLD | SINCE
