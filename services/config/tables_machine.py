"""The tables of metaevo.toml about the machine: what may be spent, where the work runs, who is told."""

from typing import Annotated, Literal

from pydantic import Field

from services.config.fields import Bytes, Count, Positive, Seconds, Secret, Share, Table


class Amount(Table):
    """What may be spent in a period."""

    cycles: Count | None = None
    """Decisions."""
    wall_clock: Seconds | None = None
    """Time in which cycles run."""
    tokens: Annotated[int, Field(ge=1, le=10**15)] | None = None
    """Tokens that go through models: read, written, and in training."""
    gpu_hours: Positive | None = None
    """Hours of GPUs in use."""
    promotions: Count | None = None
    """Promoted generations."""
    money: Positive | None = None
    """GPU hours at their price."""


class Price(Table):
    """What a GPU hour costs."""

    gpu_hour: Positive
    """Of one GPU."""
    currency: str = "EUR"
    """As it is shown."""


class Budget(Table):
    """[budget]: no cycle starts that is forecast to pass it."""

    total: Amount = Amount()
    day: Amount = Amount()
    month: Amount = Amount()
    disk: Bytes | None = None
    """What the home may take."""
    price: Price | None = None


class Schedule(Table):
    """[schedule]: when the daemon may work."""

    window: str | None = None
    """Days and hours in which cycles may start."""
    timezone: str = "UTC"
    """Of the window."""
    freeze: tuple[str, ...] = ()
    """Ranges of dates in which nothing is promoted."""
    every: Seconds | None = None
    """How often a cycle starts."""


class Rollouts(Table):
    """[rollouts]: what generates."""

    engine: Literal["transformers", "vllm"] = "transformers"
    """What samples from the model."""
    python: str | None = None
    """The interpreter vLLM is installed for."""


class Training(Table):
    """[training]: what trains."""

    engine: Literal["trl"] = "trl"
    """What runs the modules that train."""
    gpus: int = Field(default=0, ge=0, le=4096)
    """GPUs an engine trains and samples on; 0: the processor."""
    merge_every: Count = 5
    """Promotions after which a continued adapter is merged in fp32 into a new full checkpoint."""


class Workers(Table):
    """How many workers, with how many GPUs each."""

    workers: Count = 1
    """Processes side by side."""
    gpus: int = Field(default=0, ge=0, le=4096)
    """GPUs each of them takes."""


class Placement(Table):
    """[placement]: where work runs."""

    use: Literal["process", "ray"] = "process"
    """Where engines run: as processes of this machine, or on a Ray cluster."""
    address: str | None = None
    """Of the Ray cluster."""
    rollouts: Workers = Workers()
    training: Workers = Workers()
    trials: Count | None = None
    """Trials side by side, one engine each; default: one per two GiB of free memory, at most the cores."""


class Serving(Table):
    """[serving]: the champion behind an OpenAI-compatible address."""

    enabled: bool = False
    """Whether the champion is served."""
    listen: str = "127.0.0.1:8001"
    """Host and port."""
    gpu_share: Share | None = None
    """Share of the GPU's memory it keeps while the rest trains."""


class SandboxTable(Table):
    """[sandbox]: where code nobody has read runs."""

    use: Literal["monty", "bubblewrap", "docker"] = "monty"
    """The tier that runs generated code: an interpreter of our own, namespaces of this machine, or containers."""
    runtime: Literal["runc", "runsc"] = "runc"
    """What Docker runs containers with; runsc is gVisor."""
    host: str | None = None
    """Where the Docker daemon listens: unix://, ssh:// or tcp:// with TLS; default: DOCKER_HOST, else its socket."""
    image: str = "sandbox"
    """Folder with the image's lock file, from the home's folder."""
    tls: str | None = None
    """Folder with ca.pem, cert.pem and key.pem for tcp://, from the home's folder."""
    allow_socket: bool = False
    """Whether a daemon's own socket may be used from inside a container: who takes over metaevo then owns the host."""


class ProposerTable(Table):
    """[proposer]: who writes new modules. The grammar, which needs nothing, is always asked last."""

    use: str = "grammar"
    """`grammar` alone, the `champion`, or an OpenAI-compatible endpoint: `https://host/v1`."""
    sends: Literal["code", "rows"] = "code"
    """What a language model gets to see: code and counts, or training rows too."""
    model: str | None = None
    """What the endpoint calls its model."""
    key: Secret | None = None
    """The endpoint's key."""
    calls: Count = 16
    """Times a language model is asked in one cycle, at most."""
    tokens: Count = 100_000
    """Tokens it may read and write in one cycle."""
    money: Positive | None = None
    """What an endpoint may cost in one cycle, in the currency of `price`; default: as many tokens as may be."""
    price: Positive | None = None
    """What a million tokens cost there, the dearer of read and written."""
    answer: Count | None = None
    """Tokens of one reply; default: 512 of the champion, 1024 of an endpoint."""
    timeout: Seconds = 60.0
    """How long an endpoint's whole reply may take."""


class Notify(Table):
    """[notify.NAME]: where messages go."""

    url: Secret
    """Where messages are posted."""
    level: Literal["page", "decision", "all"] = "decision"
    """What is worth a message."""


class Retention(Table):
    """[retention]: what is kept."""

    generations: Count | None = None
    """Generations whose weights are kept."""
    step_data: Seconds | None = None
    """How long bodies of journal steps are kept."""


class Backup(Table):
    """[backup]: copies of the home."""

    to: str
    """Folder or address."""
    every: Seconds | None = None
    """How often."""
    keep: Count = 14
    """Copies that are kept."""


class LedgerTable(Table):
    """[ledger]: a PostgreSQL database, or a schema of one, instead of a file in the home. Each home has its own."""

    url: Secret
    """Its address: postgresql+psycopg://USER:PASSWORD@HOST/DATABASE; needs `pip install 'metaevo[postgres]'`."""


class StoreTable(Table):
    """[store]: another artifact store."""

    url: str
    """Of a bucket."""


class Api(Table):
    """[api]: the HTTP interface."""

    listen: str = "127.0.0.1:8765"
    """Host and port."""
    behind_proxy: str | None = None
    """Addresses of the proxies that may say who asks."""
