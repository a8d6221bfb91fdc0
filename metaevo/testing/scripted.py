"""`ScriptedEngine`: an engine whose model is a table of skills, its weights a JSON file in the store.

Its training is a rule that moves skills by what the rows really say. It answers the built-in environments' tasks. No
number it produces says anything about a language model.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metaevo.artifacts.bodies import adapter
from metaevo.artifacts.store import Store
from metaevo.engines.protocol import Ask, Job, Published, Sampling
from metaevo.errors import ModuleFailed, NotFinite, writing
from metaevo.testing.effects import EchoPolicy, chance
from metaevo.types import Attempt, Attempts, Completion, Experiences, Generation, Tasks, Tokens, answered
from objectives.environment import Program, from_file
from objectives.finder import BUILT_IN, built_in
from objectives.types import Messages, Task

Skills = dict[str, float]
"""``environment/level`` to the share of tasks answered right."""


def length(prompt: Messages) -> int:
    """Return how many tokens a scripted engine reads of a prompt."""
    return sum(len(message.content) + 1 for message in prompt)


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
    meter: Tokens = field(default_factory=Tokens)
    """A letter is a token, and so is the end of a turn."""

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
        made = [
            [self._answer(skills, prompt, how, f"{how.seed}/{how.first + p * how.stride}/{g}") for g in range(how.n)]
            for p, prompt in enumerate(prompts_P)
        ]
        read = how.n * sum(map(length, prompts_P))
        self.meter += Tokens(read, sum(completion.tokens for row in made for completion in row))
        return made

    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        """Return a log-probability: that of a skill where the text is right."""
        skills, out = self.skills(generation), []
        for prompt, text in zip(prompts_P, texts_P, strict=True):
            cell, right = self._solved(prompt[-1].content)
            p = skills.get(cell, 0.5)
            out.append(Completion(text, max(1, len(text)), math.log(max(1e-3, p if text == right else (1 - p) / 4))))
            self.meter += Tokens(length(prompt) + max(1, len(text)))
        return out

    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        """Return four numbers per text."""
        self.meter += Tokens(sum(map(len, texts_R)))
        return EchoPolicy().embed(texts_R)

    def probe(self, generation: Generation) -> Sequence[Completion]:
        """Return eight answers that are a function of the skills alone."""
        said = json.dumps(self.skills(generation), sort_keys=True)
        self.meter += Tokens(generated=8)
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
        trained = 16 * len(batch) if isinstance(batch, tuple) else 0
        self.meter += Tokens(trained=trained)
        return Published(parts, self.probe(made), tokens=trained, model_s=0.0)

    def export(self, generation: Generation, folder: str) -> None:
        """Write the skills into a folder."""
        (Path(folder) / "skills.json").write_text(json.dumps(self.skills(generation)))

    def close(self) -> None:
        """End nothing: there is no process."""

    def write(self, skills: Mapping[str, float]) -> str:
        """Put skills into the store and return their digest."""
        digest = hashlib.sha256(json.dumps(skills, sort_keys=True).encode()).hexdigest()
        aside = self.store.scratch(f"skills-{digest[:16]}")
        with writing(aside):
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
