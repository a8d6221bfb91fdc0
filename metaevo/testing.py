"""Small real stand-ins, shipped so that authors of modules and environments can test without a model.

`ScriptedEngine` is an engine: its model is a table of skills (how likely a cell is answered right), its weights a
JSON file in the store, its training a rule that moves skills by what the rows really say. It answers the built-in
environments' tasks. No number it produces says anything about a language model.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from metaevo.artifacts.bodies import adapter
from metaevo.artifacts.store import Store
from metaevo.engines.protocol import Ask, Job, Published, Sampling
from metaevo.errors import ModuleFailed, NotFinite
from metaevo.types import (
    Attempt,
    Attempts,
    Completion,
    Experience,
    Experiences,
    Feedback,
    Generation,
    StepSpec,
    Tasks,
    Turn,
    answered,
    solved,
)
from objectives.environment import Program, from_file
from objectives.finder import BUILT_IN, built_in
from objectives.types import Message, Messages, Split, Task

Skills = dict[str, float]
"""``environment/level`` to the share of tasks answered right."""


@dataclass(frozen=True, slots=True)
class EchoPolicy:
    """A real policy, only tiny: its answers are a pure function of the prompt and the sample's number."""

    id: str = "echo"

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
        """Return ``n`` four-letter answers per prompt; at temperature 0 they are all the same."""
        numbers = range(n) if temperature else [0] * n
        return [[Completion(_letters(prompt, i), 4, -1.0 - i) for i in numbers] for prompt in prompts_P]

    def score(self, prompts_P: Sequence[Messages], completions_P: Sequence[str]) -> list[Completion]:
        """Return a log-probability that is a pure function of prompt and completion."""
        return [
            Completion(text, max(1, len(text)), -chance(prompt[-1].content, text))
            for prompt, text in zip(prompts_P, completions_P, strict=True)
        ]

    def embed(self, texts_R: Sequence[str]) -> list[list[float]]:
        """Return four numbers per text."""
        return [[chance(text, str(i)) for i in range(4)] for text in texts_R]


def _letters(prompt: Messages, number: int) -> str:
    return hashlib.sha256(f"{prompt[-1].content}/{number}".encode()).hexdigest()[:4]


def chance(*parts: str) -> float:
    """Return a number in [0, 1) that is a pure function of the parts."""
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=6).digest(), "big") / 2**48


