"""What flows through a trial and a cycle. Each record holds the one before it, so no step looks back.

Grouping is by ``task.id``, never by position. ``None`` is "cannot say" and never a 0. Shape suffixes in names:
_P prompts or tasks, _G the samples of one, _R rows.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from objectives.types import Cell, Direction, Json, Objective, Outcome, Report, Task

Passing: TypeAlias = Literal["pass", "fail", "unknown"]
FeedbackSource: TypeAlias = Literal["environment", "model", "human"]


@dataclass(frozen=True, slots=True)
class Knob:
    """A searched number: Optuna looks in [low, high], a recipe may go as far as [least, most] (default: the same).

    ``budget`` marks a knob that costs in proportion: a trial at low fidelity gets that share of it.
    """

    low: float
    high: float
    log: bool = False
    least: float | None = None
    most: float | None = None
    budget: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer. ``logprob`` is the sum over its tokens at temperature 1, in nats."""

    text: str
    tokens: int
    logprob: float | None = None
    finish: Literal["stop", "length"] = "stop"


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


def solved(turns: tuple[Turn, ...], number: int = 0, answer: str | None = None) -> Solution:
    """Return a solution with an id made from what was said, by whom, and the sample's number."""
    said = "\0".join(f"{turn.role}\1{turn.by}\1{turn.text}" for turn in turns)
    return Solution("s" + hashlib.blake2b(f"{number}\0{said}".encode(), digest_size=8).hexdigest(), turns, answer)


def answered(completion: Completion, by: str, number: int = 0) -> Solution:
    """Return the solution that one sampled completion is."""
    turn = Turn("assistant", completion.text, by, True, completion.tokens, completion.logprob, completion.finish)
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


@dataclass(frozen=True, slots=True)
class CellState:
    """What is known of one cell when the next objective is chosen. Scores are of the champion.

    ``score`` is the probe's mean with its interval; ``latent`` the chance-corrected share of tasks that one of
    ``k`` samples solves; ``chance`` the share of the most common answer; ``progress`` the gain that the last try at
    it showed; ``drop`` what was lost since the best generation; ``tries`` how often it was tried since in vain.
    """

    cell: Cell
    ability: str
    direction: Direction
    score: float | None
    low: float
    high: float
    n: int
    latent: float | None
    chance: float
    finite: bool
    trend: float = 0.0
    drop: float = 0.0
    tries: int = 0
    progress: float | None = None
    parked: str = ""
    weight: float = 1.0
    """The operator's goal weight; 0 means that no goal covers the cell."""
    target: float = 0.95
    provable: float = 1.0
    """The smallest gain one decision can prove on this cell."""


@dataclass(frozen=True, slots=True)
class History:
    """What an objective rule may see: the cells, and the objectives of former cycles with their outcomes."""

    cells: tuple[CellState, ...]
    past: tuple[tuple[Objective, str], ...] = ()
    """(objective, decision) of former cycles, oldest first."""


def closed_because(cell: CellState) -> str:
    """Return why a cell is no objective now; empty where it is open."""
    if cell.weight <= 0:
        return "outside the goals"
    if cell.score is None:
        return "not measured"
    if cell.parked:
        return "parked"
    if cell.low >= cell.target or cell.score >= cell.target:
        return "mastered"
    return "too little room to prove a gain" if cell.provable > max(cell.target - cell.score, 0.05) else ""


def nothing(rule: str, cells: tuple[CellState, ...]) -> Objective:
    """Return the objective of a rule that found no open cell: no cells, and why."""
    counts = Counter(closed_because(cell) or "without promise" for cell in cells)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return Objective("", Direction.PERFORMANCE, (), f"no cell is open: {why or 'there is none'}", rule)


Decision: TypeAlias = Literal["promote", "hold", "reject"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a verdict, from the closed list of DESIGN section 8, with its numbers."""

    code: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided about one candidate, and by which rules (``gate`` is their hash)."""

    decision: Decision
    reasons: tuple[Reason, ...]
    gate: str
    exam: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """One recipe run once. ``generation`` is None where the recipe failed; ``failure`` then says why."""

    number: int
    recipe: str
    fidelity: float
    generation: Generation | None
    score: float | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    failure: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One decision, or the reason why there is none. ``outcome``: a decision, ``none`` or ``void``."""

    number: int
    objective: Objective | None
    trials: tuple[Trial, ...]
    candidate: Generation | None
    verdict: Verdict | None
    outcome: str
    why: str = ""
    reports: tuple[Report, ...] = ()


__all__ = [
    "Attempt",
    "Attempts",
    "CellState",
    "Completion",
    "Cycle",
    "Decision",
    "Experience",
    "Experiences",
    "Feedback",
    "FeedbackSource",
    "Generation",
    "History",
    "Knob",
    "Lora",
    "Outcome",
    "Passing",
    "Reason",
    "Solution",
    "StepSpec",
    "Tasks",
    "TrainSpec",
    "Trial",
    "Turn",
    "Verdict",
    "answered",
    "closed_because",
    "nothing",
    "passing",
    "solved",
]
