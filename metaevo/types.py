"""What flows through a trial and a cycle. Each record holds the one before it, so no step looks back.

Grouping is by ``task.id``, never by position. ``None`` is "cannot say" and never a 0. Shape suffixes in names:
_P prompts or tasks, _G the samples of one, _R rows.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

from objectives.types import Json, Task

Passing: TypeAlias = Literal["pass", "fail", "unknown"]
FeedbackSource: TypeAlias = Literal["environment", "model", "human"]


@dataclass(frozen=True, slots=True)
class Knob:
    """A searched number: Optuna looks in [low, high], a recipe may go as far as [least, most] (default: the same).

    ``budget`` marks a knob that costs in proportion: a trial at low fidelity gets that share of it. ``mark``
    marks a score from which on rows are kept: beside a kernel that scores it is lowered, for such scores are rarely 1.
    """

    low: float
    high: float
    log: bool = False
    least: float | None = None
    most: float | None = None
    budget: bool = False
    mark: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer. ``logprob`` is the sum over its tokens at temperature 1, in nats."""

    text: str
    tokens: int
    logprob: float | None = None
    finish: Literal["stop", "length"] = "stop"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What went through models: one token is a position. Padding is none.

    A prompt counts as often as it is computed: once for all its samples where an engine shares it, else for each.
    """

    prompt: int = 0
    """Read: prompts, texts that were scored or embedded."""
    generated: int = 0
    """Written, ends included."""
    trained: int = 0
    """Read while training, by the model that learns and by those it is compared with."""

    @property
    def total(self) -> int:
        """Return all of them: what a cycle is charged."""
        return self.prompt + self.generated + self.trained

    def __add__(self, more: "Tokens") -> "Tokens":
        return Tokens(self.prompt + more.prompt, self.generated + more.generated, self.trained + more.trained)

    def __sub__(self, less: "Tokens") -> "Tokens":
        return Tokens(self.prompt - less.prompt, self.generated - less.generated, self.trained - less.trained)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn after the task's prompt. Only turns with ``trained`` enter a loss."""

    role: str
    text: str
    by: str | None = None
    trained: bool = True
    tokens: int = 0
    logprob: float | None = None
    finish: str = "stop"


@dataclass(frozen=True, slots=True)
class Solution:
    """What was answered to a task: turns, and the parsed final answer where a module knows it."""

    id: str
    turns: tuple[Turn, ...]
    answer: str | None = None

    @property
    def text(self) -> str:
        """Return the last assistant turn: the completion that is graded."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "assistant"), "")

    @property
    def tokens(self) -> int:
        """Return the tokens the model spent on all turns."""
        return sum(turn.tokens for turn in self.turns)

    @property
    def cut(self) -> bool:
        """Return whether a turn that would be learned did not come to its end."""
        return any(turn.trained and turn.role == "assistant" and turn.finish != "stop" for turn in self.turns)


def solved(turns: tuple[Turn, ...], number: int = 0, answer: str | None = None) -> Solution:
    """Return a solution with an id made from what was said, by whom, and the sample's number."""
    said = "\0".join(f"{turn.role}\1{turn.by}\1{turn.text}" for turn in turns)
    return Solution("s" + hashlib.blake2b(f"{number}\0{said}".encode(), digest_size=8).hexdigest(), turns, answer)


def answered(completion: Completion, by: str, number: int = 0) -> Solution:
    """Return the solution that one sampled completion is."""
    turn = Turn(
        "assistant",
        completion.text,
        by=by,
        trained=True,
        tokens=completion.tokens,
        logprob=completion.logprob,
        finish=completion.finish,
    )
    return solved((turn,), number)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A task and one solution of it."""

    task: Task
    solution: Solution


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the world, a model or a person said about one attempt."""

    score: float | None
    verdict: Passing = "unknown"
    source: FeedbackSource = "environment"
    signals: Mapping[str, float] = field(default_factory=dict)
    critique: str = ""