@dataclass(slots=True)
class ScriptedEngine:
    """An engine whose model is a table of skills. ``base`` is what generation 0 can do; unknown cells are 0.5."""

    store: Store
    base: Mapping[str, float] = field(default_factory=dict)
    latent: float = 0.3
    """How much of what a greedy answer misses some sample solves."""
    rate: float = 0.5
    """Share of the way to 1 that a full training on right rows takes a skill."""
    forgets: float = 0.0
    """What a training takes from skills it has no rows of."""
    environments: tuple[str, ...] = ()
    model_s: float = 0.0
    programs: dict[str, Program] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Return a fixed identity: scripted engines do not differ between machines."""
        return f"scripted rate {self.rate} forgets {self.forgets} latent {self.latent}"

    def skills(self, generation: Generation) -> Skills:
        """Return what a generation can do."""
        folder = self.store.tree(generation.parts["policy"])
        path = folder / "skills.json"
        return dict(json.loads(path.read_text())) if path.is_file() else dict(self.base)

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        """Return P x n answers; what is right is a pure function of skills, text, seed and number."""
        skills = self.skills(generation)
        return [
            [self._answer(skills, prompt, how, f"{how.seed}/{p}/{g}") for g in range(how.n)]
            for p, prompt in enumerate(prompts_P)
        ]

    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        """Return a log-probability: that of a skill where the text is right."""
        skills, out = self.skills(generation), []
        for prompt, text in zip(prompts_P, texts_P, strict=True):
            cell, right = self._solved(prompt[-1].content)
            p = skills.get(cell, 0.5)
            out.append(Completion(text, max(1, len(text)), math.log(max(1e-3, p if text == right else (1 - p) / 4))))
        return out

    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        """Return four numbers per text."""
        return EchoPolicy().embed(texts_R)

    def probe(self, generation: Generation) -> Sequence[Completion]:
        """Return eight answers that are a function of the skills alone."""
        said = json.dumps(self.skills(generation), sort_keys=True)
        return [Completion(f"{chance(said, str(i)):.6f}", 1, -chance(said, f"p{i}")) for i in range(8)]

    def train(self, job: Job, batch: Experiences | Tasks | Generation, ask: Ask) -> Published:
        """Move skills by what the rows say, with the strength of the step's own knobs; write and probe them.

        Raises:
            NotFinite: The learning rate is above 0.05: scripted weights blow up there.
            ModuleFailed: There is nothing to learn from.
        """
        lr = float(job.knobs.get("lr", 1e-3))
        if lr > 0.05:
            raise NotFinite("loss is nan at step 3")
        strength = min(1.0, lr / 1e-3) * min(1.0, float(job.knobs.get("steps", 60)) / 60)
        skills = self.skills(job.start)
        if isinstance(batch, Generation):
            skills = self._averaged(job, batch)
        else:
            rows = self._online(job, batch, ask) if batch and isinstance(batch[0], Task) else batch
            skills = self._learned(skills, rows, strength)  # type: ignore[arg-type]
        parts = {**job.start.parts, "policy": self.write(skills)}
        made = Generation(job.id, job.parent, parts)
        return Published(
            parts, self.probe(made), tokens=16 * len(batch) if isinstance(batch, tuple) else 0, model_s=0.0
        )

    def export(self, generation: Generation, folder: str) -> None:
        """Write the skills into a folder."""
        (Path(folder) / "skills.json").write_text(json.dumps(self.skills(generation)))

    def close(self) -> None:
        """End nothing: there is no process."""

    def write(self, skills: Mapping[str, float]) -> str:
        """Put skills into the store and return their digest."""
        digest = hashlib.sha256(json.dumps(skills, sort_keys=True).encode()).hexdigest()
        aside = self.store.scratch(f"skills-{digest[:16]}")
        (aside / "skills.json").write_text(json.dumps(skills, sort_keys=True))
        return self.store.put_tree(aside, {"kind": "full"})

    def _averaged(self, job: Job, batch: Generation) -> Skills:
        new, old = self.skills(batch), self.skills(job.others["parent"])
        return {cell: max(new.get(cell, 0.5), old.get(cell, 0.5)) for cell in {*new, *old}}

    def _online(self, job: Job, batch: Any, ask: Ask) -> Experiences:
        group = int(job.knobs.get("group", 4))
        made = self.sample(job.start, [task.prompt for task in batch], Sampling(group, 1.0, seed=job.seed))
        attempts: Attempts = tuple(
            Attempt(task, answered(completion, "online", number))
            for task, row in zip(batch, made, strict=True)
            for number, completion in enumerate(row)
        )
        judged = adapter(Experiences).validate_python(
            json.loads(adapter(Experiences).dump_json(ask("feedback", attempts)))
        )
        return tuple(row for row in judged if (row.score or 0.0) > 0)

    def _learned(self, skills: Skills, rows: Experiences, strength: float) -> Skills:
        """Return the skills after training: right rows raise a cell, wrong ones lower it, untouched ones fade."""
        right: dict[str, int] = defaultdict(int)
        total: dict[str, int] = defaultdict(int)
        for row in rows:
            cell, answer = self._solved(row.attempt.task.text)
            total[cell] += 1
            right[cell] += row.attempt.solution.text == answer
        if not rows:
            raise ModuleFailed("no rows to learn from")
        learned = dict(skills)
        for cell, count in total.items():
            share, p = right[cell] / count, learned.get(cell, 0.5)
            learned[cell] = p + strength * self.rate * min(1.0, count / 16) * (share - p)
        kept = 1.0 - self.forgets * strength
        return {cell: round(p if cell in total else p * kept, 6) for cell, p in learned.items()}

    def _answer(self, skills: Skills, prompt: Messages, how: Sampling, number: str) -> Completion:
        text = prompt[-1].content
        kind, _, rest = text.partition(" ")
        if kind in ("C", "R", "H", "P") and rest:
            return self._dialect(skills, kind, rest, number)
        cell, right = self._solved(text)
        p = skills.get(cell, 0.5)
        if how.temperature > 0:
            lucky = chance(text, number) < p + self.latent * (1 - p)
            return self._said(right if lucky else self._wrong(cell, text, right))
        return self._said(right if chance("skill", text) < p else self._wrong(cell, text, right))

    def _dialect(self, skills: Skills, kind: str, rest: str, number: str) -> Completion:
        """Answer the tiny dialect's critique, refine, rationalize and pose prompts."""
        if kind == "P":
            program = next((p for p in self._all().values() if p.make and _tag(p) == rest.rstrip("0123456789")), None)
            level = int("".join(c for c in rest if c.isdigit()) or "1")
            if program is None or program.make is None:
                return self._said("?")
            row = program.make(7, int(chance(number) * 10**6), level)
            return self._said(str(row["prompt"][-1]["content"]))
        task, _, said = rest.partition("=")
        _, right = self._solved(task)
        if kind == "C":
            marks = "".join("=" if i < len(right) and right[i] == c else "x" for i, c in enumerate(said))
            return self._said(marks + ("<" if len(said) < len(right) else ""))
        return self._said(right if kind == "R" else said)

    def _solved(self, text: str) -> tuple[str, str]:
        """Return (cell, right answer) of a built-in task's text; unknown texts belong to the cell ``?``."""
        for name, program in self._all().items():
            row = program.read(text) if program.read is not None else None
            if row is not None:
                return f"{name}/{row['level']}", str(row["answer"])
        return "?", ""

    def _wrong(self, cell: str, text: str, right: str) -> str:
        program = self._all().get(cell.partition("/")[0])
        row = program.read(text) if program is not None and program.read is not None else None
        if program is not None and row is not None:
            said = [wrong(**row) for wrong in program.mistakes.values()]
            return next((text for text in said if text != right), right[:-1])
        return right[:-1] if len(right) > 1 else ""

    def _said(self, text: str) -> Completion:
        return Completion(text, len(text) + 1, -0.5)

    def _all(self) -> dict[str, Program]:
        if not self.programs:
            for name in self.environments or built_in():
                self.programs[name] = from_file(name, BUILT_IN / f"{name}.py")
        return self.programs


