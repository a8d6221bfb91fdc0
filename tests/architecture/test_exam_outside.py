"""The exam is outside of evolution: nothing a recipe, a knob or an objective says reaches it.

Statically: what the gate decides by is built in three places, and of an objective only its cells come near them.
Behaviourally: whole cycles whose recipes and rules differ in everything they can say are examined alike.
"""

import ast
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from metaevo.evolution.context import CycleSettings
from metaevo.gate.case import Case
from metaevo.gate.exam import GateExam
from metaevo.gate.settings import GateRules
from metaevo.recipes.schema import Recipe, load
from metaevo.registry.registry import Registry
from metaevo.registry.slots import RECIPE_SLOTS
from metaevo.search.run import SearchRules
from metaevo.types import Knob
from objectives.goals import Goals, Protection, Rule
from objectives.types import Objective, Split
from tests.architecture import tree
from tests.architecture.exams import Sealed, sealed
from tests.architecture.small import evolved
from tests.recipes import rft

GATE = sorted((tree.ROOT / "metaevo" / "gate").rglob("*.py"))
CYCLE = ast.parse((tree.ROOT / "metaevo" / "evolution" / "cycle.py").read_text("utf-8"))
DECIDES_BY = (GateRules, GateExam, Case, Goals, Rule, Protection, CycleSettings, SearchRules, Split)
SAYS = {
    "candidate": {"candidate"},
    "parent": {"state"},
    "reference": {"state"},
    "cells": {"cells"},
    "rules": {"settings", "host"},
    "dev_gain": {"dev_gain"},
    "epoch": {"state"},
    "manifest": {"host", "candidate"},
    "answer_tokens": {"settings"},
    "held": {"hold", "resume"},
    "held_k": {"hold"},
    "stream": {"hold"},
    "outcomes": {"hold"},
    "best": {"state"},
    "pinned": {"state"},
    "approval": {"settings"},
}
"""Where each thing the gate decides about comes from. ``settings`` is the operator's, ``state`` and ``hold`` the
ledger's; the objective gives ``cells``, the search ``candidate`` and ``dev_gain``, and nothing else."""

LATER = {"partial": {"found", "objective"}}
"""What the diagnosis says of the objective's cells: that scores between 0 and 1 are known there. It only takes a test
away."""


SHOWN = ("services/reports/goals.py", "services/reports/environments.py")
"""These compute the smallest provable gain from the operator's rules and print it; no cycle runs there."""


def types_in(kind: Any, seen: set[Any] | None = None) -> set[Any]:
    """Return every class reachable from the fields of a record."""
    seen = set() if seen is None else seen
    for inner in typing.get_args(kind):
        types_in(inner, seen)
    if not isinstance(kind, type) or kind in seen:
        return seen
    seen.add(kind)
    if issubclass(kind, BaseModel):
        for info in kind.model_fields.values():
            types_in(info.annotation, seen)
    elif dataclasses.is_dataclass(kind):
        for hint in typing.get_type_hints(kind).values():
            types_in(hint, seen)
    return seen


@pytest.mark.parametrize("record", [Recipe, Objective])
def test_no_field_of_a_recipe_or_objective_holds_what_the_gate_decides_by(record: type) -> None:
    reached = types_in(record)
    assert reached >= {record, str}
    assert not reached & set(DECIDES_BY)


def test_the_words_of_recipes_and_objectives_are_these_and_no_others() -> None:
    """A new field is read here by a person before it can mean anything to the exam."""
    stage = {"rounds", "start", "combine", "tasks", "solutions", "feedback", "refinement", "stability", "update"}
    words = {kind.__name__: set(kind.model_fields) for kind in types_in(Recipe) if hasattr(kind, "model_fields")}
    prose = {"name", "doc", "system", "arxiv", "observable", "faithful", "prior"}  # prior: which preset is tried first
    assert words == {"Recipe": {*prose, "stage", "consolidation"}, "Stage": stage, "Step": {"use", "knobs"}}
    assert [f.name for f in dataclasses.fields(Objective)] == ["ability", "direction", "cells", "reason", "rule"]


def names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def imported(tree_: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree_):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", GATE, ids=lambda path: path.stem)
def test_the_gate_knows_no_recipe_no_module_and_no_objective(path: Path) -> None:
    parsed = ast.parse(path.read_text("utf-8"))
    ours = {name for name in imported(parsed) if name.startswith(("metaevo", "objectives"))}
    forbidden = (
        "metaevo.recipes",
        "metaevo.modules",
        "metaevo.registry",
        "metaevo.search",
        "metaevo.effects",
        "metaevo.trial",
    )
    assert not [name for name in ours if name.startswith(forbidden) or name.endswith((".Objective", ".StepSpec"))]
    said = {node.attr for node in ast.walk(parsed) if isinstance(node, ast.Attribute)} | names_in(parsed)
    assert not said & {"recipe", "objective", "knobs", "Recipe", "Stage", "Step", "Objective"}


