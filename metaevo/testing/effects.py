"""Effects for the author of a module: a policy that echoes, grading and references from a table, a few sample rows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from metaevo.types import (
    Attempt,
    Attempts,
    Completion,
    Experience,
    Experiences,
    Feedback,
    Generation,
    StepSpec,
    Turn,
    solved,
)
from objectives.types import Message, Messages, Split, Task

TASK = Task("t1", "addition", 2, Split.TRAIN, (Message("user", "add 12+30"),))
OTHER = Task("t2", "addition", 3, Split.TRAIN, (Message("user", "add 111+222"),))


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