def _tag(program: Program) -> str:
    return str(program.make(1, 1, 1)["prompt"][-1]["content"]).split()[0] if program.make else ""


TASK = Task("t1", "addition", 2, Split.TRAIN, (Message("user", "add 12+30"),))
OTHER = Task("t2", "addition", 3, Split.TRAIN, (Message("user", "add 111+222"),))


def attempt(text: str, task: Task = TASK, by: str = "echo") -> Attempt:
    """Return an attempt at a sample task."""
    return Attempt(task, solved((Turn("assistant", text, by, tokens=len(text)),)))


def experience(text: str, score: float | None, task: Task = TASK, verdict: str = "unknown") -> Experience:
    """Return an experience with one piece of feedback."""
    found = Feedback(score, verdict, "model", {"tokens": 2}, "==")  # type: ignore[arg-type]
    return Experience(attempt(text, task), (found,), score)


@dataclass(frozen=True, slots=True)
class KnownReward:
    """`Reward`: passes what is in its table."""

    right: Mapping[str, str] = field(default_factory=lambda: {"t1": "42", "t2": "333"})

    def __call__(self, attempts_R: Attempts) -> tuple[Feedback, ...]:
        """Return pass or fail, and "cannot say" for tasks that are not in the table."""
        return tuple(
            Feedback(None)
            if a.task.id not in self.right
            else Feedback(float(fine := a.solution.text == self.right[a.task.id]), "pass" if fine else "fail")
            for a in attempts_R
        )


@dataclass(frozen=True, slots=True)
class KnownReference:
    """`Reference`: the answers of its table."""

    right: Mapping[str, str] = field(default_factory=lambda: {"t1": "42", "t2": "333"})

    def answer(self, task_id: str) -> Any:
        """Return the answer."""
        return self.right.get(task_id)

    def solution(self, task_id: str) -> str | None:
        """Return the right completion."""
        return self.right.get(task_id)


@dataclass(frozen=True, slots=True)
class FewRows:
    """`Archive` and `Past` with a handful of rows."""

    rows: Experiences = ()

    def experiences(self, n: int | None = None, rng: Random | None = None) -> Any:
        """Return kept rows as an archive, or one earlier round as a past."""
        return (self.rows,) if n is None else self.rows[:n]

    def attempts(self) -> tuple[Attempts, ...]:
        """Return one earlier round's attempts."""
        return (tuple(row.attempt for row in self.rows),)


@dataclass(frozen=True, slots=True)
class SmallStart:
    """`Start`: a generation without steps."""

    generation: Generation = field(default_factory=lambda: Generation("g000000", None, {"policy": "p"}))
    steps: tuple[StepSpec, ...] = ()