def passing(passes: bool | None) -> Passing:
    """Return the verdict a yes, a no or a "cannot say" is."""
    return "unknown" if passes is None else "pass" if passes else "fail"


@dataclass(frozen=True, slots=True)
class Experience:
    """The unit of learning. ``rejected`` makes it a preference pair; ``weight`` scales its loss."""

    attempt: Attempt
    feedback: tuple[Feedback, ...] = ()
    score: float | None = None
    rejected: Attempt | None = None
    weight: float = 1.0
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted:
    """Rows that the door let pass, as `Weights.admit` gives them.

    A name against mistakes, no proof: the host holds what is trained on against a record of its own (`engines.watch`).
    """

    rows: tuple[Experience, ...]


Tasks: TypeAlias = tuple[Task, ...]
Attempts: TypeAlias = tuple[Attempt, ...]
Experiences: TypeAlias = tuple[Experience, ...]


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adaptation of one training run (Hu et al. 2021, arXiv:2106.09685)."""

    r: int
    alpha: int
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """The levers that stability modules leave to the update. Pure data."""

    lora: Lora | None = None


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One module call as data: which slot, which module, which knobs (complete)."""

    slot: str
    use: str
    knobs: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generation:
    """An immutable model version. ``parts`` maps a role (policy, ...) to a digest; ``answer`` is how it answers.

    An empty ``answer`` is the direct one: one greedy completion.
    """

    id: str
    parent: str | None
    parts: Mapping[str, str]
    answer: tuple[StepSpec, ...] = ()


Decision: TypeAlias = Literal["promote", "hold", "reject"]


class TrialEnd(StrEnum):
    """How a trial ended, as a code; its ``failure`` says the same to people. Code decides by this, never by that."""

    OK = "ok"
    MODULE_FAILED = "module_failed"
    NOT_FINITE = "not_finite"
    OUT_OF_MEMORY = "out_of_memory"
    BAD_INPUT = "bad_input"
    INFRASTRUCTURE = "infrastructure"
    """An engine died again and again: nothing is said of the recipe."""
    NOTHING_TO_LEARN = "nothing_to_learn"
    """No row was left after refinement."""


class CycleEnd(StrEnum):
    """Why a cycle ended as it did, as a code (DESIGN.md, section 8); its ``why`` says the same to people."""

    PROMOTED = "promoted"
    CONVERGED = "converged"
    LIMIT_OF_MODEL = "limit of model"
    LIMIT_OF_DATA = "limit of data"
    LIMIT_OF_RECIPE = "limit of recipe"
    INCONCLUSIVE = "inconclusive"
    """Held: the gate could not decide yet."""
    INFRASTRUCTURE = "infrastructure"
    NOT_GRADED = "not graded"
    """Void: too many exam items could not be graded."""
    MODULE_FAILED = "module failed"
    """Void: a module that the cycle itself needs failed (a rule, an environment)."""
    CODE_CHANGED = "code changed"
    EVALUATOR_CHANGED = "evaluator changed"
    ROLLED_BACK = "rolled back"
    QUARANTINED = "quarantined"
    """Void: a person put a module away while it ran."""
    UPGRADED = "upgraded"
    """Abandoned: another metaevo, or other libraries, came in between."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One recipe run once. ``generation`` is None where the recipe failed; ``ending`` and ``failure`` then say why."""

    number: int
    recipe: str
    fidelity: float
    generation: Generation | None
    score: float | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    failure: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    ending: TrialEnd = TrialEnd.OK


__all__ = [
    "Admitted",
    "Attempt",
    "Attempts",
    "Completion",
    "CycleEnd",
    "Decision",
    "Experience",
    "Experiences",
    "Feedback",
    "FeedbackSource",
    "Generation",
    "Knob",
    "Lora",
    "Passing",
    "Solution",
    "StepSpec",
    "Tasks",
    "Tokens",
    "TrainSpec",
    "Trial",
    "TrialEnd",
    "Turn",
    "answered",
    "passing",
    "solved",
]
