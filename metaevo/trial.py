"""One trial: a recipe run once, from a parent to a new generation. A straight line; loops live in the recipe.

For each stage and round: tasks, solutions, feedback, refinement, stability, update; then consolidation.
There is no graph engine: rounds and stages are data, and no system of the survey needs more. Everything a step produced
is in the journal, so a trial that died goes on where it stopped.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metaevo.artifacts.bodies import BodyStore
from metaevo.effects import Weights
from metaevo.engines.protocol import Engine
from metaevo.errors import BadInput, MetaevoError, ModuleFailed, NotFinite, NothingToLearn, OutOfMemory
from metaevo.ledger.journal import At, Journal
from metaevo.recipes.schema import Recipe, Stage, Step
from metaevo.registry.laws import unlawful_modules
from metaevo.registry.registry import Registry
from metaevo.runtime.answering import check_procedure
from metaevo.runtime.door import admit
from metaevo.runtime.effects import CycleArchive, StageStart, admit_tasks, redact
from metaevo.runtime.feedback import combine, reference_attempts
from metaevo.runtime.host import Host, TaskTable
from metaevo.runtime.step_runner import StepRunner, specs
from metaevo.runtime.training import DevScores, publish, train
from metaevo.types import Attempts, Experiences, Generation, Knob, StepSpec, Tasks, TrainSpec, Trial, TrialEnd


@dataclass(frozen=True, slots=True)
class TrialData:
    """What all trials of a cycle stand on: parent, base, the objective's train tasks, the archive, dev items."""

    parent: Generation
    base: Generation
    seeds: Tasks
    """Whole train tasks of the objective's cells."""
    archive: CycleArchive
    dev: Tasks = ()
    """Whole dev tasks: the objective's first, then the protected sample."""
    aimed: frozenset[str] = frozenset()
    """Ids of the dev tasks that belong to the objective."""
    digests: Mapping[tuple[str, str], str] = field(default_factory=dict)
    reference: Generation | None = None
    """What protection compares with beside the parent."""


def run(
    host: Host,
    journal: Journal,
    engine: Engine,
    recipe: Recipe,
    ground: TrialData,
    *,
    cycle: int,
    number: int,
    fidelity: float = 1.0,
) -> Trial:
    """Run ``recipe`` once and return what came of it.

    A module that fails, weights that are not finite and memory that does not suffice end the trial with its
    reason; an engine that dies again and again is infrastructure and is raised.

    Raises:
        EngineError: Infrastructure failed; nothing can be said about the recipe.
        CodeChanged: A module was edited while the cycle ran.
    """
    scaled = at_fidelity(recipe, host, fidelity)
    ids = host.lineage.reserve(cycle, number, scaled.publishes, ground.parent.id)
    table = TaskTable()
    table.add(ground.seeds)
    known = {"parent": ground.parent, "base": ground.base, "current": ground.parent, "previous": ground.parent}
    journal = replace(journal, meter=lambda: engine.meter)
    line = StepRunner(
        host=host,
        journal=journal,
        engine=engine,
        table=table,
        known=known,
        archive=ground.archive,
        shelf=BodyStore(host.store),
        digests=ground.digests,
    )
    counts: Counter[str] = Counter()
    at, ending, failure = At(cycle, number), TrialEnd.OK, ""
    try:
        refuse_lawless(recipe, host.registry)
        _steps(line, scaled, ids, counts, ground, at)
    except (ModuleFailed, NotFinite, OutOfMemory, BadInput) as error:
        ending, failure = ending_of(error)
    return Trial(
        number=number,
        recipe=recipe.hash,
        fidelity=fidelity,
        generation=line.known["current"] if ending is TrialEnd.OK else None,
        tokens=journal.spent_by_trial(at.cycle, at.trial).total,  # a resumed trial cost what its finished steps did
        failure=failure,
        counts=dict(counts),
        ending=ending,
    )


def ending_of(error: MetaevoError) -> tuple[TrialEnd, str]:
    """Return how a trial ended by this error: the code, and the sentence for people."""
    text = f"{type(error).__name__}: {error}"[:500]
    match error:
        case NothingToLearn():
            return TrialEnd.NOTHING_TO_LEARN, f"ModuleFailed: {error}"[:500]
        case NotFinite():
            return TrialEnd.NOT_FINITE, text
        case OutOfMemory():
            return TrialEnd.OUT_OF_MEMORY, text
        case BadInput():
            return TrialEnd.BAD_INPUT, text
        case ModuleFailed():
            return TrialEnd.MODULE_FAILED, text
    return TrialEnd.INFRASTRUCTURE, f"infrastructure: {error}"[:300]


def _steps(line: StepRunner, recipe: Recipe, ids: list[str], counts: Counter[str], ground: TrialData, at: At) -> None:
    """Run all stages, rounds and consolidation steps; each starts from what the one before made."""
    for stage_number, stage in enumerate(recipe.stage):
        for round_number in range(stage.rounds):
            place = replace(at, stage=stage_number, round=round_number)
            made = _round(line, stage, place, redact(ground.seeds), ids.pop(0), counts, ground)
            line.known["previous"], line.known["current"] = line.known["current"], made
    for position, step in enumerate(specs(recipe.consolidation, "consolidation")):
        made = _consolidate(line, replace(at, stage=len(recipe.stage)), position, step, ids.pop(0), ground)
        line.known["previous"], line.known["current"] = line.known["current"], made


