"""metaevo.toml as types: the only home of goals, environments, protections, budgets and schedule.

The schema is whole: it also knows keys whose component comes with a later part, so that a file written for a
cluster parses on a laptop; `services.config.unsupported` refuses those at start, by name. Unknown keys are errors.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict, field_validator

from objectives.goals import Forbidden, Goal, Goals, Protection
from objectives.types import Direction
from services.config.fields import Count, Positive, Seconds, Secret, Share, Table, TextFile
from services.config.tables_machine import (
    Api,
    Backup,
    Budget,
    LedgerTable,
    Notify,
    Placement,
    ProposerTable,
    Retention,
    Rollouts,
    SandboxTable,
    Schedule,
    Serving,
    StoreTable,
    Training,
)


class Model(Table):
    """[model]: the base everything starts from."""

    base: str
    """`builtin:tiny`, a checkpoint folder, or a Hub id."""
    name: str = "metaevo"
    """What the model is called: on the card of an export, and as the name it is served under."""
    sha256: str | None = None
    """What the checkpoint must hash to."""
    context: Count | None = None
    """Tokens of prompt and answer together; default: what the model can see."""
    answer: Count = 64
    """Tokens an answer may have; an environment may set its own."""
    system_prompt: TextFile | None = None
    """Put in front of every task that has no system message of its own."""
    thinking: bool = False
    """Whether the base may think aloud before it answers."""
    hub_token: Secret | None = None
    """For bases that a Hub gives only to those who ask."""
    dialect: str | None = None
    """How the model is asked to criticise and repair: `tiny` or `english`; default: by the base."""


class EnvironmentTable(Table):
    """[environments.NAME]: what to use, and how. Options of the `dataset` adapter stand here too."""

    use: str | None = None
    """A name, a .py file, `package:NAME`, `reasoning_gym:NAME` or `dataset`; default: the table's own name."""
    ability: str | None = None
    """The ability it measures; default: as the environment says."""
    direction: Direction | None = None
    """What is improved; default: as the environment says."""
    train: bool = True
    """Whether it may be an objective; otherwise it is only measured and protected, and needs rows or `read`."""
    timeout: Seconds | None = None
    """How long the reward of one answer may take; default: as the environment says, else two seconds."""
    pass_mark: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Score from which an answer passes; default: as the environment says, else 1."""
    levels: tuple[Annotated[int, Strict()], ...] | None = None
    """The levels in use; default: all it has."""
    answer: str | int | None = None
    """Column of the answer (dataset), or how many tokens an answer may have (a number)."""
    path: str | None = None
    """The JSONL file of a dataset, from the home's folder."""
    prompt: str | None = None
    """Column of the prompt (dataset); default: `prompt`."""
    level: str | None = None
    """Column of the level (dataset); default: `level`, and 1 where a row has none."""
    group: str | None = None
    """Column of the group (dataset), which rows of one document or world share; default: `group`, and none."""
    reward: str | None = None
    """How a dataset's answers are graded: `exact` (the default), `numeric` or `regex`."""
    pattern: str | None = None
    """With `regex`: its first group is compared with the answer."""

    @field_validator("answer", mode="before")
    @classmethod
    def _name_or_number(cls, value: object) -> object:
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
            raise ValueError("want the name of a column, or a whole number of tokens")
        return value


class GoalTable(Table):
    """[goals.NAME]: what a person wants raised."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    raise_: str = Field(default="*", alias="raise")
    """An ability, an environment, environment/level, or `*` for whatever is weakest."""
    direction: Direction = Direction.PERFORMANCE
    """What about it is to improve."""
    target: Share | None = None
    """Reached when the lower limit of a cell's interval passes it; default: 0.95."""
    weight: Positive = 1.0
    """How much it counts beside other goals."""
    by: date | None = None
    """Until when; kept and shown."""
    why: str = ""
    """Kept and shown."""


class ProtectTable(Table):
    """One line of [protect]: exactly one of margin, floor and at_most."""

    margin: Share | None = None
    """How far its score may fall below the parent's and the reference generation's."""
    floor: Share | None = None
    """What its score may not fall below; where the champion is below it: champion and reference, within a third of
    the margin."""
    cell_margin: Share | None = None
    """How far one of its cells may fall; default: twice the margin."""
    odds: float | None = Field(default=None, ge=2.0, le=1000.0)
    """`odds = 20` in [protect] itself: evidence that decides a line; one loss at the limit in so many passes."""
    at_most: Positive | None = None
    """For `answer_tokens`: the longest answers may become, as a ratio to the reference generation."""


ODDS, DEFAULT_ODDS = "odds", 20.0


class Forbid(Table):
    """[forbid]: never an objective, never practised, never used."""

    abilities: tuple[str, ...] = ()
    """Never an objective and never practised."""
    methods: tuple[str, ...] = ()
    """Recipes and modules that search never uses."""
    data: tuple[str, ...] = ()
    """Patterns of files that are never read."""


