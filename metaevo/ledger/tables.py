"""The ledger's tables. Append-only but for open rows, aliases and statuses, each change of which has its own row.

Choices are stored as text with a CHECK, never as enums (a bad enum value poisons every later read). JSON columns
are written whole, never mutated in place. Every index answers a question that is asked once a cycle or once a report:
without it the question would cost more with every cycle that went before.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Index, Integer, Table, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from objectives.types import JsonValue

STATUSES = ("champion", "retired", "candidate", "held", "rejected", "quarantined", "intermediate")
OUTCOMES = ("open", "promote", "hold", "reject", "none", "void", "abandoned")
CONFIRMATIONS = ("open", "proven", "unproven", "void")
VERSION = 4
"""Version of this schema, kept in the table `meta`. An older ledger is migrated, a newer one refused."""
OLDEST = 2
"""The oldest version that `migrations/` can start from."""

JsonMap = dict[str, Any]


def _json(*, nullable: bool) -> Any:
    return Field(sa_column=Column(JSON, nullable=nullable))


def _many() -> Any:
    """Return the column of a count that may pass two billion; an INTEGER of SQLite has eight bytes as it is."""
    return Field(default=0, sa_column=Column(BigInteger().with_variant(Integer(), "sqlite"), nullable=False))


def _one_of(column: str, choices: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} in ({', '.join(repr(choice) for choice in choices)})")


class Meta(SQLModel, table=True):
    """One fact about the home: schema version, how it splits texts, runtime, base."""

    key: str = Field(primary_key=True)
    value: str


class CycleRow(SQLModel, table=True):
    """One cycle: open until it is decided or ends for another reason."""

    __tablename__ = "cycle"
    __table_args__ = (
        _one_of("outcome", OUTCOMES),
        Index("cycle_outcome", "outcome", "number", "wall_s", "tokens"),
        Index("cycle_candidate", "candidate", "number"),
        Index("cycle_pinned", "pinned"),
    )
    number: int = Field(primary_key=True)
    outcome: str = "open"
    ending: str = ""
    """A `types.CycleEnd`, empty while it is open; no CHECK, for a new code shall not rebuild the table."""
    why: str = ""
    """The same as a sentence, for people."""
    parent: str
    epoch: int
    seed: int
    commitment: str
    """Hash of the exam's seed, written before anything is trained."""
    runtime: str
    fixed: JsonMap | None = _json(nullable=True)
    """What the operator pinned: {"objective", "recipe"}."""
    pinned: str = ""
    """Which of the two are pinned, as words ("objective recipe"): an index answers whether anything ever was."""
    objective: JsonMap | None = _json(nullable=True)
    candidate: str | None = None
    verdict: JsonMap | None = _json(nullable=True)
    tokens: int = _many()
    opened_at: datetime
    closed_at: datetime | None = None
    wall_s: float = 0.0
    """Seconds from its opening to its end; kept, so that the sum over all cycles is one scan of an index."""


class StepRow(SQLModel, table=True):
    """One journal row. The cycle's own steps have trial 0; a row without ``digest`` is open."""

    __tablename__ = "step"
    __table_args__ = (
        Index("step_opened", "cycle", "opened_at"),
        Index("step_name", "step", "cycle", "position"),
        Index("step_module", "module", "cycle", "trial"),
    )
    cycle: int = Field(primary_key=True)
    trial: int = Field(primary_key=True)
    stage: int = Field(primary_key=True)
    round: int = Field(primary_key=True)
    step: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    module: str = ""
    mark: str
    digest: str | None = None
    body: bytes | None = None
    """What the step made, where it is a small record; otherwise the store has it, under the digest."""
    counts: JsonMap = _json(nullable=False)
    runs: int = 1
    opened_at: datetime
    closed_at: datetime | None = None


class GenerationRow(SQLModel, table=True):
    """One generation. The key of the step that publishes it reserves its id, so a resumed step gets the same one."""

    __tablename__ = "generation"
    __table_args__ = (
        _one_of("status", STATUSES),
        UniqueConstraint("cycle", "trial", "place"),
        Index("generation_status", "status", "number", "recipe"),
        Index("generation_parent", "parent", "number"),
        Index("generation_recipe", "recipe", "number"),
    )
    id: str = Field(primary_key=True)
    number: int = Field(unique=True)
    parent: str | None = None
    status: str = "intermediate"
    cycle: int
    trial: int
    place: int
    parts: JsonMap | None = _json(nullable=True)
    answer: list[JsonValue] = _json(nullable=False)
    recipe: str | None = None
    data: str | None = None
    """Digest of the rows its last update was trained on."""
    objective: JsonMap | None = _json(nullable=True)
    manifest: str | None = None
    epoch: int | None = None
    verdict: JsonMap | None = _json(nullable=True)
    created_at: datetime


class AliasRow(SQLModel, table=True):
    """Where champion, previous, reference, base and pinned point now. ``base`` is set once and never moves."""

    __tablename__ = "alias"
    name: str = Field(primary_key=True)
    generation: str


class MoveRow(SQLModel, table=True):
    """One move of an alias: append-only."""

    __tablename__ = "move"
    __table_args__ = (Index("move_alias", "alias", "seq"), Index("move_after", "after", "alias"))
    seq: int | None = Field(default=None, primary_key=True)
    alias: str
    before: str | None = None
    after: str | None = None
    who: str
    why: str
    evidence: JsonMap = _json(nullable=False)
    at: datetime


class ScoreRow(SQLModel, table=True):
    """What one generation scored on one cell of one split, in one evaluator epoch."""

    __tablename__ = "score"
    generation: str = Field(primary_key=True)
    split: str = Field(primary_key=True)
    environment: str = Field(primary_key=True)
    level: int = Field(primary_key=True)
    epoch: int = Field(primary_key=True)
    n: int
    mean: float
    low: float
    high: float
    latent: float | None = None
    cycle: int


