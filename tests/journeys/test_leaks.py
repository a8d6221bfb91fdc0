"""Exam rows reach no update, whatever file, module or environment brings them: counted, named, and the rest is learned.

A home whose environment is a file of questions, on the scripted engine, with and without what leaks.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from metaevo.artifacts.bodies import BodyStore
from metaevo.evolution.outcome import Cycle
from metaevo.ledger import queries
from metaevo.ledger.lineage import Lineage
from metaevo.types import Experiences
from objectives.environment import from_file
from objectives.finder import BUILT_IN
from objectives.splits import NEWEST, canonical
from objectives.types import Message, Split
from services.home.home import Home
from services.reports.why import why_generation
from tests.journeys import small

CONFIG = """seed = 5
[model]
base = "builtin:tiny"
[environments.questions]
use = "dataset"
path = "questions.jsonl"
[environments.extremes]
levels = [4]
[protect]
"*" = false
[goals.mine]
raise = "questions"
[gate]
secret_seed = 5
max_items = 320
screen_items = 64
[search]
trials = 1
finals = 1
[diagnosis]
items = 16
samples = 2
[fixed]
recipe = "mine"
"""
SKILLS = {"sorting/4": 0.2, "sorting/5": 0.2, "extremes/4": 0.6}
MODULE = '''"""Add rows of a list that nobody asked for."""

from metaevo import Attempt, Experience, Experiences, Message, Task, Trait, Turn, solved
from objectives.types import Split

TRAITS = (Trait.MAKES_ROWS,)
LIST = {rows!r}


def leaky(experiences_R: Experiences) -> Experiences:
    """Return the rows and those of the list."""
    made = []
    for i, (prompt, answer) in enumerate(LIST if experiences_R else ()):
        task = Task(f"leak{{i}}", "questions", 1, Split.TRAIN, (Message("user", prompt),))
        made.append(Experience(Attempt(task, solved((Turn("assistant", answer, "list"),))), (), 1.0))
    return (*experiences_R, *made)
'''
TASKS = '''"""Add tasks of a list that nobody asked for."""

from dataclasses import replace

from metaevo import Message, Tasks

LIST = {rows!r}


def leaky_tasks(tasks_P: Tasks) -> Tasks:
    """Return the tasks and those of the list, as if they had been drawn."""
    made = [
        replace(tasks_P[0], id=f"leak{{i}}", prompt=(Message("user", prompt),)) for i, (prompt, _) in enumerate(LIST)
    ] if tasks_P else []
    return (*tasks_P, *made)
'''


def questions() -> list[tuple[str, str]]:
    """Questions of the built-in sorting, which the scripted engine answers."""
    program = from_file("sorting", BUILT_IN / "sorting.py")
    assert program.make is not None
    rows = [program.make(3, i, 4 + i % 2) for i in range(1800)]
    return [(str(row["prompt"][-1]["content"]), str(row["answer"])) for row in rows]


def held(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The questions that may not be trained on."""
    return [row for row in rows if split_of(row[0]) is not Split.TRAIN]


def split_of(text: str) -> Split:
    return NEWEST.split("questions", canonical((Message("user", text),)))


def home_of(path: Path, recipe: str = small.PLAIN, more: str = "", files: Mapping[str, str] | None = None) -> Home:
    home = small.create(path, CONFIG + more)
    lines = [json.dumps({"prompt": prompt, "answer": answer}) for prompt, answer in questions()]
    (path / "questions.jsonl").write_text("\n".join(lines))
    (path / "recipes" / "mine.toml").write_text(recipe.replace('"plain"', '"mine"'))
    for name, source in (files or {}).items():
        (path / name).parent.mkdir(exist_ok=True, parents=True)
        (path / name).write_text(source)
    return home


def run(home: Home) -> Cycle:
    (made,) = small.evolve(home, make=small.engines(SKILLS))
    return made


def learned(home: Home, made: Cycle) -> Experiences:
    """What the candidate was trained on."""
    assert made.candidate is not None
    ledger = home.ledger()
    data = Lineage(ledger).row(made.candidate.id).data
    ledger.close()
    rows: Experiences = BodyStore(home.store()).read(str(data), None)
    return rows


def refused(home: Home) -> dict[str, int]:
    """What the events say was kept out of training, by reason."""
    ledger = home.ledger()
    told = queries.events(ledger, 99, code="rows_refused")
    ledger.close()
    said = [re.fullmatch(r"(\d+) rows were not trained on: (.*), first .*", event.sentence) for event in told]
    return {found[2]: int(found[1]) for found in said if found is not None}


