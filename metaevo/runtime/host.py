"""The host of a home: everything the lines need, opened once and handed down. It holds no evolution logic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.artifacts.store import Store
from metaevo.effects import Run
from metaevo.engines.grader import GraderPool
from metaevo.engines.protocol import Engine
from metaevo.engines.together import Together
from metaevo.learning.chat import ChatSettings
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.prompts import Dialect
from metaevo.registry.registry import Registry
from metaevo.runtime.sandbox import KernelRun
from metaevo.types import Experiences
from objectives.splits import NEWEST, Scheme
from objectives.types import Environment, Task
from sandbox.handle import embedded

ANSWER_TOKENS = 64


@dataclass(slots=True)
class Host:
    """What one home offers: ledger, store, modules, environments, engines (one per parallel trial), graders."""

    ledger: Ledger
    store: Store
    registry: Registry
    graders: GraderPool
    engines: Sequence[Engine]
    environments: Mapping[str, Environment]
    dialect: Dialect
    seed: int = 1
    answer_tokens: int = ANSWER_TOKENS
    chat: ChatSettings = field(default_factory=ChatSettings)
    """How every prompt is made: the engines were given the same."""
    seed_data: Experiences = ()
    folder: Path | None = None
    scheme: Scheme = NEWEST
    """How the home splits its texts."""
    run: Run = field(default_factory=lambda: KernelRun(embedded()))
    """Where generated kernels run."""

    @property
    def engine(self) -> Engine:
        """Return the engine that measures and examines."""
        return self.engines[0]

    @property
    def together(self) -> Engine:
        """Return all engines as one: for measuring while no trial runs."""
        return self.engines[0] if len(self.engines) == 1 else Together(self.engines)

    @property
    def lineage(self) -> Lineage:
        """Return what the ledger knows of generations."""
        return Lineage(self.ledger)

    @property
    def evaluator(self) -> str:
        """Return the evaluator's identity: environments, graders, decoding, libraries. A change opens a new epoch."""
        versions = {name: env.version for name, env in self.environments.items()}
        split = [int(self.scheme)] if self.scheme is not Scheme.NAMED else []  # the first one was never said
        return fingerprint(versions, self.answer_tokens, self.chat, self.engine.identity, *split)

    def max_tokens(self, environment: str) -> int:
        """Return how long an answer in this environment may be."""
        known = self.environments.get(environment)
        return (known.answer_tokens if known is not None else None) or self.answer_tokens


@dataclass(slots=True)
class TaskTable:
    """The whole tasks of a cycle by id, answers included. Modules see the redacted ones."""

    tasks: dict[str, Task] = field(default_factory=dict)

    def add(self, tasks: Iterable[Task]) -> None:
        """Take in whole tasks."""
        self.tasks.update((task.id, task) for task in tasks)
