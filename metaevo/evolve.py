"""Evolution: a fold over cycles. `advance` is the only back edge, and what crosses it is data in the ledger.

A cycle that is killed is found open at the next start and goes on; one whose code or runtime changed is closed
(`void: code changed`, `abandoned: upgraded`) and a new one begins.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, select

from metaevo import cycle as cycles
from metaevo.errors import BadInput, CodeChanged, Refused
from metaevo.fold import expire, settle, verdict_data, write_scores
from metaevo.gate.exam import commitment
from metaevo.ledger.journal import Journal
from metaevo.ledger.tables import AliasRow, CycleRow, EpochRow, EventRow, HoldRow
from metaevo.line.host import Host
from metaevo.outlook import as_data
from metaevo.search.proposals import Sampler
from metaevo.synthesis.authors import Authors, nobody
from metaevo.terms import Settings, State, Tools, module_digests
from metaevo.types import Cycle, Generation


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend. A cycle that is forecast to pass it is not begun."""

    cycles: int | None = None
    wall_s: float | None = None
    tokens: int | None = None


@dataclass(slots=True)
class Evolution:
    """One home's evolution, as the process that holds its lock drives it."""

    host: Host
    settings: Settings
    secret: str
    sampler: Sampler = field(default_factory=Sampler)
    authors: Authors = nobody
    on_phase: Callable[[int, str, str], None] = lambda _cycle, _phase, _detail: None
    on_count: Callable[[int, int], None] = lambda _done, _most: None
    on_cycle: Callable[[Cycle], None] = lambda _cycle: None
    on_step: Any = None
    runtime: str = ""

    def run(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> list[Cycle]:
        """Run cycles until the budget is spent or nothing is left to do; return them."""
        began, done = clock(), list[Cycle]()
        longest = 0.0
        while budget.cycles is None or len(done) < budget.cycles:
            spent = clock() - began
            if budget.wall_s is not None and spent + longest > budget.wall_s:
                break
            if budget.tokens is not None and sum(self._tokens(c) for c in done) >= budget.tokens:
                break
            started = clock()
            done.append(self.one())
            longest = max(longest * 0.5, clock() - started)
            if done[-1].why.startswith("converged"):
                break
        return done

    def one(self) -> Cycle:
        """Run one cycle to its end, resuming an open one, and fold it into the ledger."""
        self.ensure_epoch()
        row = self._open_row()
        state = self.state(row)
        journal = Journal(self.host.ledger, self.host.store, row.seed)
        if self.on_step is not None:
            journal.on_step = self.on_step
        tools = self.tools(journal)
        tools.authors = self.authors
        tools.on_phase = lambda phase, detail: self.on_phase(row.number, phase, detail)
        tools.on_count = self.on_count
        try:
            made = cycles.run(tools, state)
        except CodeChanged as error:
            made = Cycle(row.number, None, (), None, None, "void", f"code changed: {error}")
        self.on_phase(row.number, "decide", made.outcome)
        self.advance(state, made)
        self.on_cycle(made)
        return made

    def tools(self, journal: Journal) -> Tools:
        """Return the instruments of a cycle of this journal; nobody is told of its phases yet."""
        return Tools(self.host, journal, self.sampler, self.settings, self.secret, module_digests(self.host))

    def advance(self, state: State, made: Cycle) -> None:
        """Fold a cycle into the ledger: one transaction moves aliases, statuses, holds, closes the row and tells it."""
        ledger = self.host.ledger
        if made.candidate is not None and made.outcome == "promote":
            self._still(state)
        with ledger.write() as session:
            row = session.get(CycleRow, made.number)
            if row is None or row.outcome != "open":
                raise Refused(f"cycle {made.number} is not open: somebody else closed it")
            row.outcome, row.why, row.closed_at = made.outcome, made.why[:500], ledger.now()
            row.tokens = self._tokens(made)
            row.candidate = made.candidate.id if made.candidate else None
            row.objective = as_data(made.objective) if made.objective else row.objective
            row.verdict = verdict_data(made)
            session.add(row)
            for report in made.reports:
                write_scores(session, report, state.epoch, made.number)
            if made.candidate is not None and made.verdict is not None:
                settle(self.host, session, state, made, made.candidate)
            elif state.hold is not None:
                expire(session, state.hold.candidate)
            session.add(self._told(made))

    def state(self, row: CycleRow) -> State:
        """Return what this cycle starts from."""
        lineage = self.host.lineage
        champion = lineage.get("champion")
        base = lineage.get(lineage.ancestors(champion.id)[-1])
        reference = lineage.get(lineage.alias("reference") or base.id)
        pinned = lineage.alias("pinned") == champion.id
        return State(row.number, champion, base, reference, row.epoch, pinned, self._due_hold(champion, row.epoch))

    def ensure_epoch(self) -> int:
        """Return the evaluator epoch, opening a new one where tasks, graders, decoding or libraries changed."""
        evaluator, ledger = self.host.evaluator, self.host.ledger
        with ledger.write() as session:
            last = session.exec(select(EpochRow).order_by(col(EpochRow.number).desc()).limit(1)).first()
            if last is not None and last.evaluator == evaluator:
                return last.number
            number = last.number + 1 if last else 1
            why = "first" if last is None else "tasks, graders, decoding or libraries changed"
            session.add(EpochRow(number=number, evaluator=evaluator, why=why, opened_at=ledger.now()))
            for hold in session.exec(select(HoldRow).where(col(HoldRow.open))):
                expire(session, hold.candidate)
            for row in session.exec(select(CycleRow).where(CycleRow.outcome == "open")):
                row.outcome, row.why, row.closed_at = "void", "evaluator changed", ledger.now()
                session.add(row)
        if number > 1:
            self.host.ledger.event("epoch_opened", f"evaluator epoch {number} was opened: {why}; scores start anew")
        return number

    def _open_row(self) -> CycleRow:
        """Return the open cycle's row, or a new one; its exam is committed to before anything is trained."""
        ledger = self.host.ledger
        with ledger.write() as session:
            row = session.exec(select(CycleRow).where(CycleRow.outcome == "open")).first()
            if row is not None and row.runtime == self.runtime:
                return row
            if row is not None:
                row.outcome, row.why, row.closed_at = "abandoned", "upgraded", ledger.now()
                session.add(row)
            last = session.exec(select(CycleRow.number).order_by(col(CycleRow.number).desc()).limit(1)).first()
            number = (last or 0) + 1
            epoch = session.exec(select(EpochRow.number).order_by(col(EpochRow.number).desc()).limit(1)).first()
            champion = session.get(AliasRow, "champion")
            if champion is None:
                raise BadInput("this home has no generation yet; run `metaevo init` first")
            row = CycleRow(
                number=number,
                parent=champion.generation,
                epoch=epoch or 1,
                seed=self.host.seed,
                commitment=commitment(self.secret, number),
                runtime=self.runtime,
                fixed=self._fixed(),
                opened_at=ledger.now(),
            )
            session.add(row)
            return row

    def _fixed(self) -> dict[str, Any]:
        """Return what the operator pinned for this run."""
        recipe, objective = self.settings.fixed_recipe, self.settings.fixed_objective
        return {"objective": list(objective) if objective else None, "recipe": recipe.name if recipe else None}

    def _due_hold(self, champion: Generation, epoch: int) -> HoldRow | None:
        """Return the held candidate this cycle should examine again; others expire here."""
        rules = self.settings.gate
        with self.host.ledger.write() as session:
            due = None
            for hold in session.exec(select(HoldRow).where(col(HoldRow.open)).order_by(col(HoldRow.cycle).desc())):
                needed = hold.exam.get("needed")
                fits = needed is not None and needed <= rules.max_items and not (hold.exam["finite"] and needed)
                fresh = hold.parent == champion.id and hold.epoch == epoch and hold.tries < rules.hold_tries
                if due is None and fresh and fits:
                    due = hold
                else:
                    expire(session, hold.candidate)
            return due

    def _still(self, state: State) -> None:
        """Refuse to promote onto a line that moved while the cycle ran (a rollback, another actor)."""
        if self.host.lineage.alias("champion") != state.champion.id:
            raise Refused(
                f"the champion is no longer {state.champion.id}: the candidate is not promoted onto another line"
            )

    def _told(self, made: Cycle) -> EventRow:
        """Return the event that tells of the decision: in its transaction, so that no crash parts the two."""
        who = made.candidate.id if made.candidate else "no candidate"
        text = f"cycle {made.number}: {made.outcome} ({who}){': ' + made.why if made.why else ''}"
        data = {"outcome": made.outcome}
        return EventRow(code="decided", sentence=text[:500], data=data, cycle=made.number, at=self.host.ledger.now())

    def _tokens(self, made: Cycle) -> int:
        return sum(trial.tokens for trial in made.trials)
