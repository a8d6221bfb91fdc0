"""Generations as a person sees them: a row of a list, one whole, and what the gate said of it."""

from collections.abc import Mapping
from typing import Literal

from objectives.types import JsonValue
from services.records import Scalar, record


@record
class PursuedObjective:
    """What a cycle set out to raise, and why."""

    ability: str
    direction: str
    cells: tuple[str, ...]
    reason: str
    rule: str


@record
class GivenReason:
    """One reason of a verdict, from the closed list, with its numbers."""

    code: str
    numbers: Mapping[str, Scalar | tuple[float, ...]]


@record
class ShortVerdict:
    """What the gate decided, and why."""

    decision: str
    reasons: tuple[GivenReason, ...]


@record
class ScreenFound:
    """The screen's estimate of the gain, and the bar it had to clear."""

    mean: float
    low: float
    high: float
    n: int
    bar: float


@record
class GainFound:
    """Where a confirmation stands: the ``k``-th one of its budget, at that level of error."""

    mean: float
    low: float
    high: float
    n: int
    k: int
    level: float
    threshold: float
    place: int
    squares: float
    test: Literal["betting", "exact paired"]
    e_value: float | None = None
    logs: tuple[float, ...] | None = None
    p: float | None = None
    promotions: int = 0
    budget: int = 1


@record
class KeptFound:
    """One protected rule: the difference with its bounds, its limit, and what follows."""

    what: str
    against: str
    mean: float
    low: float
    high: float
    n: int
    limit: float
    state: Literal["kept", "harmed", "open"]
    whole: int = 0
    """How many of the items are rows that were counted whole."""
    e_kept: float | None = None
    e_harmed: float | None = None
    odds: float | None = None
    needed: int | None = 0
    left: int | None = None
    cell_margin: float | None = None
    """What one of its cells may lose at most."""


@record
class ExamFound:
    """All an examination found, in the order it looked; what came too late to be looked at is left out."""

    cells: tuple[str, ...]
    protects_nothing: bool
    screen: ScreenFound | None = None
    gain: GainFound | None = None
    stream: int | None = None
    kept: tuple[KeptFound, ...] | None = None
    cells_harmed: Mapping[str, float] | None = None
    guards: Mapping[str, Mapping[str, Scalar]] | None = None


@record
class FullVerdict:
    """What the gate decided, with all its evidence. ``gate`` is the hash of its rules."""

    decision: str
    reasons: tuple[GivenReason, ...]
    gate: str
    exam: ExamFound


@record
class ListedGeneration:
    """One generation in a list. ``scores`` are means over its anchor cells, by ability."""

    id: str
    number: int
    parent: str | None
    status: str
    created_at: str
    objective: PursuedObjective | None
    recipe: str | None
    evaluator: int | None
    scores: Mapping[str, float]
    verdict: ShortVerdict | None
    artifact: str | None
    tree: bool = False
    """Whether the list is to be drawn as a tree."""


@record
class CellMean:
    """What a generation scored on one cell of one split."""

    cell: str
    split: str
    mean: float
    low: float
    high: float
    n: int


@record
class AnswerStep:
    """One step of how a generation answers."""

    slot: str
    use: str
    knobs: Mapping[str, JsonValue]


@record
class GenerationDetail:
    """Everything the ledger knows of one generation."""

    id: str
    number: int
    parent: str | None
    status: str
    created_at: str
    objective: PursuedObjective | None
    recipe: str | None
    evaluator: int | None
    scores: Mapping[str, float]
    verdict: ShortVerdict | None
    artifact: str | None
    cells: tuple[CellMean, ...]
    answer: tuple[AnswerStep, ...]
    parts: Mapping[str, str] | None
    recipe_body: Mapping[str, JsonValue] | None
    exam: FullVerdict | None
    ancestors: tuple[str, ...]


@record
class RolledBack:
    """A rollback: the generation that was left, and the one that is champion again."""

    left: str
    champion: str
    reason: str
