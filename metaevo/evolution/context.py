"""The terms of a cycle: what the operator set, what it starts from, and the instruments it has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from metaevo.diagnose import ProbeRules
from metaevo.errors import ModuleFailed
from metaevo.gate.evidence import Hold
from metaevo.gate.exam import GateExam
from metaevo.gate.settings import GateRules
from metaevo.ledger.journal import At, Journal
from metaevo.recipes.schema import Recipe
from metaevo.registry.laws import unlawful_modules
from metaevo.registry.slots import SLOTS
from metaevo.runtime.host import Host
from metaevo.search.run import SearchRules
from metaevo.search.study import Sampler
from metaevo.synthesis.authors import Authors, no_author
from metaevo.synthesis.step import SynthesisRules
from metaevo.types import Generation
from objectives.goals import Goals


@dataclass(frozen=True, slots=True)
class CycleSettings:
    """What the operator set for all cycles. Nothing in a recipe, an objective or a module reaches it."""

    goals: Goals
    gate: GateRules = field(default_factory=GateRules)
    search: SearchRules = field(default_factory=SearchRules)
    synthesis: SynthesisRules = field(default_factory=SynthesisRules)
    probe: ProbeRules = field(default_factory=ProbeRules)
    rule: str = "learning_progress"
    fixed_recipe: Recipe | None = None
    fixed_objective: tuple[str, str] | None = None
    """(ability, direction) that the operator pinned."""
    pool: int = 1024
    """Train tasks drawn for an objective."""
    rehearsal: int = 3840
    """Train tasks of other cells whose right answers may be replayed."""
    dev: int = 256
    """Dev items for the objective; what is protected takes `trial_data.KEPT` times as many."""
    anchor: int = 16
    """Anchor items per cell."""
    approval: bool = False
    observe: bool = False


@dataclass(frozen=True, slots=True)
class CycleStart:
    """What a cycle starts from: the fold over all cycles before it."""

    number: int
    champion: Generation
    base: Generation
    reference: Generation
    epoch: int
    pinned: bool = False
    hold: Hold | None = None
    best: Mapping[str, Generation] = field(default_factory=dict)
    """Protected rule to the line's generation with the highest lower bound, where the reference is about to move."""


@dataclass(slots=True)
class CycleContext:
    """The instruments of a cycle."""

    host: Host
    journal: Journal
    sampler: Sampler
    settings: CycleSettings
    secret: str
    digests: Mapping[tuple[str, str], str]
    authors: Authors = no_author
    """Who writes kernels before the grammar does."""
    on_phase: Callable[[str, str], None] = lambda _phase, _detail: None
    on_count: Callable[[int, int], None] = lambda _done, _most: None

    def exam(self, number: int) -> GateExam:
        """Return the examination of this cycle."""
        made = GateExam(
            host=self.host,
            journal=self.journal,
            engine=self.host.engine,
            at=At(number),
            rules=self.settings.gate,
            secret=self.secret,
        )
        made.on_items = self.on_count
        return made


def module_digests(host: Host) -> dict[tuple[str, str], str]:
    """Return every installed module's digest: what a cycle was begun with. A broken one is left out and told."""
    found: dict[tuple[str, str], str] = {}
    for slot in SLOTS:
        for name in host.registry.names(slot):
            try:
                found[slot, name] = host.registry.get(slot, name).digest
            except ModuleFailed as error:
                host.ledger.event("module_broken", str(error)[:300])
    for (slot, name), said in unlawful_modules(host.registry).items():
        host.ledger.event("module_broken", f"{slot}.{name} is left out of search: {said}"[:300])
    return found
