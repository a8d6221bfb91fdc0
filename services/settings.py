"""metaevo.toml as types: the only home of goals, environments, protections, budgets and schedule.

The schema is whole: it also knows keys whose component comes with a later part, so that a file written for a
cluster parses on a laptop; `services.later` refuses those at start, by name. Unknown keys are errors.
"""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from objectives.goals import Forbidden, Goal, Goals, Protection
from objectives.types import Direction
from services.units import bytes_of, seconds_of

Seconds = Annotated[float, BeforeValidator(seconds_of)]
Bytes = Annotated[int, BeforeValidator(bytes_of)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class Table(BaseModel):
    """A table of the file: unknown keys are errors, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Secret(Table):
    """Where a secret is found; it is never written into the file itself. Exactly one key."""

    env: str | None = None
    file: str | None = None
    credential: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Secret":
        given = [name for name in ("env", "file", "credential") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("want exactly one of { env = }, { file = } and { credential = }")
        return self


class TextFile(Table):
    """A text kept in a file beside metaevo.toml."""

    file: str


class Model(Table):
    """[model]: the base everything starts from."""

    base: str
    """`builtin:tiny`, a checkpoint folder, or a Hub id."""
    name: str = "metaevo"
    sha256: str | None = None
    context: Count | None = None
    """Tokens of prompt and answer together; default: what the model can see."""
    answer: Count = 64
    """Tokens an answer may have; an environment may set its own."""
    system_prompt: TextFile | None = None
    thinking: bool = False
    hub_token: Secret | None = None
    dialect: str | None = None
    """How the model is asked to criticise and repair: `tiny` or `english`; default: by the base."""


class EnvironmentTable(Table):
    """[environments.NAME]: what to use, and how. Options of the `dataset` adapter stand here too."""

    use: str | None = None
    ability: str | None = None
    direction: Direction | None = None
    train: bool = True
    timeout: Seconds | None = None
    pass_mark: Share | None = None
    levels: tuple[int, ...] | None = None
    answer: Any = None
    """Column of the answer (dataset), or how many tokens an answer may have (a number)."""
    path: str | None = None
    prompt: str | None = None
    level: str | None = None
    reward: str | None = None
    pattern: str | None = None


class GoalTable(Table):
    """[goals.NAME]: what a person wants raised."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    raise_: str = Field(default="*", alias="raise")
    direction: Direction = Direction.PERFORMANCE
    target: Share | None = None
    weight: Positive = 1.0
    by: date | None = None
    why: str = ""


class ProtectTable(Table):
    """One line of [protect]: exactly one of margin, floor and at_most."""

    margin: Share | None = None
    floor: Share | None = None
    at_most: Positive | None = None


class Forbid(Table):
    """[forbid]: never an objective, never practised, never used."""

    abilities: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


class Data(Table):
    """[data]: files beside the environments."""

    replay: tuple[str, ...] = ()
    knowledge: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    real_share: Share | None = None


class Amount(Table):
    """What may be spent in a period."""

    cycles: Count | None = None
    wall_clock: Seconds | None = None
    tokens: Count | None = None
    gpu_hours: Positive | None = None
    promotions: Count | None = None
    money: Positive | None = None


class Price(Table):
    """What a GPU hour costs."""

    gpu_hour: Positive
    currency: str = "EUR"


class Budget(Table):
    """[budget]: no cycle starts that is forecast to pass it."""

    total: Amount = Amount()
    day: Amount = Amount()
    month: Amount = Amount()
    disk: Bytes | None = None
    price: Price | None = None


class Schedule(Table):
    """[schedule]: when the daemon may work."""

    window: str | None = None
    timezone: str = "UTC"
    freeze: tuple[str, ...] = ()
    every: Seconds | None = None


class Rollouts(Table):
    """[rollouts]: what generates."""

    engine: Literal["transformers", "vllm"] = "transformers"
    python: str | None = None


class Training(Table):
    """[training]: what trains."""

    engine: Literal["trl"] = "trl"
    gpus: int = Field(default=0, ge=0, le=4096)
    merge_every: Count = 5
    """Promotions after which a continued adapter is merged in fp32 into a new full checkpoint."""


class Workers(Table):
    """How many workers, with how many GPUs each."""

    workers: Count = 1
    gpus: int = Field(default=0, ge=0, le=4096)


class Placement(Table):
    """[placement]: where work runs."""

    use: Literal["process", "ray"] = "process"
    address: str | None = None
    rollouts: Workers = Workers()
    training: Workers = Workers()
    trials: Count | None = None
    """Trials side by side, one engine each; default: one per two GiB of free memory, at most the cores."""


class Gate(Table):
    """[gate]: the exam. Outside of evolution."""

    max_items: Count = 1500
    screen_items: Annotated[int, Field(ge=16, le=400)] = 240
    alpha: Annotated[float, Field(gt=0.0, le=0.2)] = 0.05


class SearchTable(Table):
    """[search]: how large a search is."""

    trials: Annotated[int, Field(ge=1, le=256)] = 6
    fidelity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    finals: Annotated[int, Field(ge=1, le=16)] = 2


class DiagnosisTable(Table):
    """[diagnosis]: how much is looked at."""

    items: Annotated[int, Field(ge=4, le=4096)] = 32
    samples: Annotated[int, Field(ge=0, le=64)] = 8


class ObjectiveTable(Table):
    """[objective]: the rule that chooses the next objective."""

    rule: str = "learning_progress"


class Fixed(Table):
    """[fixed]: what an L or M run keeps: objective = "ability/direction", recipe = "name"."""

    objective: str | None = None
    recipe: str | None = None


class Serving(Table):
    """[serving]: the champion behind an OpenAI-compatible address."""

    enabled: bool = False
    listen: str = "127.0.0.1:8001"
    gpu_share: Share | None = None


class SandboxTable(Table):
    """[sandbox]: where code nobody has read runs."""

    use: Literal["monty", "docker"] = "monty"
    runtime: Literal["runc", "runsc"] = "runc"
    host: str | None = None


class Proposer(Table):
    """[proposer]: who writes new modules."""

    use: str = "grammar"
    sends: Literal["code", "rows"] = "code"


class Notify(Table):
    """[notify.NAME]: where messages go."""

    url: Secret
    level: Literal["page", "decision", "all"] = "decision"


class Retention(Table):
    """[retention]: what is kept."""

    generations: Count | None = None
    step_data: Seconds | None = None


class Backup(Table):
    """[backup]: copies of the home."""

    to: str
    every: Seconds | None = None
    keep: Count = 14


class LedgerTable(Table):
    """[ledger]: another database."""

    url: Secret


class StoreTable(Table):
    """[store]: another artifact store."""

    url: str


class Api(Table):
    """[api]: the HTTP interface."""

    listen: str = "127.0.0.1:8765"
    behind_proxy: str | None = None


class Config(Table):
    """The whole file."""

    model: Model
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    mode: Literal["observe", "propose", "gated", "full"] = "full"
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
    sandbox: SandboxTable | None = None
    proposer: Proposer | None = None
    notify: dict[str, Notify] = Field(default_factory=dict)
    retention: Retention | None = None
    backup: Backup | None = None
    ledger: LedgerTable | None = None
    store: StoreTable | None = None
    api: Api | None = None

    def wishes(self) -> Goals:
        """Return goals, protections and prohibitions as plain records."""
        goals = tuple(
            Goal(name, g.raise_, g.direction, g.target, g.weight, g.by, g.why) for name, g in self.goals.items()
        )
        lines = tuple(
            Protection(what, line.margin, line.floor, line.at_most) for what, line in self.protect.items() if line
        )
        nothing = self.protect.get("*") is False
        forbidden = Forbidden(self.forbid.abilities, self.forbid.methods, self.forbid.data)
        return Goals(goals, lines, nothing, forbidden)