class Data(Table):
    """[data]: files beside the environments."""

    replay: tuple[str, ...] = ()
    """Patterns of JSONL files with prompt and completion that are mixed into training: what must not be forgotten."""
    knowledge: tuple[str, ...] = ()
    """Patterns of texts that may become tasks."""
    labels: tuple[str, ...] = ()
    """Patterns of JSONL files with people's judgements of answers."""
    real_share: Share | None = None
    """Share of every batch that is not self-written, at least."""


class Gate(Table):
    """[gate]: the exam. Outside of evolution."""

    max_items: Count = 12_000
    """Paired items one confirmation may look at: more prove smaller gains."""
    screen_items: Annotated[int, Field(ge=16, le=400)] = 400
    """Paired items of the screen that comes before a confirmation."""
    alpha: Annotated[float, Field(gt=0.0, le=0.2)] = 0.05
    """The expected share of false promotions over the home's life, at most."""
    secret_seed: int | None = Field(default=None, ge=0, lt=2**31)
    """Draws the exam's items from this number, so that a run can be repeated and anyone can draw them; every verdict
    names it. Default: from a random secret, in the home's file `secret`."""


class SearchTable(Table):
    """[search]: how large a search is."""

    trials: Annotated[int, Field(ge=1, le=256)] = 6
    """Trials of a cycle at low fidelity."""
    fidelity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Share of the budget knobs that such a trial gets."""
    finals: Annotated[int, Field(ge=1, le=16)] = 2
    """The best of them that are run again in full."""
    kernels: Annotated[int, Field(ge=0, le=16)] = 0
    """New modules a cycle may write and admit, each tried once where a search has two trials or more; 0: none."""


class DiagnosisTable(Table):
    """[diagnosis]: how much is looked at."""

    items: Annotated[int, Field(ge=4, le=4096)] = 32
    """Fresh items each cell is measured on in a cycle."""
    samples: Annotated[int, Field(ge=0, le=64)] = 8
    """Samples of a task that show what the model can do at its best."""


class ObjectiveTable(Table):
    """[objective]: the rule that chooses the next objective."""

    rule: str = "learning_progress"
    """A module of the slot `objective`."""


class Fixed(Table):
    """[fixed]: what an L or M run keeps: objective = "ability/direction", recipe = "name"."""

    objective: str | None = None
    """The only ability, or ability/direction, that is raised."""
    recipe: str | None = None
    """The only recipe that is run."""


class Config(Table):
    """The whole file."""

    model: Model
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    """Makes training and search repeatable; the exam is drawn from a secret of its own ([gate] secret_seed)."""
    mode: Literal["observe", "propose", "gated", "full"] = "full"
    """`full` promotes by itself, `observe` only measures; `propose` and `gated` wait for a person."""
    environments: dict[str, EnvironmentTable] = Field(default_factory=dict)
    goals: dict[str, GoalTable] = Field(default_factory=dict)
    protect: dict[str, ProtectTable | Literal[False]] = Field(default_factory=dict)
    forbid: Forbid = Forbid()
    data: Data = Data()
    budget: Budget = Budget()
    schedule: Schedule | None = None
    rollouts: Rollouts = Rollouts()
    training: Training = Training()
    placement: Placement = Placement()
    gate: Gate = Gate()
    search: SearchTable = SearchTable()
    diagnosis: DiagnosisTable = DiagnosisTable()
    objective: ObjectiveTable = ObjectiveTable()
    fixed: Fixed = Fixed()
    serving: Serving | None = None
    sandbox: SandboxTable = SandboxTable()
    proposer: ProposerTable = ProposerTable()
    notify: dict[str, Notify] = Field(default_factory=dict)
    retention: Retention | None = None
    backup: Backup | None = None
    ledger: LedgerTable | None = None
    store: StoreTable | None = None
    api: Api | None = None

    @field_validator("protect", mode="before")
    @classmethod
    def _odds_is_a_number(cls, value: object) -> object:
        if isinstance(value, dict) and isinstance(value.get(ODDS), int | float):
            return value | {ODDS: {ODDS: value[ODDS]}}
        return value

    @field_validator("protect")
    @classmethod
    def _odds_stands_alone(cls, value: dict[str, ProtectTable | Literal[False]]) -> object:
        for name, line in value.items():
            if (name == ODDS) != (isinstance(line, ProtectTable) and line.odds is not None):
                raise ValueError("odds is a key of [protect] itself, a number from 2 on")
        return value

    @property
    def odds(self) -> float:
        """Return the evidence that decides a protected line."""
        said = [line.odds for line in self.protect.values() if isinstance(line, ProtectTable)]
        return next((odds for odds in said if odds is not None), DEFAULT_ODDS)

    def wishes(self) -> Goals:
        """Return goals, protections and prohibitions as plain records."""
        goals = tuple(
            Goal(name=name, what=g.raise_, direction=g.direction, target=g.target, weight=g.weight, by=g.by, why=g.why)
            for name, g in self.goals.items()
        )
        lines = tuple(
            Protection(what, line.margin, line.floor, line.at_most, line.cell_margin)
            for what, line in self.protect.items()
            if line and what != ODDS
        )
        only_named = self.protect.get("*") is False
        forbidden = Forbidden(self.forbid.abilities, self.forbid.methods, self.forbid.data)
        return Goals(goals, lines, only_named, forbidden)