class BestAnchorRow(SQLModel, table=True):
    """The best anchor score of one cell on the champion's line, and the fewest items any of the line was measured on.

    A kept value: `metaevo.ledger.anchors` says when it changes, and a test that it equals what the line says.
    """

    __tablename__ = "best_anchor"
    epoch: int = Field(primary_key=True)
    environment: str = Field(primary_key=True)
    level: int = Field(primary_key=True)
    n: int
    mean: float


class RecipeRow(SQLModel, table=True):
    """A recipe that was run, whole; its hash is never recomputed."""

    __tablename__ = "recipe"
    hash: str = Field(primary_key=True)
    name: str
    body: JsonMap = _json(nullable=False)
    modules: list[JsonValue] = _json(nullable=False)


_FAILED = text("failure != ''")


class TrialRow(SQLModel, table=True):
    """One trial: the evidence that search is built from."""

    __tablename__ = "trial"
    __table_args__ = (
        Index("trial_study", "study", "cycle", "number"),
        Index("trial_failed", "study", "skeleton", "cycle", sqlite_where=_FAILED, postgresql_where=_FAILED),
        Index("trial_recipe", "recipe", "cycle", "number"),
    )
    cycle: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    study: str
    recipe: str
    fidelity: float
    params: JsonMap = _json(nullable=False)
    skeleton: str = ""
    """The combination that `params` name, as a column: failures are counted by it."""
    score: float | None = None
    constraints: JsonMap = _json(nullable=False)
    tokens: int = _many()
    ending: str = "ok"
    """A `types.TrialEnd`."""
    failure: str = ""
    """The same as a sentence, for people."""
    generation: str | None = None


class EpochRow(SQLModel, table=True):
    """An evaluator epoch: as long as tasks, graders, decoding and libraries are what ``evaluator`` hashes."""

    __tablename__ = "epoch"
    number: int = Field(primary_key=True)
    evaluator: str
    why: str
    opened_at: datetime


class BudgetRow(SQLModel, table=True):
    """A budget of error that a person opened. The first one is there without a row; the last one is spent from."""

    __tablename__ = "budget"
    number: int = Field(primary_key=True)
    who: str
    why: str
    at: datetime


class ConfirmationRow(SQLModel, table=True):
    """The error ledger: the k-th confirmation of a budget, written before its first item is looked at.

    It belongs to what was asked: candidate, parent, cells, weights, epoch. Anything else takes a new k.
    """

    __tablename__ = "confirmation"
    __table_args__ = (
        _one_of("outcome", CONFIRMATIONS),
        Index("confirmation_candidate", "candidate", "parent"),
    )
    budget: int = Field(primary_key=True)
    k: int = Field(primary_key=True)
    epoch: int
    cycle: int
    candidate: str
    parent: str
    cells: list[JsonValue] = _json(nullable=False)
    weights: list[JsonValue] = _json(nullable=False)
    """The share of items of each cell, in the order of ``cells``."""
    level: float
    promotions: int
    """The gate's own promotions, not undone, when it was opened: the level stands on them."""
    outcome: str = "open"
    place: int | None = None
    """Place of the last whole block in the item order."""
    log_e: float | None = None
    """The logarithm of its e-value there."""
    at: datetime


class ConfirmedCellRow(SQLModel, table=True):
    """One cell of one confirmation: how often a finite cell served is counted, not read from all of them."""

    __tablename__ = "confirmed_cell"
    cell: str = Field(primary_key=True)
    budget: int = Field(primary_key=True)
    k: int = Field(primary_key=True)
    cycle: int
    texts: int | None = None
    """How many texts the cell had then: with twice as many its sample counts as another one."""


class HoldRow(SQLModel, table=True):
    """A held candidate: its wealth, its level and its place in the item order."""

    __tablename__ = "hold"
    __table_args__ = (Index("hold_open", "open", "cycle"),)
    candidate: str = Field(primary_key=True)
    parent: str
    epoch: int
    k: int
    cycle: int
    tries: int = 0
    open: bool = True
    exam: JsonMap = _json(nullable=False)


class ConfigRow(SQLModel, table=True):
    """Every accepted version of metaevo.toml."""

    __tablename__ = "config"
    digest: str = Field(primary_key=True)
    text: str
    at: datetime


class EventRow(SQLModel, table=True):
    """Something a person may want to know: one code, one sentence, its data."""

    __tablename__ = "event"
    __table_args__ = (Index("event_code", "code", "seq"),)
    seq: int | None = Field(default=None, primary_key=True)
    code: str
    sentence: str
    data: JsonMap = _json(nullable=False)
    cycle: int | None = None
    at: datetime


def _table(row: type[SQLModel]) -> Table:
    return SQLModel.metadata.tables[str(row.__tablename__)]


# The same tables for SQLAlchemy Core, which every question is asked in: the ORM costs three times as much.
META = _table(Meta)
CYCLE = _table(CycleRow)
STEP = _table(StepRow)
GENERATION = _table(GenerationRow)
ALIAS = _table(AliasRow)
MOVE = _table(MoveRow)
SCORE = _table(ScoreRow)
BEST_ANCHOR = _table(BestAnchorRow)
RECIPE = _table(RecipeRow)
TRIAL = _table(TrialRow)
EPOCH = _table(EpochRow)
BUDGET = _table(BudgetRow)
CONFIRMATION = _table(ConfirmationRow)
CONFIRMED_CELL = _table(ConfirmedCellRow)
HOLD = _table(HoldRow)
CONFIG = _table(ConfigRow)
EVENT = _table(EventRow)
