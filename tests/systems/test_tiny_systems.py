"""RFT, SPIN and GRPO with a few real steps on the built-in model: weights move, stay finite and come back from disk."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from metaevo import prompts, trial
from metaevo.artifacts import base
from metaevo.artifacts.bodies import BodyStore
from metaevo.artifacts.store import Store
from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Sampling
from metaevo.evolution.bootstrap import publish_base
from metaevo.ledger.journal import Journal
from metaevo.ledger.ledger import open_ledger
from metaevo.recipes import schema
from metaevo.recipes.schema import Recipe
from metaevo.registry.registry import Registry
from metaevo.runtime.effects import CycleArchive
from metaevo.runtime.host import Host
from metaevo.tiny import CHECKPOINT
from metaevo.trial import TrialData
from metaevo.types import Experiences, Generation, Trial
from tests.systems.bench import CountingPool

FEW = {"n": 24, "steps": 4, "k": 4, "prompts": 4, "group": 4, "batch": 16, "rho": 0.0}
SYSTEMS = ("rft", "spin", "grpo")


@dataclass
class Home:
    """A host on the real engine, and one trial of each system."""

    host: Host
    engine: EngineClient
    base: Generation
    pool: CountingPool
    trials: dict[str, Trial]
    graded: dict[str, int]
    """Answers the environments graded while a system ran."""

    def trial(self, name: str) -> Trial:
        """Run a system once; a second question finds the first run."""
        if name not in self.trials:
            seeds, aimed, protected = self.pool.drawn(self.host, 24)
            ids = frozenset(task.id for task in aimed)
            archive = CycleArchive(self.host, (), BodyStore(self.host.store).write(()))
            ground = TrialData(self.base, self.base, seeds, archive, (*aimed, *protected), ids)
            journal = Journal(self.host.ledger, self.host.store, 1)
            recipe, cycle = lighter(schema.load(name, self.host.registry)), len(self.trials) + 1
            self.pool.asked = 0
            self.trials[name] = trial.run(self.host, journal, self.engine, recipe, ground, cycle=cycle, number=1)
            self.graded[name] = self.pool.asked
        return self.trials[name]

    def made(self, name: str) -> Generation:
        found_ = self.trial(name)
        assert found_.failure == ""
        assert found_.generation is not None
        return found_.generation

    def manifest(self, name: str) -> dict[str, Any]:
        row = self.host.lineage.row(self.made(name).id)
        return dict(json.loads(self.host.store.get(row.manifest or "")))

    def rows(self, name: str) -> Experiences:
        """Return what the last update of a system was trained on."""
        rows: Experiences = BodyStore(self.host.store).read(self.manifest(name)["data"], None)
        return rows


def lighter(recipe: Recipe) -> Recipe:
    """Return the recipe with the same modules and few of everything."""
    data = recipe.model_dump()
    for stage in data["stage"]:
        steps = [step for value in stage.values() for step in (value if isinstance(value, (list, tuple)) else [value])]
        for step in steps:
            if isinstance(step, dict):
                step["knobs"] = {name: FEW.get(name, value) for name, value in step["knobs"].items()}
    return Recipe.model_validate(data)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("tiny")
    store, pool = Store(folder / "artifacts"), CountingPool()
    engine = EngineClient(store, threads=1)
    ledger = open_ledger(folder / "metaevo.db", create=True)
    try:
        host = Host(ledger, store, Registry(), pool, [engine], pool.known, prompts.load("tiny"), answer_tokens=16)
        yield Home(host, engine, publish_base(host, base.refer(store, CHECKPOINT, "the test")), pool, {}, {})
    finally:
        engine.close()
        pool.close()
        ledger.close()


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_few_steps_move_the_weights_and_leave_the_base_as_it_was(home: Home, name: str) -> None:
    made = home.made(name)
    assert made.parts["policy"] != home.base.parts["policy"]
    assert home.host.lineage.get("champion") == home.base
    assert home.host.lineage.row(made.id).status == "intermediate"


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_weight_and_every_probe_is_finite(home: Home, name: str) -> None:
    (file,) = home.host.store.tree(home.made(name).parts["policy"]).glob("*.safetensors")
    weights = load_file(file)
    assert weights
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())
    assert all(math.isfinite(probe["logprob"]) for probe in home.manifest(name)["probes"])


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_artifact_read_from_disk_answers_as_when_it_was_published(home: Home, name: str) -> None:
    told = [(probe["text"], probe["logprob"]) for probe in home.manifest(name)["probes"]]
    assert [(probe.text, probe.logprob) for probe in home.engine.probe(home.made(name))] == told
    base_probes = [(probe.text, probe.logprob) for probe in home.engine.probe(home.base)]
    assert base_probes != told


@pytest.mark.parametrize("name", ["rft", "spin"])
def test_what_was_trained_on_became_likelier(home: Home, name: str) -> None:
    rows = home.rows(name)
    asked, texts = [row.attempt.task.prompt for row in rows], [row.attempt.solution.text for row in rows]
    start = home.host.lineage.get(home.manifest(name)["start"])
    before, after = (
        [completion.logprob or 0.0 for completion in home.engine.score(which, asked, texts)]
        for which in (start, home.made(name))
    )
    assert sum(after) > sum(before)


def test_rft_trained_on_right_answers_only(home: Home) -> None:
    seeds, _, _ = home.pool.drawn(home.host, 24)
    known = {task.id: task.reference for task in seeds}
    rows = home.rows("rft")
    assert len(rows) >= 4
    assert all(row.attempt.solution.text == known[row.attempt.task.id] for row in rows)


def test_spin_s_second_round_stands_against_its_first(home: Home) -> None:
    start = home.manifest("spin")["start"]
    assert start not in (home.base.id, home.made("spin").id)
    assert {row.rejected.solution.turns[0].by for row in home.rows("spin") if row.rejected} == {start}


def test_the_environments_graded_what_each_system_asks_of_them(home: Home) -> None:
    for name in SYSTEMS:
        home.made(name)
    online = FEW["steps"] * FEW["prompts"] * FEW["group"]
    assert home.graded == {"rft": FEW["n"] * FEW["k"], "spin": 0, "grpo": online}


def test_a_new_engine_process_gives_the_same_answers(home: Home) -> None:
    made = home.made("rft")
    asked = [task.prompt for task in home.pool.drawn(home.host, 24)[1][:16]]
    before = home.engine.sample(made, asked, Sampling(max_tokens=16))
    home.engine.close()
    assert home.engine.sample(made, asked, Sampling(max_tokens=16)) == before
