"""Evolution: a fold over cycles. `advance` is the only back edge, and what crosses it is data in the ledger.

A cycle that is killed is found open at the next start and goes on; one whose code or runtime changed is closed
(`void: code changed`, `abandoned: upgraded`) and a new one begins.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from metaevo import trial
from metaevo.diagnose import Diagnosis, diagnose
from metaevo.errors import CodeChanged, Refused
from metaevo.evolution import cycle as cycles
from metaevo.evolution.commit import closing
from metaevo.evolution.context import CycleContext, CycleSettings, CycleStart, module_digests
from metaevo.evolution.objective_history import history, known_diagnosis
from metaevo.evolution.outcome import Cycle
from metaevo.evolution.reference import best_of_line
from metaevo.evolution.trial_data import prepare
from metaevo.gate.evidence import Hold
from metaevo.gate.exam import commitment
from metaevo.history import History
from metaevo.ledger.cycles import CycleRecord, begin_cycle, close_cycle, next_number
from metaevo.ledger.epochs import ensure_epoch, next_epoch
from metaevo.ledger.holds import HoldRecord, Standing, due_hold
from metaevo.ledger.journal import At, Journal, StepKey
from metaevo.ledger.queries import newest_journalled
from metaevo.recipes.schema import Recipe
from metaevo.runtime.host import Host
from metaevo.search.run import Search
from metaevo.search.study import Sampler
from metaevo.synthesis.authors import Authors, no_author
from metaevo.types import CycleEnd, Trial
from objectives.types import Objective

OUTSIDE = 1_000_000
"""The first number under which the journal keeps what runs outside of evolution."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend. A cycle that is forecast to pass it is not begun."""

    cycles: int | None = None
    wall_s: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What the next cycle would pursue, and what it would know; without an objective, why there is none."""

    state: CycleStart
    diagnosis: Diagnosis
    history: History
    objective: Objective | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class TriedRecipe:
    """One recipe run once outside of evolution, and the objective it was run for."""

    trial: Trial
    objective: Objective


@dataclass(slots=True)
class Evolution:
    """One home's evolution, as the process that holds its lock drives it."""

    host: Host
    settings: CycleSettings
    secret: str
    sampler: Sampler = field(default_factory=Sampler)
    authors: Authors = no_author
    on_phase: Callable[[int, str, str], None] = lambda _cycle, _phase, _detail: None
    on_count: Callable[[int, int], None] = lambda _done, _most: None
    on_cycle: Callable[[Cycle], None] = lambda _cycle: None
    on_step: Callable[[StepKey, bool], None] = lambda _key, _done: None
    runtime: str = ""

    def run(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> list[Cycle]:
        """Run cycles until the budget is spent or nothing is left to do; return them."""
        began, done = clock(), list[Cycle]()
        longest = 0.0
        while budget.cycles is None or len(done) < budget.cycles:
            spent = clock() - began
            if budget.wall_s is not None and spent + longest > budget.wall_s:
                break
            if budget.tokens is not None and sum(c.tokens for c in done) >= budget.tokens:
                break
            started = clock()
            done.append(self.one())
            longest = max(longest * 0.5, clock() - started)
            if done[-1].ending is CycleEnd.CONVERGED:
                break
        return done

    def one(self) -> Cycle:
        """Run one cycle to its end, resuming an open one, and fold it into the ledger."""
        self.ensure_epoch()
        row = self._open_row()
        state = self.state(row)
        journal = Journal(self.host.ledger, self.host.store, row.seed, meter=lambda: self.host.together.meter)
        journal.on_step = self.on_step
        tools = self.tools(journal)
        tools.authors = self.authors
        tools.on_phase = lambda phase, detail: self.on_phase(row.number, phase, detail)
        tools.on_count = self.on_count
        try:
            made = cycles.run(tools, state)
        except CodeChanged as error:
            made = Cycle.void(row.number, CycleEnd.CODE_CHANGED, f"code changed: {error}")
        made = replace(made, spent=journal.spent(row.number))
        self.on_phase(row.number, "decide", made.outcome)
        self.advance(state, made)
        self.on_cycle(made)
        return made

    def tools(self, journal: Journal) -> CycleContext:
        """Return the instruments of a cycle of this journal; nobody is told of its phases yet."""
        return CycleContext(
            host=self.host,
            journal=journal,
            sampler=self.sampler,
            settings=self.settings,
            secret=self.secret,
            digests=module_digests(self.host),
        )

    def advance(self, state: CycleStart, made: Cycle) -> None:
        """Fold a cycle into the ledger: one transaction moves aliases, statuses, holds, closes the row and tells it."""
        if made.candidate is not None and made.outcome == "promote":
            self._still(state)
        close_cycle(self.host.ledger, closing(self.host, state, made))

    def state(self, row: CycleRecord) -> CycleStart:
        """Return what this cycle starts from."""
        state = self.start(row.number, row.epoch)
        rules = self.settings.goals.rules(self.host.environments)
        best = best_of_line(self.host, rules, state.champion.id, row.epoch)
        return replace(state, hold=self._due_hold(state), best=best)

    def start(self, number: int, epoch: int) -> CycleStart:
        """Return what a cycle of this number starts from, but for a hold: deciding which one is due writes."""
        lineage = self.host.lineage
        champion, base = lineage.get("champion"), lineage.get("base")
        reference = lineage.get(lineage.alias("reference") or base.id)
        pinned = lineage.alias("pinned") == champion.id
        return CycleStart(number=number, champion=champion, base=base, reference=reference, epoch=epoch, pinned=pinned)

    def preview(self, journal: Journal) -> Preview:
        """Return what the next cycle would pursue. Nothing is written but to the journal, which may be any ledger's.

        The champion is measured only where its scores of this epoch are not known.
        """
        host, ledger = self.host, self.host.ledger
        number, epoch = next_number(ledger), next_epoch(ledger, host.evaluator)
        state = self.start(number, epoch)
        found = known_diagnosis(host, state.champion.id, epoch)
        if found is None:
            found = diagnose(host, journal, At(number), state.champion, self.settings.probe)
        seen = history(host, self.settings.goals, found, self.settings.gate, epoch=epoch, cycle=number)
        tools = CycleContext(
            host=host, journal=journal, sampler=self.sampler, settings=self.settings, secret=self.secret, digests={}
        )
        try:
            return Preview(state, found, seen, cycles.choose(tools, state, seen))
        except LookupError as error:
            return Preview(state, found, seen, None, str(error.args[0]))

    def try_recipe(self, recipe: Recipe, asked: Objective | None, fidelity: float) -> TriedRecipe:
        """Run one recipe once from where the next cycle starts, and score it on dev items; nothing reaches the line.

        Without ``asked`` the objective is chosen as the next cycle chooses, but on probe items of its own: its journal
        stands under a number far from the cycles', so that neither meets the other.

        Raises:
            LookupError: Nothing was asked for and no cell is open.
        """
        host, settings, epoch = self.host, self.settings, self.ensure_epoch()
        number = max(OUTSIDE, newest_journalled(host.ledger) + 1)
        journal = Journal(host.ledger, host.store, host.seed + number, meter=lambda: host.together.meter)
        tools, state = self.tools(journal), self.start(number, epoch)
        found = diagnose(host, journal, At(number), state.champion, settings.probe)
        coming = next_number(host.ledger)
        seen = history(host, settings.goals, found, settings.gate, epoch=epoch, cycle=coming)
        objective = asked or cycles.choose(tools, state, seen)
        ground = prepare(tools, state, objective, found)
        search = Search(
            host=host,
            journal=journal,
            sampler=self.sampler,
            rules=settings.search,
            ground=ground,
            choices={},
            cycle=number,
            ability=objective.ability,
            direction=objective.direction,
        )
        made = trial.run(host, journal, host.engine, recipe, ground, cycle=number, number=1, fidelity=fidelity)
        return TriedRecipe(search.scored(made, host.engine) if made.generation is not None else made, objective)

    def ensure_epoch(self) -> int:
        """Return the evaluator epoch, opening a new one where tasks, graders, decoding or libraries changed."""
        return ensure_epoch(self.host.ledger, self.host.evaluator)

    def _open_row(self) -> CycleRecord:
        """Return the open cycle, or a new one; its exam is committed to before anything is trained."""
        return begin_cycle(
            self.host.ledger,
            seed=self.host.seed,
            runtime=self.runtime,
            fixed=self._fixed(),
            commitment=partial(commitment, self.secret),
        )

    def _fixed(self) -> dict[str, list[str] | str | None]:
        """Return what the operator pinned for this run."""
        recipe, objective = self.settings.fixed_recipe, self.settings.fixed_objective
        return {"objective": list(objective) if objective else None, "recipe": recipe.name if recipe else None}

    def _due_hold(self, state: CycleStart) -> Hold | None:
        """Return the held candidate this cycle should examine again; others expire here, but what awaits a person."""

        def standing(record: HoldRecord) -> Standing:
            hold = Hold.from_data(asdict(record))
            if hold.parent != state.champion.id or hold.epoch != state.epoch:
                return "over"
            if hold.person:  # where nobody needs to be asked any more it is decided at once: no item is left to ask
                return "waits" if state.pinned or self.settings.approval else "due"
            fits = hold.needed is not None and hold.needed <= hold.most
            return "due" if fits and hold.tries < self.settings.gate.hold_tries else "over"

        found = due_hold(self.host.ledger, standing)
        return Hold.from_data(asdict(found)) if found is not None else None

    def _still(self, state: CycleStart) -> None:
        """Refuse to promote onto a line that moved while the cycle ran (a rollback, another actor)."""
        if self.host.lineage.alias("champion") != state.champion.id:
            raise Refused(
                f"the champion is no longer {state.champion.id}: the candidate is not promoted onto another line"
            )
