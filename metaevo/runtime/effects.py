"""The effects as the control plane gives them to modules: thin objects over engine, graders and journal."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from metaevo.engines.grader import Item
from metaevo.engines.protocol import Engine, Sampling
from metaevo.errors import BadInput
from metaevo.runtime.host import Host, TaskTable
from metaevo.types import Attempts, Completion, Experience, Experiences, Feedback, Generation, StepSpec, Tasks
from objectives.splits import canonical, task_id
from objectives.types import Graded, Json, Messages, Split, Task, Unsaid


@dataclass(slots=True)
class EnginePolicy:
    """`Policy`: one frozen generation. Call c of a step is seeded by (step stream, c)."""

    host: Host
    engine: Engine
    generation: Generation
    seed: int
    calls: int = 0

    @property
    def id(self) -> str:
        """Return the generation's id."""
        return self.generation.id

    def sample(
        self,
        prompts_P: Sequence[Messages],
        *,
        n: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[Completion]]:
        """Return ``n`` completions for each prompt."""
        self.calls += 1
        how = Sampling(
            n=n,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens or self.host.answer_tokens,
            stop=tuple(stop),
            seed=self.seed + self.calls,
        )
        return self.engine.sample(self.generation, prompts_P, how)

    def score(self, prompts_P: Sequence[Messages], completions_P: Sequence[str]) -> list[Completion]:
        """Return each completion with its log-probability."""
        return self.engine.score(self.generation, prompts_P, completions_P)

    def embed(self, texts_R: Sequence[str]) -> list[list[float]]:
        """Return the mean last hidden state of each text."""
        return self.engine.embed(self.generation, texts_R)


@dataclass(slots=True)
class KnownPolicies:
    """`Policies`: the generations a round may sample from, by role."""

    host: Host
    engine: Engine
    known: Mapping[str, Generation]
    seed: int

    def __call__(self, which: str) -> EnginePolicy:
        """Return the policy of that role."""
        if which not in self.known:
            raise BadInput("", f"no generation {which!r} on this line", f"known: {', '.join(self.known)}")
        salt = sum(which.encode()) << 40
        return EnginePolicy(self.host, self.engine, self.known[which], self.seed ^ salt)


@dataclass(slots=True)
class PoolReward:
    """`Reward`: the environments' own grading, in the pool."""

    host: Host
    table: TaskTable

    def __call__(self, attempts_R: Attempts) -> tuple[Feedback, ...]:
        """Return one feedback per attempt."""
        found = []
        for attempt, grade in zip(attempts_R, self.grades(attempts_R), strict=True):
            known = self.host.environments.get(attempt.task.environment)
            if grade.score is None or known is None:
                found.append(Feedback(None))
            else:
                found.append(Feedback(grade.score, "pass" if grade.score >= known.pass_mark else "fail"))
        return tuple(found)

    def grades(self, attempts_R: Attempts) -> list[Graded]:
        """Return one grade per attempt; a task that no environment holds is a row that cannot be graded."""
        groups: dict[str, list[int]] = defaultdict(list)
        for i, attempt in enumerate(attempts_R):
            if attempt.task.id in self.table.tasks:
                groups[attempt.task.environment].append(i)
        found = [Graded(None, unsaid=Unsaid.ROW)] * len(attempts_R)
        for name, places in groups.items():
            items: list[Item] = [
                _item(self.table.tasks[attempts_R[i].task.id], attempts_R[i].solution.text) for i in places
            ]
            for i, grade in zip(places, self.host.graders.grade(name, items), strict=True):
                found[i] = grade
        return found


@dataclass(slots=True)
class TableReference:
    """`Reference`: the only way to an environment's own answers."""

    table: TaskTable

    def answer(self, task_id: str) -> Json:
        """Return the row's `answer`."""
        task = self.table.tasks.get(task_id)
        return task.answer if task else None

    def solution(self, task_id: str) -> str | None:
        """Return the completion the row itself calls right."""
        task = self.table.tasks.get(task_id)
        return task.reference if task else None


@dataclass(slots=True)
class RoundsPast:
    """`Past`: what earlier rounds of the trial attempted and trained on."""

    trained: list[Experiences] = field(default_factory=list)
    attempted: list[Attempts] = field(default_factory=list)

    def experiences(self) -> tuple[Experiences, ...]:
        """Return what each earlier round's update was trained on."""
        return tuple(self.trained)

    def attempts(self) -> tuple[Attempts, ...]:
        """Return what each earlier round attempted."""
        return tuple(self.attempted)


@dataclass(frozen=True, slots=True)
class CycleArchive:
    """`Archive`: the rows kept for this cycle, drawn stratified by ability."""

    host: Host
    rows: Experiences
    digest: str

    def experiences(self, n: int, rng: Random) -> Experiences:
        """Return up to ``n`` kept rows, as many of each ability as there are."""
        groups: dict[str, list[Experience]] = defaultdict(list)
        for row in self.rows:
            known = self.host.environments.get(row.attempt.task.environment)
            groups[known.ability if known else "seed"].append(row)
        for rows in groups.values():
            rng.shuffle(rows)
        taken: list[Experience] = []
        while len(taken) < n and any(groups.values()):
            taken += [groups[name].pop() for name in sorted(groups) if groups[name]]
        return tuple(replace(row, tags=(*row.tags, "replayed")) for row in taken[:n])


@dataclass(frozen=True, slots=True)
class StageStart:
    """`Start`: the generation a round starts from and the stage's own steps."""

    generation: Generation
    steps: tuple[StepSpec, ...]


def redact(tasks: Tasks) -> Tasks:
    """Return the tasks as modules see them: without answers and references."""
    return tuple(replace(task, answer=None, reference=None) for task in tasks)


def admit_tasks(host: Host, table: TaskTable, tasks: Tasks) -> tuple[Tasks, int]:
    """Return the tasks a tasks module gave, posed ones checked, and how many were dropped.

    A posed text that an environment reads becomes that environment's task; another one keeps its parent's cell
    and can only be judged by models. A text outside the train split or already present is dropped.
    """
    texts = [task.text for task in tasks if task.id not in table.tasks]
    read = dict(zip(texts, host.graders.posed(texts), strict=True)) if texts else {}
    kept: dict[str, Task] = {}
    for task in tasks:
        whole = table.tasks.get(task.id) or read.get(task.text)
        if whole is None and task.environment in host.environments:
            text = canonical(task.prompt)
            if host.scheme.split(task.environment, text) is Split.TRAIN:
                whole = replace(task, id=task_id(task.environment, text), split=Split.TRAIN, origin="posed")
        if whole is not None and whole.environment in host.environments:
            if task.id in table.tasks or read.get(task.text) is not None:
                table.add([whole])
            kept.setdefault(whole.id, replace(whole, parents=task.parents or whole.parents))
    return redact(tuple(kept.values())), len(tasks) - len(kept)


def _item(task: Task, completion: str) -> Item:
    return (task.origin, task.level, task.text, completion)
