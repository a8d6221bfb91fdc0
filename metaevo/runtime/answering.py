"""How a generation answers: the only path by which examinations, serving, `ask` and export query a model.

The default is one greedy completion. A generation may carry a procedure instead (Self-Refine, SELF): a frozen
list of solution, feedback and refinement steps that ends in one attempt a task and asks for no grading.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.effects import Exam, Policy, Prompts
from metaevo.engines.protocol import Engine, Sampling
from metaevo.errors import BadInput, ModuleFailed
from metaevo.registry.slots import Module
from metaevo.runtime.effects import EnginePolicy, PoolReward, redact
from metaevo.runtime.host import Host, TaskTable
from metaevo.runtime.step_runner import call, retry
from metaevo.types import Attempt, Attempts, Experience, Feedback, Generation, StepSpec, Tasks, answered
from objectives.types import Outcome, Report, Split

ALLOWED = (Policy, Prompts, Random)
"""What an answering procedure may use: it has no grading and no references when it is served."""
EVALUATION = "metric_eval"


def answer(host: Host, engine: Engine, generation: Generation, tasks: Tasks, seed: int = 0) -> tuple[Attempts, int]:
    """Return one attempt per task, in order, and the tokens the model wrote for all of them.

    Raises:
        ModuleFailed: The generation's procedure does not end in one attempt a task.
    """
    before = engine.meter.generated
    if not generation.answer:
        return _direct(host, engine, generation, tasks), engine.meter.generated - before
    policy = EnginePolicy(host, engine, generation, seed)
    batch: Any = redact(tasks)
    for position, spec in enumerate(generation.answer):
        module = host.registry.get(spec.slot, spec.use)
        offered: dict[type, object] = {Policy: policy, Prompts: host.dialect, Random: Random(seed + position)}
        effects = {name: offered[kind] for name, kind in module.effects.items()}
        batch = call(module, batch, effects, spec.knobs)
    found = {row.attempt.task.id if isinstance(row, Experience) else row.task.id: row for row in batch}
    if len(batch) != len(tasks) or any(task.id not in found for task in tasks):
        raise ModuleFailed(f"generation {generation.id}: its answer gives {len(batch)} attempts for {len(tasks)} tasks")
    rows = [found[task.id] for task in tasks]
    return tuple(row.attempt if isinstance(row, Experience) else row for row in rows), engine.meter.generated - before


def _direct(host: Host, engine: Engine, generation: Generation, tasks: Tasks) -> Attempts:
    """Return greedy completions, environments with equal answer lengths together."""
    policy = EnginePolicy(host, engine, generation, 0)
    lengths = sorted({host.max_tokens(task.environment) for task in tasks})
    made: dict[str, Attempt] = {}
    for length in lengths:
        group = [task for task in tasks if host.max_tokens(task.environment) == length]
        rows = policy.sample([task.prompt for task in group], n=1, temperature=0.0, max_tokens=length)
        made |= {task.id: Attempt(task, answered(row[0], generation.id)) for task, row in zip(group, rows, strict=True)}
    return tuple(made[task.id] for task in tasks)


def sample(host: Host, engine: Engine, generation: Generation, tasks: Tasks, how: Sampling) -> Attempts:
    """Return ``how.n`` attempts a task as the weights alone give them, a task's side by side; no procedure is run."""
    room = max(host.max_tokens(task.environment) for task in tasks)
    made_P_k = engine.sample(generation, [task.prompt for task in tasks], replace(how, max_tokens=room))
    return tuple(
        Attempt(task, answered(completion, generation.id, number))
        for task, made in zip(tasks, made_P_k, strict=True)
        for number, completion in enumerate(made)
    )


def grade(host: Host, tasks: Tasks, attempts: Attempts) -> tuple[Feedback, ...]:
    """Return the environments' own feedback on attempts at these whole tasks, one per attempt."""
    table = TaskTable()
    table.add(tasks)
    return PoolReward(host, table)(attempts)


def check_procedure(steps: Sequence[StepSpec], modules: Sequence[Module]) -> None:
    """Refuse an answering procedure that needs what will not be there when it is served.

    Raises:
        BadInput: A step asks for an effect beyond Policy, Prompts and Random, or there is no solutions step.
    """
    for step, module in zip(steps, modules, strict=True):
        beyond = [kind.__name__ for kind in module.effects.values() if kind not in ALLOWED]
        if beyond:
            said = f"{step.slot}.{step.use} needs {', '.join(beyond)}, which is not there when serving"
            raise BadInput("adopt", said, "take another module")
    if not any(step.slot == "solutions" for step in steps):
        raise BadInput("adopt", "the stage needs a solutions step, its attempts are the answers", "add one")


@dataclass(slots=True)
class HeldExam:
    """`Exam`: the held tasks of one examination, for evaluation modules."""

    host: Host
    engine: Engine
    whole: Tasks
    split: Split
    seed: int = 0
    tokens: int = 0
    graded: list[Any] = field(default_factory=list)

    @property
    def tasks(self) -> Tasks:
        """Return the tasks, without answers."""
        return redact(self.whole)

    def answer(self, generation: Generation, tasks: Tasks) -> Attempts:
        """Return one attempt per task."""
        attempts, self.tokens = answer(self.host, self.engine, generation, tasks, self.seed)
        return attempts

    def grade(self, generation: Generation, attempts: Attempts) -> Report:
        """Return the graded report."""
        table = TaskTable()
        table.add(self.whole)
        grades = PoolReward(self.host, table).grades(attempts)
        each = self.tokens // max(1, len(attempts))
        outcomes = tuple(
            Outcome(a.task.id, a.task.cell, g.score, a.solution.tokens or each, g.unsaid if g.score is None else None)
            for a, g in zip(attempts, grades, strict=True)
        )
        return Report(generation.id, self.split, outcomes)


def measure(host: Host, engine: Engine, generation: Generation, tasks: Tasks, split: Split, seed: int = 0) -> Report:
    """Return the report of one generation on whole tasks, by the host's fixed evaluation module."""
    report, _ = examine(host, engine, generation, tasks, split, seed)
    return report


def examine(
    host: Host, engine: Engine, generation: Generation, tasks: Tasks, split: Split, seed: int = 0
) -> tuple[Report, int]:
    """Return the report and the tokens it cost."""
    if not tasks:
        return Report(generation.id, split, ()), 0
    module = host.registry.get("evaluation", EVALUATION)
    exam = HeldExam(host, engine, tasks, split, seed)
    report = retry(lambda: call(module, generation, dict.fromkeys(_asking(module, Exam), exam), {}))
    return report, exam.tokens


def measure_mark(host: Host, generation: Generation, tasks: Tasks, seed: int = 0) -> str:
    """Return the mark of a measuring step: the weights and procedure, the items, the evaluator."""
    steps = [(step.slot, step.use, dict(step.knobs)) for step in generation.answer]
    return fingerprint(dict(generation.parts), steps, [task.id for task in tasks], host.evaluator, seed)


def _asking(module: Module, kind: type) -> list[str]:
    return [name for name, wanted in module.effects.items() if wanted is kind]