def calls_of(name: str, package: str) -> list[str]:
    """Return where a class is built, as file names."""
    return [
        tree.place(path)
        for path in sorted((tree.ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def test_what_the_gate_decides_by_is_built_from_the_operator_s_settings_alone() -> None:
    assert calls_of("Case", "metaevo") == ["metaevo/evolution/cycle.py"]
    assert calls_of("GateExam", "metaevo") == ["metaevo/evolution/context.py"]
    assert calls_of("GateRules", "metaevo") == []
    assert set(calls_of("GateRules", "services")) <= {"services/home/open.py", *SHOWN}
    assert calls_of("Rule", "metaevo") + calls_of("Rule", "objectives") == ["objectives/goals.py"]
    terms = ast.parse((tree.ROOT / "metaevo" / "evolution" / "context.py").read_text("utf-8"))
    made = [n for n in ast.walk(terms) if isinstance(n, ast.Call) and ast.unparse(n.func) == "GateExam"]
    assert [{word.arg: ast.unparse(word.value) for word in call.keywords} for call in made] == [
        {
            "host": "self.host",
            "journal": "self.journal",
            "engine": "self.host.engine",
            "at": "At(number)",
            "rules": "self.settings.gate",
            "secret": "self.secret",
        }
    ]
    assert not any(call.args for call in made)


def function(name: str) -> ast.FunctionDef:
    return next(node for node in CYCLE.body if isinstance(node, ast.FunctionDef) and node.name == name)


def test_every_fact_of_a_case_comes_from_where_it_may() -> None:
    made = next(
        node
        for node in ast.walk(function("_case"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Case"
    )
    assert {word.arg: names_in(word.value) for word in made.keywords} == SAYS
    calls = [node for node in ast.walk(CYCLE) if isinstance(node, ast.Call) and ast.unparse(node.func) == "replace"]
    (later,) = [call for call in calls if ast.unparse(call.args[0]) == "case"]
    assert {word.arg: names_in(word.value) & {"found", "objective"} for word in later.keywords} == LATER
    assert set(SAYS) | set(LATER) == {field.name for field in dataclasses.fields(Case)}
    local = {ast.unparse(node) for node in ast.walk(function("_case")) if isinstance(node, ast.Assign)}
    assert local == {"settings, host = (tools.settings, tools.host)"}


def test_of_an_objective_only_the_cells_reach_the_case() -> None:
    examined = function("_evolve")
    calls = [n for n in ast.walk(examined) if isinstance(n, ast.Call) and ast.unparse(n.func) == "_case"]
    assert [[ast.unparse(given) for given in call.args] for call in calls] == [
        ["tools", "state", "candidate", "objective.cells", "best.score or 0.0"]
    ]
    for name in ("_case", "_examine_again"):
        assert not names_in(function(name)) & {"objective", "recipe", "recipes", "knobs", "ground"}


GREEDY = '''
"""Keep the tasks as they are; every knob has the name of something the gate decides by."""
from typing import Annotated
from metaevo import Knob, Tasks

def greedy(tasks_P: Tasks, *,
    alpha: Annotated[float, Knob(0.0, 1.0)] = 0.05, max_items: Annotated[int, Knob(1, 9999)] = 1500,
    screen_items: Annotated[int, Knob(1, 400)] = 240, screen_bar: Annotated[float, Knob(-1.0, 1.0)] = 0.015,
    block: Annotated[int, Knob(1, 64)] = 64, none_share: Annotated[float, Knob(0.0, 1.0)] = 0.05,
    odds: Annotated[float, Knob(1.0, 99.0)] = 20.0, protect_items: Annotated[int, Knob(1, 9999)] = 4096,
    margin: Annotated[float, Knob(0.0, 1.0)] = 0.05, floor: Annotated[float, Knob(0.0, 1.0)] = 0.0,
    seed: Annotated[int, Knob(0, 99)] = 11, epoch: Annotated[int, Knob(0, 99)] = 1, protect: bool = True,
) -> Tasks:
    """Return the tasks."""
    return tasks_P
'''
GRABBED = """[[stage.tasks]]
use = "greedy"
alpha = 1.0
max_items = 1
screen_items = 1
screen_bar = -1.0
block = 1
none_share = 1.0
odds = 1.0
protect_items = 1
margin = 1.0
floor = 0.0
seed = 99
epoch = 99
protect = false"""
RULE = '''
"""Raise sorting."""
from metaevo import Cell, History, Objective
{head}

def {name}(history: History) -> Objective:
    """Return the sorting cells."""
    mine = [cell for cell in history.cells if cell.cell.environment == "sorting"]
    if not mine:
        return Objective("other", history.cells[0].direction, (), "nothing to sort", "rule")
    cells = tuple(Cell(cell.cell.environment, cell.cell.level) for cell in mine)
    {body}
'''
PLAIN = 'return Objective(mine[0].ability, mine[0].direction, cells, "because", "rule")'
SAYS_MORE = '''from dataclasses import dataclass, field

@dataclass(frozen=True, slots=True)
class Wish(Objective):
    """An objective that says what it must not."""
    protected: tuple = ()
    rules: tuple = ()
    alpha: float = 1.0
    max_items: int = 1
    answer_tokens: float = 99.0
    seed: int = 99
'''
MUTATES = """
    for cell in history.cells:
        for name, value in {"weight": 0.0, "provable": 0.0, "drop": -1.0, "target": 1.0, "ability": "none"}.items():
            object.__setattr__(cell, name, value)
        object.__setattr__(cell.cell, "environment", "nowhere")
    object.__setattr__(history, "cells", ())
    return Objective("other", cells and mine[0].direction, cells, "because", "rule")
"""
GRABS = """
    cells = tuple(Cell(c.cell.environment, c.cell.level) for c in history.cells if c.cell.environment == "extremes")
    return Objective(mine[0].ability, mine[0].direction, cells, "not asked for", "rule")
"""


def rule(name: str, body: str, head: str = "") -> dict[str, str]:
    return {f"modules/objective/{name}.py": RULE.format(name=name, body=body, head=head)}


def examined(folder: Path, recipe: str, files: dict[str, str], chosen: str = "learning_progress") -> Sealed:
    more = f'[fixed]\nrecipe = "{recipe}"\n[objective]\nrule = "{chosen}"\n'
    (cycle,) = evolved(folder, more, files)
    assert cycle.verdict is not None, cycle.why
    return sealed(folder)


def at_edge(high: bool) -> dict[str, str]:
    """Return a recipe file with every knob of RFT at its lowest or highest searched value, or last choice."""
    registry = Registry()
    whole = load("rft", registry).model_dump(mode="json", exclude={"doc", "system", "observable"})
    for slot in RECIPE_SLOTS[:6]:
        steps = whole["stage"][0][slot]
        for step in steps if isinstance(steps, list) else [steps]:
            for name, knob in registry.get(slot, step["use"]).space.items():
                edge = (knob.high if high else knob.low) if isinstance(knob, Knob) else knob[-1 if high else 0]
                step["knobs"][name] = type(step["knobs"][name])(edge)
    import tomlkit

    return {"recipes/edge.toml": tomlkit.dumps(whole | {"name": "edge"})}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    files = rule("plain", PLAIN) | {"recipes/usual.toml": rft("usual")}
    return examined(tmp_path_factory.mktemp("plain") / "home", "usual", files, "plain")


def test_an_exam_that_reaches_protection_is_what_is_compared(plain: Sealed) -> None:
    assert plain.cells == ("sorting/4", "sorting/5")
    assert {step for step, _ in plain.asked} == {"screen", "confirm", "protect", "guard_cost"}
    assert [(what, against, limit) for what, against, limit, _ in plain.protected] == [("other", "parent", -0.05)]
    assert len(plain.asked["protect", 0]) >= 256


def test_a_rule_that_says_more_than_an_objective_changes_nothing(tmp_path: Path, plain: Sealed) -> None:
    files = rule("says_more", PLAIN.replace("Objective(", "Wish("), SAYS_MORE) | {"recipes/usual.toml": rft("usual")}
    assert examined(tmp_path / "home", "usual", files, "says_more") == plain


def test_a_rule_that_would_change_what_it_was_shown_is_refused_by_name(tmp_path: Path) -> None:
    (cycle,) = evolved(tmp_path / "home", '[objective]\nrule = "mutates"\n', rule("mutates", MUTATES))
    assert (cycle.outcome, cycle.trials, cycle.verdict) == ("void", (), None)
    assert "objective.mutates breaks the law 'reaches for nothing': it uses .__setattr__" in cycle.why


@pytest.mark.parametrize("recipe", ["lowest", "highest", "grabbed"])
def test_no_knob_reaches_thresholds_seeds_item_counts_or_protection(tmp_path: Path, plain: Sealed, recipe: str) -> None:
    files = rule("plain", PLAIN)
    if recipe == "grabbed":
        files |= {"recipes/edge.toml": rft("edge", tasks=GRABBED), "modules/tasks/greedy.py": GREEDY}
    else:
        files |= at_edge(recipe == "highest")
    found = examined(tmp_path / "home", "edge", files, "plain")
    assert found.without_what_was_asked() == plain.without_what_was_asked()
    for step in found.asked.keys() & plain.asked.keys():
        assert found.asked[step] == plain.asked[step], step


def test_a_rule_cannot_make_a_cell_its_goal_that_no_goal_covers(tmp_path: Path) -> None:
    more = '[fixed]\nrecipe = "rft"\n[objective]\nrule = "grabs"\n[goals.sorting]\nraise = "sorting"\n'
    (cycle,) = evolved(tmp_path / "home", more, rule("grabs", GRABS))
    assert (cycle.outcome, cycle.trials) == ("void", ())
    assert "rule rule chose 2 cells" in cycle.why
