"""Rollback restores generation k bit for bit: greedy answers, log-probabilities, memory, procedure and objectives."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from metaevo.engines.protocol import Job, Sampling
from metaevo.ledger.lineage import Lineage, promote
from metaevo.types import Attempt, Experience, Generation, Lora, StepSpec, TrainSpec, Turn, solved
from objectives.types import Message, Split
from services.actions.eval import REFINE
from services.home.home import Home
from services.home.open import App, open_home
from services.reports.plan import plan
from tests.journeys import small
from tests.journeys.terminal import metaevo

PROBES = 100
PROCEDURE = (
    StepSpec("solutions", "direct_sampling", {"k": 1, "temperature": 0.0, "top_p": 1.0}),
    StepSpec("feedback", REFINE[0], {"temperature": 0.0}),
    StepSpec("refinement", REFINE[1], {"max_iters": 1, "temperature": 0.0, "keep_best": True}),
)


@dataclass(frozen=True)
class Picture:
    """Everything a generation is: what it says, how sure it is, what it remembers, how it answers, what it was for."""

    texts: list[str]
    logprobs: list[float | None]
    scored: list[float | None]
    memory: bytes | None
    answer: tuple[StepSpec, ...]
    objective: Any
    parts: dict[str, str]


def prompts(app: App) -> list[tuple[Message, ...]]:
    cells = [(name, level) for name in ("sorting", "extremes") for level in (4, 5)]
    drawn = app.host.graders.draw_many([(n, level, Split.PROBE, 3, 0, PROBES // 4) for n, level in cells])
    return [task.prompt for cell in drawn for task in cell.tasks]


def picture(app: App, which: str = "champion") -> Picture:
    generation, engine = app.host.lineage.get(which), app.host.engine
    asked = prompts(app)
    assert len(asked) == PROBES
    said = [row[0] for row in engine.sample(generation, asked, Sampling(max_tokens=16))]
    wanted = ["".join(sorted(prompt[-1].content)) for prompt in asked]
    scored = engine.score(generation, asked, wanted)
    digest = generation.parts.get("memory")
    memory = (app.host.store.tree(digest) / "memory.json").read_bytes() if digest else None
    row = app.host.lineage.row(generation.id)
    return Picture(
        [c.text for c in said],
        [c.logprob for c in said],
        [c.logprob for c in scored],
        memory,
        generation.answer,
        row.objective,
        dict(generation.parts),
    )


def train(app: App, id_: str, level: int, spec: TrainSpec, answer: tuple[StepSpec, ...]) -> None:
    """Train the champion for a moment on right answers, give it a memory, publish it, and make it the champion."""
    host, parent = app.host, app.host.lineage.get("champion")
    module = host.registry.get("update", "supervised_finetune")
    tasks = host.graders.draw("sorting", level, Split.TRAIN, 1, 0, 32).tasks
    right = [Attempt(t, solved((Turn("assistant", t.reference or str(t.answer), "seed"),))) for t in tasks]
    rows = tuple(Experience(attempt, (), 1.0) for attempt in right)
    knobs = {"lr": 2e-3, "steps": 4, "batch": 16}
    job = Job("update", module.name, module.digest, knobs, 5, id_, parent.id, parent, f"made-{id_}", spec=spec)
    done = host.engine.train(job, rows, lambda what, payload: None)
    aside = host.store.scratch(f"memory-{id_}")
    (aside / "memory.json").write_text(json.dumps({"learned in": id_, "cards": [row.attempt.task.id for row in rows]}))
    parts = {**done.parts, "memory": host.store.put_tree(aside, {"kind": "memory"})}
    made = Generation(id_, parent.id, parts, answer)
    objective = {"ability": "other", "direction": "performance", "cells": [f"sorting/{level}"], "reason": id_}
    manifest = host.store.put(json.dumps({"id": id_, "parts": parts}).encode())
    host.lineage.publish(made, manifest=manifest, objective=objective | {"rule": "by hand"})
    with host.ledger.transaction() as connection:
        promote(connection, host.ledger, id_, who="test", why="made by hand", evidence={})


@dataclass(frozen=True)
class Line:
    """A home whose champion is g000003, and a picture of every generation, taken while it was the champion."""

    home: Path
    pictures: dict[str, Picture]


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Line:
    home = small.create(tmp_path_factory.mktemp("past") / "home")
    pictures = {}
    with open_home(home, engines=1) as app:
        pictures["g000000"] = picture(app)
        steps = [(4, TrainSpec(Lora(4, 8)), ()), (5, TrainSpec(Lora(4, 8)), PROCEDURE), (4, TrainSpec(), ())]
        for trial, (level, spec, answer) in enumerate(steps, 1):
            (id_,) = app.host.lineage.reserve(1, trial, 1, app.host.lineage.alias("champion"))
            train(app, id_, level, spec, answer)
            pictures[id_] = picture(app)
    return Line(home.path, pictures)


@pytest.fixture
def line(past: Line, tmp_path: Path) -> Line:
    shutil.copytree(past.home, tmp_path / "home")
    return Line(tmp_path / "home", past.pictures)


def now(line: Line) -> Picture:
    """Look at the champion through engines of its own: nothing that was in memory before can help."""
    with open_home(Home(line.home), engines=1) as app:
        return picture(app)


def status(line: Line) -> dict[str, str]:
    return {row["id"]: row["status"] for row in metaevo("--json", "generations", home=line.home).data}


def test_the_generations_differ_or_nothing_is_shown(past: Line) -> None:
    made = list(past.pictures.values())
    assert len(made) == 4
    for name in ("texts", "logprobs", "scored", "memory", "parts"):
        assert len({str(getattr(picture, name)) for picture in made}) == 4, name
    assert [len(picture.answer) for picture in made] == [0, 0, 3, 0]


@pytest.mark.parametrize("target", ["g000002", "g000001", "g000000"])
def test_rollback_restores_a_generation_bit_for_bit(line: Line, target: str) -> None:
    said = metaevo("--json", "rollback", "--to", target, "--reason", "it got worse", home=line.home).data
    assert said == {"left": "g000003", "champion": target, "reason": "it got worse"}
    assert now(line) == line.pictures[target]
    found = status(line)
    assert found[target] == "champion"
    assert found["g000003"] == "quarantined"
    between = [id_ for id_ in found if target < id_ < "g000003"]
    assert {found[id_] for id_ in between} <= {"retired"}
    assert metaevo("--json", "fsck", home=line.home).data["clean"]


def test_rollback_goes_to_the_champion_before_and_then_to_the_one_before_that(line: Line) -> None:
    for left, target in (("g000003", "g000002"), ("g000002", "g000001"), ("g000001", "g000000")):
        said = metaevo("--json", "rollback", "--reason", "further back", home=line.home).data
        assert (said["left"], said["champion"]) == (left, target)
        assert status(line)[left] == "quarantined"
    assert now(line) == line.pictures["g000000"]
    refused = metaevo("rollback", "--reason", "further back", home=line.home, code=2).err
    assert refused == "metaevo: g000000 has no ancestor that was champion: nothing to roll back to\n"
    moves = [(row["before"], row["after"]) for row in champions(line)]
    assert moves[-3:] == [("g000003", "g000002"), ("g000002", "g000001"), ("g000001", "g000000")]
    assert metaevo("--json", "fsck", home=line.home).data["clean"]


def champions(line: Line) -> list[dict[str, Any]]:
    ledger = Home(line.home).ledger()
    try:
        return [asdict(row) for row in Lineage(ledger).moves("champion")]
    finally:
        ledger.close()


def test_who_when_why_is_kept_and_ask_answers_with_the_restored_one(line: Line) -> None:
    before = line.pictures["g000001"]
    metaevo("rollback", "--to", "g000001", "--reason", "customers complain", home=line.home)
    row = champions(line)[-1]
    assert (row["who"], row["why"], row["evidence"]) == ("operator", "customers complain", {"rollback": True})
    with open_home(Home(line.home), engines=1) as app:
        asked = prompts(app)
    told = next(i for i, text in enumerate(before.texts) if text != line.pictures["g000003"].texts[i])
    said = metaevo("--json", "ask", asked[told][-1].content, home=line.home).data
    assert said["generation"] == "g000001"
    assert said["answer"] == before.texts[told]
    shown = metaevo("--json", "show", "champion", home=line.home).data
    assert (shown["id"], shown["objective"]["cells"], shown["parts"]) == ("g000001", ["sorting/4"], before.parts)


REFUSED = (
    ("g000099", "no generation 'g000099'; `metaevo generations` lists them"),
    ("best", "no generation 'best'; `metaevo generations` lists them"),
    ("g000003", "--to g000003: it is the champion already"),
    ("champion", "--to g000003: it is the champion already"),
)


@pytest.mark.parametrize(("target", "said"), REFUSED)
def test_what_cannot_be_gone_back_to_is_refused_by_name(line: Line, target: str, said: str) -> None:
    result = metaevo("rollback", "--to", target, "--reason", "x", home=line.home, code=2)
    assert result.err == f"metaevo: {said}\n"
    assert status(line)["g000003"] == "champion"


def test_a_generation_that_was_left_is_no_way_forward(line: Line) -> None:
    metaevo("rollback", "--to", "g000001", "--reason", "x", home=line.home)
    said = metaevo("rollback", "--to", "g000003", "--reason", "y", home=line.home, code=2).err
    assert said == "metaevo: --to g000003: not an ancestor of the champion g000001; ancestors: g000000\n"
    assert status(line)["g000001"] == "champion"


def test_a_reason_is_needed(line: Line) -> None:
    said = metaevo("rollback", "--to", "g000001", home=line.home, code=2).err
    assert "--reason" in said
    assert status(line)["g000003"] == "champion"


@pytest.mark.parametrize("part", ["policy", "memory"])
def test_a_damaged_generation_is_not_gone_back_to(line: Line, part: str) -> None:
    folder = line.home / "artifacts" / "trees" / line.pictures["g000001"].parts[part]
    victim = max((path for path in folder.iterdir() if path.name != "manifest.json"), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    said = metaevo("rollback", "--to", "g000001", "--reason", "x", home=line.home, code=1).err
    assert str(victim) in said
    assert "missing or changed" in said
    assert status(line)["g000003"] == "champion"
    assert metaevo("--json", "rollback", "--to", "g000000", "--reason", "x", home=line.home).data["left"] == "g000003"


def test_a_home_at_work_is_left_alone(line: Line) -> None:
    with Home(line.home).held():
        said = metaevo("rollback", "--reason", "x", home=line.home, code=3).err
    assert f"held by process {os.getpid()}" in said
    assert status(line)["g000003"] == "champion"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home after one cycle of the scripted engine, and the generation it promoted."""
    home = small.create(tmp_path_factory.mktemp("promoted") / "home")
    (first,) = small.evolve(home)
    assert first.outcome == "promote"
    return home.path, first.candidate.id