def refuse_lawless(recipe: Recipe, registry: Registry) -> None:
    """Refuse a recipe that names a stranger's module which breaks a law.

    Raises:
        BadInput: The first one, by name, with the law it breaks.
    """
    known = unlawful_modules(registry)
    for module in recipe.modules:
        slot, _, name = module.partition(".")
        if (slot, name) in known:
            raise BadInput(f"recipe {recipe.name}", f"{known[slot, name]}", "mend it, or take it out of the recipe")


def at_fidelity(recipe: Recipe, host: Host, fidelity: float) -> Recipe:
    """Return the recipe with every budget knob scaled, no lower than its least value."""
    if fidelity >= 1:
        return recipe

    def cheaper(slot: str, step: Step) -> Step:
        module = host.registry.get(slot, step.use)
        knobs = {name: _scaled(module.space[name], value, fidelity) for name, value in step.knobs.items()}
        return step.model_copy(update={"knobs": knobs})

    return recipe.model_copy(update={"stage": tuple(stage.map(cheaper) for stage in recipe.stage)})


def _scaled(knob: Any, value: Any, fidelity: float) -> object:
    if not isinstance(knob, Knob) or not knob.budget:
        return value
    least = knob.low if knob.least is None else knob.least
    return type(value)(min(value, max(least, value * fidelity)))


def _round(
    line: StepRunner, stage: Stage, at: At, seeds: Tasks, id_: str, counts: Counter[str], ground: TrialData
) -> Generation:
    tasks = seeds
    for position, step in enumerate(specs(stage.tasks, "tasks")):
        tasks = line.step(
            at,
            "tasks",
            position,
            step,
            tasks,
            kind=Tasks,
            after=lambda made: admit_tasks(line.host, line.table, made)[0],
        )
    counts["tasks"] += len(tasks)
    spec = TrainSpec()
    start = {"previous": line.known["current"], "parent": ground.parent, "base": ground.base}[stage.start]
    line.start = StageStart(start, _procedure(stage))
    for position, step in enumerate(specs(stage.stability, "stability")):
        spec = line.step(at, "stability", position, step, spec, kind=TrainSpec)
    update = StepSpec("update", stage.update.use, dict(stage.update.knobs))
    module = line.module("update", update)
    if module.online:
        tasks = admit(line, at, tasks)
        counts["admitted"] += len(tasks)
        return train(line, at, 0, update, tasks, spec, id_, counts, feedback=stage)
    rows = _experiences(line, stage, at, tasks, counts)
    if Weights in module.effects.values():
        refined, rows = len(rows), admit(line, at, rows)
        counts["admitted"] += len(rows)
        line.past.trained.append(rows)
        if not rows:
            left = f"all {refined} rows are kept out of training" if refined else "nothing left to learn from"
            raise NothingToLearn(f"{left} after refinement ({counts['attempts']} attempts)")
        return train(line, at, 0, update, rows, spec, id_, counts)
    line.past.trained.append(rows)
    if len({row.attempt.task.id for row in rows}) < len(rows):
        raise ModuleFailed(f"an answering procedure ends in one attempt a task, this one gave {len(rows)} (set k = 1)")
    check_procedure(line.start.steps, [line.module(s.slot, s) for s in line.start.steps])
    made = line.step(
        at, "update", 0, update, rows, kind=Generation, after=lambda got: replace(got, id=id_, parent=ground.parent.id)
    )
    publish(line, made, start, update)
    return made


def _procedure(stage: Stage) -> tuple[StepSpec, ...]:
    solutions = (stage.solutions,) if stage.solutions is not None else ()
    return (*specs(solutions, "solutions"), *specs(stage.feedback, "feedback"), *specs(stage.refinement, "refinement"))


def _experiences(line: StepRunner, stage: Stage, at: At, tasks: Tasks, counts: Counter[str]) -> Experiences:
    if stage.solutions is not None:
        attempts = line.step(at, "solutions", 0, specs((stage.solutions,), "solutions")[0], tasks, kind=Attempts)
    else:
        attempts = reference_attempts(line.table, tasks)
    line.past.attempted.append(attempts)
    counts["attempts"] += len(attempts)
    each = [
        line.step(at, "feedback", i, s, attempts, kind=Experiences)
        for i, s in enumerate(specs(stage.feedback, "feedback"))
    ]
    rows = combine(attempts, each, stage.combine)
    counts["cannot_say"] += len(attempts) - len(rows)
    for position, step in enumerate(specs(stage.refinement, "refinement")):
        rows = line.step(at, "refinement", position, step, rows, kind=Experiences)
    counts["rows"] += len(rows)
    counts["replayed"] += sum("replayed" in row.tags for row in rows)
    return rows


def _consolidate(line: StepRunner, at: At, position: int, step: StepSpec, id_: str, ground: TrialData) -> Generation:
    """Run one consolidation step on the trial's generation so far."""
    line.start = StageStart(line.known["current"], ())
    ask = DevScores(line, ground.dev, ground.aimed)
    counts: Counter[str] = Counter()
    batch = line.known["current"]
    return train(line, at, position, step, batch, TrainSpec(), id_, counts, slot="consolidation", ask=ask)
