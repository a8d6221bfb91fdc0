"""The step that trains: run inside the engine, journalled and published by the control plane."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from metaevo.artifacts.bodies import adapter
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.protocol import Ask, Job, Published
from metaevo.errors import MetaevoError
from metaevo.ledger.journal import At, Counts, StepKey
from metaevo.recipes.schema import Stage
from metaevo.runtime.door import DoorKeeper
from metaevo.runtime.effects import PoolReward
from metaevo.runtime.feedback import combine
from metaevo.runtime.host import TaskTable
from metaevo.runtime.manifest import Manifest
from metaevo.runtime.step_runner import StepRunner, call, retry, specs
from metaevo.types import (
    Attempt,
    Attempts,
    Completion,
    Experience,
    Experiences,
    Generation,
    StepSpec,
    Tasks,
    TrainSpec,
    Turn,
    solved,
)


def train(
    line: StepRunner,
    at: At,
    position: int,
    update: StepSpec,
    batch: Experiences | Tasks | Generation,
    spec: TrainSpec,
    id_: str,
    counts: Counter[str],
    *,
    feedback: Stage | None = None,
    slot: str = "update",
    ask: Ask | None = None,
) -> Generation:
    """Run a step that trains, inside the engine, and publish what it wrote."""
    module = line.module(slot, update)
    key = at.key(slot, position)
    start = line.start.generation if line.start is not None else line.known["current"]
    mark = fingerprint(
        line.mark(module, update, key, batch), dict(start.parts), spec, line.engine.identity, line.host.chat, id_
    )
    job = Job(
        slot=slot,
        module=update.use,
        digest=module.digest,
        knobs=update.knobs,
        seed=line.journal.stream_seed(key),
        id=id_,
        parent=line.known["parent"].id,
        start=start,
        scratch=mark,
        answer_tokens=line.host.answer_tokens,
        spec=spec,
        others=dict(line.known),
    )

    done = _trained(
        line, key, mark, job, batch, DoorKeeper(line.host, ask or StageFeedback(line, feedback, at), at.cycle)
    )
    counts.update(done.left_out)
    made = Generation(id_, line.known["parent"].id, done.parts, start.answer)
    rows = batch if isinstance(batch, tuple) and batch and isinstance(batch[0], Experience) else ()
    publish(line, made, start, update, data=line.shelf.write(rows) if rows else None, probes=done.probes)
    return made


def _trained(
    line: StepRunner, key: StepKey, mark: str, job: Job, batch: Experiences | Tasks | Generation, ask: Ask
) -> Published:
    """Return what the engine published, as one journalled step."""
    seconds = 0.0

    def execute() -> Published:
        nonlocal seconds
        published = line.engine.train(job, batch, ask)
        seconds = published.model_s
        return replace(published, model_s=0.0)  # a clock's time has no place in a body that repeats bit for bit

    def costs(published: Published) -> Counts:
        return {"model_s": round(seconds, 3), **published.left_out}

    return retry(
        lambda: line.journal.step(
            key, mark, execute, kind=Published, shelf=line.shelf, module=f"{job.slot}.{job.module}", counts=costs
        )
    )


def publish(
    line: StepRunner,
    made: Generation,
    start: Generation,
    step: StepSpec,
    *,
    data: str | None = None,
    probes: Sequence[Completion] = (),
) -> None:
    """Write the manifest and the row of a new generation. Doing it twice changes nothing."""
    manifest = Manifest(
        id=made.id,
        parent=made.parent,
        start=start.id,
        parts=made.parts,
        answer=made.answer,
        step=step,
        data=data,
        runtime=line.engine.identity,
        seed=line.journal.seed,
        probes=tuple(probes),
    )
    digest = line.host.store.put(manifest.as_data())
    line.host.lineage.publish(made, manifest=digest, data=data)


class StageFeedback:
    """Answers an online update: its samples are judged by the stage's feedback steps, in this process."""

    def __init__(self, line: StepRunner, stage: Stage | None, at: At) -> None:
        self.line, self.stage, self.at = line, stage, at

    def __call__(self, what: str, payload: object) -> Any:
        """Return the judged experiences for a batch of attempts."""
        if what != "feedback" or self.stage is None:
            raise MetaevoError(f"the update asked for {what!r}, which it cannot have")
        attempts: Attempts = adapter(Attempts).validate_python(payload)
        each = []
        for position, step in enumerate(specs(self.stage.feedback, "feedback")):
            module = self.line.module("feedback", step)
            effects = self.line.effects(module, self.at.key("feedback", position))
            each.append(call(module, attempts, effects, step.knobs))
        return combine(attempts, each, self.stage.combine)


FITNESS_STRIDE = 8
"""Only every eighth protected dev item counts for the fitness of a merge: it is asked for many times."""


class DevScores:
    """Answers a consolidation step: how good merged weights are on the trial's dev items."""

    def __init__(self, line: StepRunner, dev: Tasks, aimed: frozenset[str]) -> None:
        few = (
            [task for task in dev if task.id in aimed],
            [task for task in dev if task.id not in aimed][::FITNESS_STRIDE],
        )
        self.line, self.dev, self.aimed = line, (*few[0], *few[1]), aimed

    def __call__(self, what: str, payload: Any) -> object:
        """Return the dev prompts, or the fitness of given completions."""
        host, dev = self.line.host, self.dev
        if what == "dev_tasks":
            return [task.prompt for task in dev]
        if what != "fitness":
            raise MetaevoError(f"the consolidation asked for {what!r}, which it cannot have")
        table = TaskTable()
        table.add(dev)
        attempts = tuple(
            Attempt(task, solved((Turn("assistant", text),))) for task, text in zip(dev, payload, strict=True)
        )
        graded = zip(attempts, PoolReward(host, table)(attempts), strict=True)
        scores = [(attempt.task.id in self.aimed, feedback.score) for attempt, feedback in graded]
        return {
            "gain": fmean([s for aimed, s in scores if aimed and s is not None] or [0.0]),
            "kept": fmean([s for aimed, s in scores if not aimed and s is not None] or [0.0]),
        }