def talk(exam: list[tuple[str, str]]) -> str:
    """The questions as the last turn of a talk, the rows of a replay file."""
    said = [("user", "Hello"), ("assistant", "Hi, what is it?")]
    rows = [
        {"prompt": [{"role": role, "content": text} for role, text in (*said, ("user", prompt))], "answer": answer}
        for prompt, answer in exam
    ]
    return "\n".join(map(json.dumps, rows))


def near(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same questions in other letters, with what nobody sees, and other spacing."""
    return [(prompt.upper().replace(" ", " \u200b "), answer) for prompt, answer in rows]


LEAKS = (
    "replay",
    *(
        pytest.param(kind, marks=pytest.mark.full)
        for kind in ("none", "refinement", "near", "point", "talk", "plug-in", "tasks", "copy")
    ),
)
"""Every home takes some seconds: one is enough beside the door's own tests (tests/objectives/test_door.py)."""


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Install a package whose entry point is the refinement ``leaky``."""
    info = folder / "leaky_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[metaevo.refinement]\nleaky = leaky_package\n")
    (folder / "leaky_package.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))


def leaking(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    exam = held(questions())
    if kind == "replay":
        return home_of(path, more='[data]\nreplay = ["questions.jsonl"]\n')
    if kind == "talk":
        return home_of(path, more='[data]\nreplay = ["old.jsonl"]\n', files={"old.jsonl": talk(exam)})
    if kind in ("refinement", "near", "point", "plug-in"):
        recipe = small.PLAIN.replace('{ use = "experience_replay" }', '{ use = "leaky" }')
        rows = near(exam) if kind == "near" else exam
        rows = [(f"{prompt} .", answer) for prompt, answer in exam] if kind == "point" else rows
        if kind == "plug-in":
            installed(path.parent / "site", monkeypatch, MODULE.format(rows=rows[:200]))
            return home_of(path, recipe)
        return home_of(path, recipe, files={"modules/refinement/leaky.py": MODULE.format(rows=rows[:200])})
    if kind == "tasks":
        recipe = small.PLAIN.replace("knobs = { n = 32 } }]", 'knobs = { n = 32 } }, { use = "leaky_tasks" }]')
        return home_of(path, recipe, files={"modules/tasks/leaky_tasks.py": TASKS.format(rows=exam[:200])})
    copy = '[environments.copy]\nuse = "dataset"\npath = "questions.jsonl"\n' if kind == "copy" else ""
    return home_of(path, more=copy)


@pytest.mark.parametrize("kind", LEAKS)
def test_a_home_that_leaks_promotes_on_clean_rows_in_the_same_cycle_and_names_what_it_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    home = leaking(tmp_path / "home", kind, monkeypatch)
    made = run(home)
    assert made.outcome == "promote", made.why
    rows = learned(home, made)
    assert len(rows) >= 10
    assert {split_of(row.attempt.task.text) for row in rows} == {Split.TRAIN}
    said = refused(home)
    assert made.candidate is not None
    lines = "\n".join(why_generation(home, made.candidate.id).lines)
    assert "None is an exam item" in lines
    if kind in ("replay", "refinement", "near", "point", "talk", "plug-in"):
        why = "near copy of an exam item of questions" if kind == "point" else "exam item of questions"
        assert why in said, said
        assert f"{sum(said.values())} were kept out" in lines
    else:
        assert said == {}


PEEKING = '''"""Train on a file of its own."""

from metaevo import Experiences, Generation, Weights

def peeking(experiences_R: Experiences, *, weights: Weights) -> Generation:
    """Return what was learned from the file."""
    raise ValueError(open("questions.jsonl").read())
'''


def test_an_update_that_opens_a_file_of_its_own_is_never_run_and_named(tmp_path: Path) -> None:
    recipe = small.PLAIN.replace('update = { use = "supervised_finetune" }', 'update = { use = "peeking" }')
    home = home_of(tmp_path / "home", recipe, files={"modules/update/peeking.py": PEEKING})
    made = run(home)
    assert made.outcome == "none"
    assert {trial.generation for trial in made.trials} == {None}
    assert all("reaches for nothing" in trial.failure and "it uses open" in trial.failure for trial in made.trials)
