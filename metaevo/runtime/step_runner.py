"""Run one module as one journalled step: effects injected by type, the mark computed, failures attributed once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias, TypeVar

from metaevo.artifacts.bodies import BodyStore
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.effects import (
    Archive,
    Past,
    Policies,
    Policy,
    Prompts,
    Reference,
    Reward,
    Run,
    Start,
)
from metaevo.engines.protocol import Engine
from metaevo.errors import BadInput, CodeChanged, EngineDied, EngineTimeout, MetaevoError, ModuleFailed
from metaevo.ledger.journal import At, Journal, StepKey
from metaevo.recipes.schema import Step
from metaevo.registry.slots import Module
from metaevo.runtime.effects import (
    CycleArchive,
    EnginePolicy,
    KnownPolicies,
    PoolReward,
    RoundsPast,
    StageStart,
    TableReference,
)
from metaevo.runtime.host import Host, TaskTable
from metaevo.types import Attempt, Attempts, Experience, Experiences, Generation, StepSpec, Tasks, TrainSpec
from objectives.types import Task

T = TypeVar("T")
Batch: TypeAlias = Tasks | Attempts | Experiences | TrainSpec | Generation
"""What a step is given."""

TRIES = 3
"""How often a step is started when its engine dies or hangs; after that the trial ends as infrastructure."""


@dataclass(slots=True)
class StepRunner:
    """One trial's line of steps. ``known`` are the generations by role; ``current`` is the one that samples."""

    host: Host
    journal: Journal
    engine: Engine
    table: TaskTable
    known: dict[str, Generation]
    archive: CycleArchive
    shelf: BodyStore
    past: RoundsPast = field(default_factory=RoundsPast)
    start: StageStart | None = None
    digests: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Every module's digest when the cycle began: a module edited since then ends the cycle."""

    def module(self, slot: str, spec: StepSpec) -> Module:
        """Return the module of a step.

        Raises:
            CodeChanged: Its file was edited since the cycle began.
        """
        module = self.host.registry.get(slot, spec.use)
        known = self.digests.get((slot, spec.use))
        if known is not None and known != module.digest:
            raise CodeChanged(f"module {slot}.{spec.use} was edited while the cycle ran")
        return module

    def step(
        self,
        at: At,
        slot: str,
        position: int,
        spec: StepSpec,
        batch: Batch,
        *,
        kind: type[T],
        after: Callable[[T], T] = lambda made: made,
    ) -> T:
        """Return what the module makes of the batch: a ``kind``. ``after`` is the host's own part of the same step."""
        module = self.module(slot, spec)
        key = at.key(slot, position)

        def run() -> T:
            return after(identify(module, call(module, batch, self.effects(module, key), spec.knobs)))

        mark = self.mark(module, spec, key, batch)
        label = f"{slot}.{spec.use}"

        def counts(made: T) -> dict[str, int]:
            return {"rows": len(made) if isinstance(made, tuple) else 1}

        return retry(
            lambda: self.journal.step(key, mark, run, kind=kind, shelf=self.shelf, module=label, counts=counts)
        )

    def mark(self, module: Module, spec: StepSpec, key: StepKey, batch: Batch) -> str:
        """Return the hash of all that can change the step's result."""
        return fingerprint(
            module.digest,
            dict(spec.knobs),
            self.journal.stream_seed(key),
            identity_of(batch),
            {name: self.identity(kind) for name, kind in module.effects.items()},
        )

    def identity(self, kind: type) -> object:
        """Return what an effect's answers depend on."""
        if kind in (Policy, Policies):
            known = {role: dict(generation.parts) for role, generation in self.known.items()}
            return [known, self.engine.identity, self.host.chat]
        if kind in (Reward, Reference):
            return {name: environment.version for name, environment in self.host.environments.items()}
        others: dict[type, object] = {
            Prompts: self.host.dialect.digest,
            Archive: self.archive.digest,
            Run: self.host.run.identity,
            Start: self.start,
        }
        return others.get(kind) or kind.__name__

    def effects(self, module: Module, key: StepKey) -> dict[str, object]:
        """Return the effects a module asks for.

        Raises:
            BadInput: It asks for one that this place does not offer.
        """
        seed = self.journal.stream_seed(key)
        offered: dict[type, Callable[[], object]] = {
            Policy: lambda: EnginePolicy(self.host, self.engine, self.known["current"], seed),
            Policies: lambda: KnownPolicies(self.host, self.engine, self.known, seed),
            Reward: lambda: PoolReward(self.host, self.table),
            Reference: lambda: TableReference(self.table),
            Prompts: lambda: self.host.dialect,
            Past: lambda: self.past,
            Archive: lambda: self.archive,
            Start: lambda: self.start,
            Run: lambda: self.host.run,
            Random: lambda: Random(seed),
        }
        missing = [kind.__name__ for kind in module.effects.values() if kind not in offered]
        if missing:
            said = f"{module.slot}.{module.name} asks for {', '.join(missing)}, which {module.slot} cannot have"
            raise BadInput("", said, "take them out of its signature")
        return {name: offered[kind]() for name, kind in module.effects.items()}


def call(module: Module, batch: object, effects: Mapping[str, object], knobs: Mapping[str, object]) -> Any:
    """Return what a module makes of a batch; whatever it raises becomes one error with its name."""
    try:
        return module.call(batch, **effects, **knobs)
    except MetaevoError:
        raise
    except (Exception, SystemExit) as error:
        raise ModuleFailed(f"{module.slot}.{module.name} failed: {type(error).__name__}: {error}") from error


def identify(module: Module, made: T) -> T:
    """Return what a module made; NaN or an infinity in it is the module's failure, not the next step's.

    Raises:
        ModuleFailed: It has no canonical form: the next step's mark would mean nothing.
    """
    try:
        fingerprint(identity_of(made))
    except TypeError as error:
        raise ModuleFailed(f"{module.slot}.{module.name} gave a result with {error}") from error
    return made


def retry(run: Callable[[], T]) -> T:
    """Return what ``run`` returns; an engine that dies or hangs is started again, at most `TRIES` times."""
    for attempt in range(TRIES):
        try:
            return run()
        except (EngineDied, EngineTimeout):
            if attempt == TRIES - 1:
                raise
    raise AssertionError("the loop returns or raises")


def identity_of(batch: object) -> object:
    """Return a cheap identity of a batch: rows are named by ids, which are made from their content."""
    if not isinstance(batch, tuple):
        return batch
    return [_row(record) for record in batch]


def _row(record: object) -> object:
    if isinstance(record, Experience):
        rejected = record.rejected.solution.id if record.rejected is not None else None
        notes = [(f.score, f.verdict, f.critique) for f in record.feedback]
        return [_row(record.attempt), record.score, record.weight, rejected, notes]
    if isinstance(record, Attempt):
        return [record.task.id, record.solution.id]
    return record.id if isinstance(record, Task) else record


def specs(steps: Sequence[Step], slot: str) -> tuple[StepSpec, ...]:
    """Return recipe steps as plain records."""
    return tuple(StepSpec(slot, step.use, dict(step.knobs)) for step in steps)
