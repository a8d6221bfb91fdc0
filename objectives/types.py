"""The nouns of an objective E_t = (ability, direction) over cells (Tao et al. 2024, arXiv:2404.14387, section 3).

All frozen. A cell is environment x level; a task is one item of a cell; an outcome is one graded answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from typing_extensions import TypeAliasType

Json: TypeAlias = Any
"""What `json.loads` may return: the type of an environment's own `answer` column."""
JsonValue = TypeAliasType(
    "JsonValue", "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
)
"""Any JSON there is, spelled out: what is read from it must be looked at first."""


class Direction(StrEnum):
    """What about an ability is to improve (the survey's D)."""

    PERFORMANCE = "performance"
    ADAPTATION = "adaptation"
    KNOWLEDGE = "knowledge"
    SAFETY = "safety"


class Split(StrEnum):
    """Who may look at an item. Every text belongs to exactly one split (`objectives.splits`)."""

    TRAIN = "train"
    PROBE = "probe"
    DEV = "dev"
    GATE = "gate"
    ANCHOR = "anchor"
    VAULT = "vault"


ABILITIES: tuple[str, ...] = (
    "instruction_following",
    "reasoning",
    "math",
    "coding",
    "role_play",
    "other",
    "planning",
    "tool_use",
    "embodied_control",
    "communication",
)
"""The survey's abilities. An environment may name another one; these are spelled once, here."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One environment at one level: the unit that is measured, raised and protected."""

    environment: str
    level: int

    def __str__(self) -> str:
        """Return ``environment/level``, the way people and metaevo.toml write it."""
        return f"{self.environment}/{self.level}"

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """Return the cell written as ``environment/level``.

        Raises:
            ValueError: The text has another form.
        """
        name, slash, level = text.rpartition("/")
        if not slash or not level.isdigit():
            raise ValueError(f"a cell is written environment/level, got {text!r}")
        return cls(name, int(level))


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat: ``role`` is system, user or assistant."""

    role: str
    content: str


Messages: TypeAlias = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One item. In front of modules ``answer`` and ``reference`` are None: they come only through an effect.

    ``origin`` says how the row is found again: ``made:SEED:INDEX``, ``row:INDEX`` or ``posed``.
    """

    id: str
    environment: str
    level: int
    split: Split
    prompt: Messages
    answer: Json = None
    reference: str | None = None
    origin: str = "posed"
    parents: tuple[str, ...] = ()
    group: str | None = None
    """The world or document it shares with other items: one group is one bet."""

    @property
    def cell(self) -> Cell:
        """Return the cell the task belongs to."""
        return Cell(self.environment, self.level)

    @property
    def text(self) -> str:
        """Return the last user turn: what a person would call the question."""
        return next((m.content for m in reversed(self.prompt) if m.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Environment:
    """What the control plane knows of an environment. Its code runs only in the grader pool.

    ``texts`` maps a level to its number of distinct texts, None where the cell is endless.
    ``version`` changes whenever the code, the rows or the options of the environment change.
    """

    name: str
    ability: str
    direction: Direction
    levels: tuple[int, ...]
    texts: Mapping[int, int | None]
    pass_mark: float
    timeout_s: float
    version: str
    train: bool = True
    alphabet: str | None = None
    reads: bool = False
    """Whether it can grade a task text somebody else posed."""
    judged: bool = False
    """Whether its reward is only a model's judgement: it steers, it does not promote."""
    answer_tokens: int | None = None
    runs: bool = False
    """Whether its reward executes text, in the sandbox."""
    groups: Mapping[int, int] = field(default_factory=dict)
    """Of each level whose rows name groups, how many there are: a row without one stands for itself."""

    marks: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Of each finite level what its fixed sample is known by, whatever the environment is called."""

    def bets(self, level: int) -> int | None:
        """Return how many bets the texts of a level are, a group being one; None where the cell is endless."""
        return self.groups.get(level, self.texts[level])

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Return the environment's cells, lowest level first."""
        return tuple(Cell(self.name, level) for level in self.levels)


class Unsaid(StrEnum):
    """Whose it is that an answer has no score; what a pair of outcomes does with it follows from that."""

    ROW = "row"
    """The row's own answer has no score either, or the grader failed: the item says nothing of anybody."""
    COMPLETION = "completion"
    """The row's own answer has a score: only this completion has none."""


@dataclass(frozen=True, slots=True)
class Graded:
    """The reward of one answer, None for "cannot say", and why it is not simply the reward's number."""

    score: float | None
    note: str = ""
    away: bool = False
    """Whether the sandbox was not there: the host saw it, whatever the grader process says."""
    unsaid: Unsaid | None = None
    """Whose it is that the reward gave no score; an answer that broke it has a score of 0 all the same."""

    @property
    def failed(self) -> bool:
        """Return whether grading itself failed and nobody knows yet who is to blame."""
        return self.score is None and bool(self.note) and not self.away and self.unsaid is None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One graded answer. ``score`` lies in [0, 1]; None is "cannot say", and ``unsaid`` then says whose fault it is."""

    task: str
    cell: Cell
    score: float | None
    tokens: int = 0
    unsaid: Unsaid | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What one generation did on the items of one split, item by item."""

    generation: str
    split: Split
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Objective:
    """E_t: which cells of one ability to raise in which direction, and why. It holds nothing else.

    No threshold, seed, item count or protected set can be said here (DESIGN section 4; an architecture test).
    """

    ability: str
    direction: Direction
    cells: tuple[Cell, ...]
    reason: str
    rule: str