def test_objectives_go_back_too(promoted: tuple[Path, str], tmp_path: Path) -> None:
    home = Home(shutil.copytree(promoted[0], tmp_path / "home"))
    then = plan(home, make=small.engines())
    (second,) = small.evolve(home)
    assert second.outcome == "promote"
    assert second.objective is not None
    assert [str(cell) for cell in second.objective.cells] == list(then.objective.cells)
    after = plan(home, make=small.engines())
    metaevo("rollback", "--reason", "x", home=home.path)
    again = plan(home, make=small.engines())
    assert again.champion == then.champion == promoted[1]
    assert again.objective == then.objective
    assert again.parked == then.parked
    assert after.objective != then.objective
    status = metaevo("--json", "status", home=home.path).data
    row = metaevo("--json", "show", "champion", home=home.path).data
    assert status["objective"] == row["objective"]


def test_a_cycle_that_stands_on_what_was_left_ends_as_void_and_the_next_one_runs(
    promoted: tuple[Path, str], tmp_path: Path
) -> None:
    home = Home(shutil.copytree(promoted[0], tmp_path / "home"))
    with pytest.raises(KeyboardInterrupt):
        small.evolve(home, watched=lambda _app, evolution: setattr(evolution, "on_step", interrupted))
    assert metaevo("--json", "status", home=home.path).data["phase"] == "search"
    left = metaevo("--json", "rollback", "--reason", "x", home=home.path).data
    status = metaevo("--json", "status", home=home.path).data
    assert status["phase"] is None
    assert (status["last_decision"]["cycle"], status["last_decision"]["outcome"]) == (2, "void")
    assert status["last_decision"]["why"] == f"rolled back to {left['champion']}"
    (third,) = small.evolve(home)
    assert (third.number, third.outcome) == (3, "promote")
    ledger = home.ledger()
    row = Lineage(ledger).row(third.candidate.id)
    ledger.close()
    assert row.parent == left["champion"] == "g000000"
    assert metaevo("--json", "fsck", home=home.path).data["clean"]


def interrupted(key: Any, done: bool) -> None:
    if key[4] == "solutions" and done:
        raise KeyboardInterrupt
