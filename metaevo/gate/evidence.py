"""What the gate found and said: the evidence, the reasons, the verdict, and a candidate that is held.

The ledger keeps each as JSON. `as_data` and `from_data` are the only two ways there and back; what was not looked at
is None here and no key there. Every `from_data` raises StoreError for what it cannot read.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias, get_args

from pydantic import ValidationError

from metaevo.artifacts.bodies import record_of
from metaevo.errors import StoreError
from metaevo.types import Decision
from objectives.types import JsonValue

ProtectionState: TypeAlias = Literal["kept", "harmed", "open"]
Bets: TypeAlias = Mapping[str, tuple[tuple[float, int], ...]]
"""Cell to how often each difference came there, and under "" of all cells; the items of a group are one, their mean."""


@dataclass(frozen=True, slots=True)
class Screen:
    """The screen's estimate of the gain, and the bar it had to clear."""

    mean: float
    low: float
    high: float
    n: int
    bar: float


@dataclass(frozen=True, slots=True)
class Gain:
    """Where a confirmation stands: the ``k``-th one of its budget, at that level of error."""

    mean: float
    low: float
    high: float
    n: int
    k: int
    level: float
    threshold: float
    """The e-value that proves the gain: one over the level."""
    place: int
    """Its place in the item order: a held candidate goes on from here."""
    squares: float
    """Sum of the squared differences: with mean and n all that the interval needs."""
    promotions: int = field(default=0, kw_only=True)
    """The gate's own promotions, not undone, that the level stands on."""
    budget: int = field(default=1, kw_only=True)


@dataclass(frozen=True, slots=True)
class BettingGain(Gain):
    """A confirmation on endless cells: the paired betting e-process."""

    e_value: float
    logs: tuple[float, ...]
    """The logarithm of the wealth of each betting fraction."""
    test: Literal["betting"] = "betting"


@dataclass(frozen=True, slots=True)
class ExactGain(Gain):
    """A confirmation on finite cells: the exact paired test on the whole fixed sample."""

    p: float
    test: Literal["exact paired"] = "exact paired"


@dataclass(frozen=True, slots=True)
class ToldCell:
    """The gain on one cell, with its interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class ToldGain:
    """What is told of a promoted candidate's gain: no part of the decision, so its stop does not flatter it."""

    mean: float
    low: float
    high: float
    n: int
    test: Literal["fresh items", "confidence sequence"]
    cells: Mapping[str, ToldCell]


@dataclass(frozen=True, slots=True)
class ProtectionFinding:
    """One protected rule: the difference with one-sided 95 % bounds, its limit, and what follows."""

    what: str
    against: str
    mean: float
    low: float
    high: float
    n: int
    limit: float
    state: ProtectionState
    """``kept`` (the bound lies above the limit), ``harmed`` (below for sure) or ``open``."""
    whole: int = 0
    """How many of the items are rows that were counted whole: of those the claim has no error."""
    e_kept: float | None = None
    """Evidence that the limit is kept; at the odds it is."""
    e_harmed: float | None = None
    odds: float | None = None
    needed: int | None = 0
    """About how many more items would settle an open line; None where none would."""
    left: int | None = None
    """Items there are to read in later cycles; None: without an end."""
    cell_margin: float | None = None
    """What one of its cells may lose at most."""


@dataclass(frozen=True, slots=True)
class RuleOutcomes:
    """What was seen of one protected rule: a held candidate's examination goes on from here.

    ``series`` maps what it is compared with to cell to how often each outcome came (differences in [-1, 1]).
    """

    what: str
    rounds: int
    series: Mapping[str, Mapping[str, tuple[tuple[float, int], ...]]]


@dataclass(frozen=True, slots=True)
class CellHarm:
    """A cell whose loss is proven: the evidence against its margin. Verdicts before schema 4 gave a p-value."""

    cell: str
    p: float | None = None
    e_value: float | None = None
    mean: float | None = None
    n: int | None = None
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """What one guard found: whether it lets the candidate pass, and its own numbers."""

    ok: bool
    numbers: Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class MoreItems:
    """What is not decided yet, and about how many items would settle it; None where there is no gain in sight."""

    found: BettingGain | ExactGain | ProtectionFinding
    needed: int | None
    limit: int | None = None
    """The most items of one confirmation; a protected rule has its own limit, in ``found``."""
    most: int = 0
    """The most items that one cycle may take."""
    left: int | None = None
    """Items there are to read; None: without an end."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Why a person must say yes."""

    pinned: bool
    approval: bool


