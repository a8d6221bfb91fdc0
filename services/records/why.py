"""Why a generation is what it is: every number that the sentences say."""

from collections.abc import Mapping
from typing import Literal

from services.records import Measured, record
from services.records.generations import GainFound, GivenReason, KeptFound, PursuedObjective, ScreenFound
from services.records.modules import WrittenModule


@record
class WrongExample:
    """A task that was answered wrong."""

    text: str
    given: str
    expected: str


@record
class WeaknessFound:
    """What was weak before: the objective's cells, and the mistake that cost most there."""

    cells: tuple[str, ...]
    before: Measured | None
    name: str | None
    environment: str | None
    share: float | None
    example: WrongExample | None


@record
class MethodUsed:
    """The recipe that made it, beside the second best of the same search."""

    recipe: str
    modules: tuple[str, ...]
    tried: int
    dev_gain: float | None
    second: str | None
    second_gain: float | None


@record
class RowsUsed:
    """What the last update was trained on, counted by where the rows came from."""

    rows: int
    replayed: int
    fresh: int
    exam_items: int | None
    """How many may not be trained on; null where nobody looked, in homes of an older metaevo."""
    sealed: bool
    """Whether it was trained under the split of texts by which exams are drawn now."""
    refused: Mapping[str, int]
    """How many rows were kept out of training, by reason."""


@record
class CycleCost:
    """What the whole cycle took; the three meters are None where the ledger is older than they."""

    tokens: int
    seconds: float | None
    prompt: int | None = None
    generated: int | None = None
    trained: int | None = None


@record
class ToldOnCell:
    """The gain on one cell."""

    mean: float
    low: float
    high: float
    n: int


@record
class ToldFound:
    """The gain as it is told: measured after the decision, or by an interval that holds whenever one stopped."""

    mean: float
    low: float
    high: float
    n: int
    test: Literal["fresh items", "confidence sequence"]
    cells: Mapping[str, ToldOnCell]


@record
class SeenItems:
    """How many of the items of the gain were asked before, in as many of the last exams as were looked at."""

    seen: int
    of: int
    exams: int


@record
class Claim:
    """What the promotions of the home are worth: the bound on the false ones' share, per budget."""

    alpha: float
    budgets: int
    epochs: int


@record
class Why:
    """Why a generation was promoted, held or rejected."""

    generation: str
    parent: str
    status: str
    decision: str
    at: str | None
    weakness: WeaknessFound | None
    objective: PursuedObjective | None
    method: MethodUsed | None
    written: tuple[WrittenModule, ...]
    gain: GainFound | None
    told: ToldFound | None
    seen_items: SeenItems | None
    claim: Claim
    screen: ScreenFound | None
    kept: tuple[KeptFound, ...] | None
    against: str
    protects_nothing: bool
    secret_seed: int | None
    """What the exam's secret was made from, where anyone can know it."""
    reasons: tuple[GivenReason, ...]
    data: RowsUsed | None
    cost: CycleCost
    undo: str | None
    lines: tuple[str, ...]


@record
class WhyBase:
    """The base model: nothing was decided about it."""

    generation: str
    status: str
    weakness: None
    objective: None
    method: None
    gain: None
    kept: None
    against: None
    data: None
    cost: None
    undo: None
    lines: tuple[str, ...]
