"""A small home for single recipes: scripted engine, real graders, everything that was asked is noted."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlmodel import select

from metaevo import prompts, trial
from metaevo.artifacts.bodies import BodyStore, dump
from metaevo.artifacts.store import Store
from metaevo.diagnose import probe_items
from metaevo.engines.grader import Graded, GraderPool, Item
from metaevo.engines.protocol import Ask, Job, Published, Sampling
from metaevo.errors import EngineDied
from metaevo.ledger.journal import Journal
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.tables import StepRow
from metaevo.recipes import schema
from metaevo.recipes.schema import Recipe
from metaevo.registry.registry import Registry
from metaevo.runtime.effects import CycleArchive
from metaevo.runtime.host import Host
from metaevo.testing import ScriptedEngine, Skills
from metaevo.trial import TrialData
from metaevo.types import Attempt, Completion, Experience, Experiences, Generation, Tasks, Trial, Turn, solved
from objectives.finder import Source
from objectives.types import Cell, Messages, Split

NAMES = ("sorting", "extremes")
CELLS = (Cell("sorting", 4), Cell("sorting", 5))
OTHER = Cell("extremes", 4)
BASE = {"sorting/4": 0.4, "sorting/5": 0.4, "extremes/4": 0.7}


class CountingPool(GraderPool):
    """The grader pool, counting what is graded: nothing else is different."""

    def __init__(self) -> None:
        super().__init__([Source(name, name, ".", {"levels": [4, 5]}) for name in NAMES], workers=1)
        self.asked = 0
        self.known = {environment.name: environment for environment in self.describe()}
        self._drawn: dict[int, tuple[Tasks, Tasks, Tasks]] = {}

    def drawn(self, host: Host, each: int) -> tuple[Tasks, Tasks, Tasks]:
        """Return (train, aimed dev, protected dev) tasks, ``each`` train tasks a cell; drawn once."""
        if each not in self._drawn:
            wanted = ((CELLS, each, Split.TRAIN), (CELLS, 24, Split.DEV), ((OTHER,), 24, Split.DEV))
            found = [probe_items(host, 5, n, cells, split) for cells, n, split in wanted]
            made = [tuple(task for tasks in part.values() for task in tasks) for part in found]
            self._drawn[each] = (made[0], made[1], made[2])
        return self._drawn[each]

    def grade(self, environment: str, items: Sequence[Item]) -> list[Graded]:
        self.asked += len(items)
        return super().grade(environment, items)


@dataclass
class NotingEngine(ScriptedEngine):
    """The scripted engine, noting who was asked what and what was trained."""

    sampled: list[tuple[str, tuple[Messages, ...], Sampling]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    rewarded: list[int] = field(default_factory=list)
    deaths: int = 0
    """How often it dies before it answers."""

    def _die(self) -> None:
        if self.deaths > 0:
            self.deaths -= 1
            raise EngineDied("metaevo.runtime.engine_worker ended with signal 9")

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        self._die()
        self.sampled.append((generation.id, tuple(prompts_P), how))
        return ScriptedEngine.sample(self, generation, prompts_P, how)

    def train(self, job: Job, batch: Any, ask: Ask) -> Published:
        self._die()
        self.jobs.append(job)

        def noted(what: str, payload: Any) -> Any:
            self.rewarded.append(len(payload))
            return ask(what, payload)

        return ScriptedEngine.train(self, job, batch, noted)

    def prompts(self, tag: str = "") -> list[tuple[str, str]]:
        """Return (generation, text) of every prompt asked whose text begins with this tag."""
        every = [(who, prompt[-1].content) for who, asked, _ in self.sampled for prompt in asked]
        return [(who, text) for who, text in every if text.startswith(tag)]


@dataclass
class Bench:
    """One home on which recipes are run once each."""

    host: Host
    pool: CountingPool
    engine: NotingEngine
    base: Generation
    cycles: int = 0
    last: Trial | None = None
    graded: int = 0
    """Answers that were graded while the last trial ran."""

    def recipe(self, name: str) -> Recipe:
        """Return a preset."""
        return schema.load(name, self.host.registry)

    def named(self, skills: Skills, parent: str | None) -> Generation:
        """Publish a generation that can do this."""
        self.cycles += 1
        id_ = self.host.lineage.reserve(self.cycles, 0, 1, parent)[0]
        made = Generation(id_, parent, {"policy": self.engine.write(skills)})
        self.host.lineage.publish(made, manifest=self.host.store.put(dump({"id": id_, "parts": made.parts})))
        return made

    def ground(self, parent: Generation, kept: Experiences = (), each: int = 32) -> TrialData:
        """Return what a trial on `CELLS` stands on: the same items for every trial on as many."""
        seeds, aimed, protected = self.pool.drawn(self.host, each)
        ids = frozenset(task.id for task in aimed)
        archive = CycleArchive(self.host, kept, BodyStore(self.host.store).write(kept))
        return TrialData(parent, self.base, seeds, archive, (*aimed, *protected), ids)

    def run(self, recipe: Recipe, parent: Generation | None = None, kept: Experiences = (), each: int = 32) -> Trial:
        """Run a recipe once from this parent (default: the base); what earlier runs asked is forgotten."""
        self.cycles += 1
        ground = self.ground(parent or self.base, kept, each)
        self.engine.sampled.clear()
        self.engine.jobs.clear()
        self.engine.rewarded.clear()
        self.pool.asked = 0
        journal = Journal(self.host.ledger, self.host.store, 1)
        made = trial.run(self.host, journal, self.engine, recipe, ground, cycle=self.cycles, number=1)
        self.last, self.graded = made, self.pool.asked
        return made

    def published(self) -> list[dict[str, Any]]:
        """Return the manifests of the last run's generations, in order."""
        rows = [row for row in self.host.lineage.rows(intermediate=True) if row.cycle == self.cycles and row.trial]
        return [json.loads(self.host.store.get(row.manifest or "")) for row in rows]

    def trained(self) -> list[Experiences]:
        """Return the rows each of the last run's trainings was given."""
        shelf = BodyStore(self.host.store)
        return [shelf.read(made["data"], None) for made in self.published() if made["data"]]

    def steps(self) -> list[tuple[int, int, str, str, dict[str, Any]]]:
        """Return (stage, round, slot, module, counts) of the last run's steps."""
        with self.host.ledger.read() as session:
            rows = session.exec(select(StepRow).where(StepRow.cycle == self.cycles, StepRow.trial == 1)).all()
        return [(row.stage, row.round, row.step, row.module, dict(row.counts)) for row in rows]


def right(rows: Experiences, known: dict[str, str]) -> list[bool]:
    """Return for every row whether its answer is the environment's."""
    return [row.attempt.solution.text == known[row.attempt.task.id] for row in rows]


def kept_rows(bench: Bench, n: int) -> Experiences:
    """Return rows of another cell that an archive may replay."""
    tasks = probe_items(bench.host, 9, n, (OTHER,), Split.TRAIN)[OTHER]
    return tuple(Experience(Attempt(t, solved((Turn("assistant", t.reference or "", "old"),)))) for t in tasks)


@contextmanager
def bench(folder: Path, pool: CountingPool, skills: Skills | None = None, **engine: Any) -> Iterator[Bench]:
    """Yield a bench whose base has these skills."""
    store = Store(folder / "artifacts")
    ledger = open_ledger(folder / "metaevo.db", create=True)
    scripted = NotingEngine(store, environments=NAMES, **engine)
    host = Host(ledger, store, Registry(), pool, [scripted], pool.known, prompts.load("tiny"), folder=folder)
    made = Bench(host, pool, scripted, Generation("", None, {}))
    made.base = made.named(dict(skills or BASE), None)
    yield made
    ledger.close()