class ReasonCode(StrEnum):
    """The closed list of why a verdict is what it is (DESIGN.md, section 8)."""

    GAIN_PROVEN = "gain proven"
    SCREEN_FAILED = "screen failed"
    ABILITY_HARMED = "ability harmed"
    CELL_HARMED = "cell harmed"
    GUARD = "guard"
    """Stored with the guard's name: ``guard cost per answer``."""
    MORE_ITEMS = "needs more items"
    AWAITS_APPROVAL = "awaits approval"


Numbers: TypeAlias = (
    Screen | BettingGain | ExactGain | ProtectionFinding | CellHarm | GuardFinding | MoreItems | Approval
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a verdict, with its numbers. ``guard`` is the name of the guard that vetoed, else empty."""

    code: ReasonCode
    numbers: Numbers
    guard: str = ""

    @property
    def label(self) -> str:
        """Return the code as people read it and the ledger keeps it: a guard's with its name."""
        return f"{self.code} {self.guard}" if self.guard else self.code.value

    def as_data(self) -> dict[str, JsonValue]:
        """Return the reason as the ledger keeps it: numbers side by side, whatever they are numbers of."""
        return {"code": self.label, "numbers": _flat(self.numbers)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Reason":
        """Return the reason the ledger keeps."""
        with _reading("a reason"):
            label, numbers = str(data["code"]), dict(data["numbers"])
            first, _, guard = label.partition(" ")
            if first == ReasonCode.GUARD:
                return cls(ReasonCode.GUARD, _finding(numbers), guard)
            code = ReasonCode(label)
            if code is ReasonCode.MORE_ITEMS:
                return cls(code, _more_items(numbers))
            return cls(code, record_of(_KINDS[code], numbers))


_KINDS: dict[ReasonCode, type[Screen | ProtectionFinding | CellHarm | Approval | BettingGain | ExactGain]] = {
    ReasonCode.GAIN_PROVEN: BettingGain | ExactGain,  # type: ignore[dict-item]  # pydantic takes a union as a type
    ReasonCode.SCREEN_FAILED: Screen,
    ReasonCode.ABILITY_HARMED: ProtectionFinding,
    ReasonCode.CELL_HARMED: CellHarm,
    ReasonCode.AWAITS_APPROVAL: Approval,
}
"""What the numbers of each reason are numbers of; guards and what needs more items are read on their own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All an examination found, in the order it looked. None: not looked at, for what came before decided."""

    cells: tuple[str, ...]
    """The objective's cells."""
    protects_nothing: bool
    screen: Screen | None = None
    gain: BettingGain | ExactGain | None = None
    stream: int | None = None
    """The cycle whose item stream the confirmation takes: a held candidate goes on in its own."""
    kept: tuple[ProtectionFinding, ...] | None = None
    cells_harmed: Mapping[str, float] | None = None
    guards: Mapping[str, GuardFinding] | None = None
    secret_seed: int | None = None
    """What the exam's secret was made from, where anyone can know it."""
    outcomes: tuple[RuleOutcomes, ...] | None = None
    """What a held candidate's protection goes on from."""
    weights: tuple[float, ...] | None = None
    """The share of items of each cell, fixed before the first one."""
    told: ToldGain | None = None
    bets: Bets | None = None
    """What a held candidate's gain was seen in, where a cell is finite: nothing fresh is there to tell of it."""

    def as_data(self) -> dict[str, JsonValue]:
        """Return the evidence as the ledger keeps it."""
        data = {name: value for name, value in asdict(self).items() if value is not None}
        if self.guards is not None:
            data["guards"] = {name: _flat(found) for name, found in self.guards.items()}
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Evidence":
        """Return the evidence the ledger keeps; what a hold keeps beside it is left out."""
        with _reading("the evidence"):
            guards = data.get("guards")
            found = None if guards is None else {name: asdict(_finding(dict(said))) for name, said in guards.items()}
            return record_of(cls, {**data, "guards": found})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate decided about one candidate, and by which rules (``gate`` is their hash)."""

    decision: Decision
    reasons: tuple[Reason, ...]
    gate: str
    evidence: Evidence

    def as_data(self) -> dict[str, JsonValue]:
        """Return the verdict as the ledger keeps it."""
        reasons = [reason.as_data() for reason in self.reasons]
        return {"decision": self.decision, "reasons": reasons, "gate": self.gate, "exam": self.evidence.as_data()}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Verdict":
        """Return the verdict the ledger keeps."""
        with _reading("a verdict"):
            reasons = tuple(Reason.from_data(reason) for reason in data["reasons"])
            if data["decision"] not in get_args(Decision):
                raise StoreError(f"a verdict decides {data['decision']!r:.40}")
            return cls(data["decision"], reasons, str(data["gate"]), Evidence.from_data(data["exam"]))


@dataclass(frozen=True, slots=True)
class Hold:
    """A held candidate: what it stands against, and where its examination stopped."""

    candidate: str
    parent: str
    epoch: int
    k: int
    cycle: int
    """The cycle that held it first."""
    tries: int
    """How often it was examined again."""
    needed: int | None
    """About how many more items would decide; None where none would, 0 where a person must say yes."""
    most: int
    """The most items that one cycle may take of them."""
    person: bool
    """It waits for a person: nothing is left to examine."""
    evidence: Evidence

    @property
    def nights(self) -> int | None:
        """Return how many cycles it still needs; None where items cannot decide it, 0 where it waits for a person."""
        return None if self.needed is None else -(-self.needed // max(1, self.most))

    def as_data(self) -> dict[str, JsonValue]:
        """Return the columns of the hold's row."""
        columns = ("candidate", "parent", "epoch", "k", "cycle", "tries")
        return {name: getattr(self, name) for name in columns} | {"exam": self.exam_data()}

    def exam_data(self) -> dict[str, JsonValue]:
        """Return the row's column ``exam``: numbers of the hold stand beside the evidence."""
        own = {"needed": self.needed, "most": self.most, "person": self.person}
        return self.evidence.as_data() | own

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Hold":
        """Return the hold of a row's columns."""
        with _reading("a hold"):
            exam = data["exam"]
            before_schema_4 = {"most": 1500, "person": exam["needed"] == 0}
            own = {name: exam[name] for name in ("needed", "most", "person") if name in exam}
            own = before_schema_4 | own
            return record_of(cls, {**data, **own, "evidence": Evidence.from_data(exam)})


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn whatever goes wrong with data of an unknown shape into one line."""
    try:
        yield
    except KeyError as error:
        raise StoreError(f"{what} has no {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StoreError(f"{what}: {place}: {first['msg']}" if place else f"{what}: {first['msg']}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{what}: {' '.join(str(error).split())[:120]}") from error


def _flat(numbers: Numbers) -> dict[str, JsonValue]:
    if isinstance(numbers, GuardFinding):
        return {"ok": numbers.ok, **numbers.numbers}
    if not isinstance(numbers, MoreItems):
        return asdict(numbers)
    own: dict[str, JsonValue] = {"needed": numbers.needed, "most": numbers.most, "left": numbers.left}
    if numbers.limit is not None:
        own["limit"] = numbers.limit
    return asdict(numbers.found) | own


def _finding(data: dict[str, Any]) -> GuardFinding:
    ok = data.pop("ok")
    return record_of(GuardFinding, {"ok": ok, "numbers": data})


def _more_items(data: dict[str, Any]) -> MoreItems:
    """Return what needs more items: a protected rule has a ``limit`` of its own, a confirmation that of its items."""
    own: dict[str, Any] = {name: data[name] for name in ("needed", "most", "left") if name in data}
    if "what" in data:
        return MoreItems(record_of(ProtectionFinding, data), **own)
    whole: dict[str, Any] = {"found": data, "limit": data["limit"], **own}
    return record_of(MoreItems, whole)
