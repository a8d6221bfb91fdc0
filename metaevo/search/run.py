"""Search one objective: a bounded map of trials at low fidelity, the best again in full, the better of those wins.

Trials of a batch run side by side, one engine each; what is proposed depends only on batches that are finished,
so a resumed search takes the same decisions. An engine that dies is infrastructure: no score is told.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import IntEnum
from queue import SimpleQueue
from typing import Any

from metaevo import trial
from metaevo.artifacts.bodies import BodyStore
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.protocol import Engine
from metaevo.errors import EngineError, ModuleFailed
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.steps import StepName
from metaevo.recipes.schema import Recipe
from metaevo.runtime.answering import examine, measure_mark
from metaevo.runtime.host import Host
from metaevo.search.kernel_pairs import NewKernels
from metaevo.search.record import record
from metaevo.search.score import PARENT, REFERENCE, SHARE, is_feasible, measure_changes, rank, score_trial
from metaevo.search.skeletons import Skeleton
from metaevo.search.space import Params, TrialEvidence, chosen_in, with_knobs
from metaevo.search.study import Sampler, Study, draw_at_random, promised, shorter_within_noise, study
from metaevo.trial import TrialData
from metaevo.types import Generation, Trial, TrialEnd
from objectives.types import Direction, Report, Split


class Place(IntEnum):
    """Where a report on dev items stands in the journal, as if after all stages. Old ledgers know these numbers."""

    REFERENCE = 98
    CANDIDATE = 99


@dataclass(frozen=True, slots=True)
class SearchRules:
    """How large a search is. The operator sets it."""

    trials: int = 6
    """Trials at low fidelity per cycle."""
    fidelity: float = 0.5
    """Share of the budget knobs a low-fidelity trial gets while the two fidelities are not known to agree."""
    finals: int = 2
    """Trials run again in full."""
    token_limit: int | None = None
    margin: float = 0.05
    """The smallest protected margin. A trial that likely loses `search.score.SHARE` of it is infeasible."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found: the trial to examine (None if nothing gained), and all trials."""

    best: Trial | None
    recipe: Recipe | None
    trials: tuple[Trial, ...]
    why: str = ""
    failed: TrialEnd | None = None
    """How the first trial that failed ended, where none came to a score."""


@dataclass(slots=True)
class Search:
    """One search. ``pinned`` is the operator's fixed recipe: it is run once, in full."""

    host: Host
    journal: Journal
    sampler: Sampler
    rules: SearchRules
    ground: TrialData
    choices: Mapping[str, Skeleton]
    cycle: int
    ability: str
    direction: Direction
    pinned: Recipe | None = None
    on_trial: Callable[[int, int], None] = lambda _done, _total: None
    kernels: NewKernels = field(default_factory=NewKernels)

    def run(self) -> SearchResult:
        """Return the best trial in full fidelity, or why there is none."""
        old = self._compared(self.host.together)
        if self.pinned is not None:
            trials = [self._trial(1, self.pinned, {"skeleton": "pinned"}, 1.0, self.host.engine, old)]
            return self._chosen(trials, {1: self.pinned})
        evidence = study(self.host.ledger, self._name(), self.choices, self.host.registry, self.cycle)
        fidelity, count = self._fidelity(evidence)
        low, params = self._map(evidence, count, fidelity, old)
        self.kernels.tell(self.host, self.journal, self.cycle, low, self._report, self.ground.aimed)
        ranked = sorted((t for t in low if t.score is not None), key=rank)
        if not ranked:
            return _fruitless(low, low)
        finals = self._finals(ranked, params)
        found = self._full(finals, count, params, old, tuple(low))
        spare = [t for t in ranked if t not in finals and is_feasible(t.constraints) and (t.score or 0.0) > 0]
        if found.best is None and spare:  # more training lost what less of it kept: the next ones may not
            found = self._full(spare[: len(finals)], count + len(finals), params, old, found.trials)
        return found

    def _full(
        self,
        chosen: Sequence[Trial],
        after: int,
        params: Mapping[int, Params],
        old: Mapping[str, Report],
        before: tuple[Trial, ...],
    ) -> SearchResult:
        """Run these trials again in full, numbered on ``after`` so many, and return the best."""
        recipes = {after + i + 1: self._recipe(params[t.number]) for i, t in enumerate(chosen)}
        jobs = [(number, params[t.number], 1.0) for number, t in zip(recipes, chosen, strict=True)]
        return self._chosen(self._batch(jobs, old), recipes, before)

    def scored(self, made: Trial, engine: Engine) -> Trial:
        """Return a trial run outside of a search with its dev score."""
        if made.generation is None:
            return made
        return self._scored(made, self._dev(made.generation, made.number, engine), self._compared(engine))

    def _map(
        self, evidence: Study, count: int, fidelity: float, old: Mapping[str, Report]
    ) -> tuple[list[Trial], dict[int, Params]]:
        """Run ``count`` proposed trials at low fidelity, in two batches: the second knows how the first went."""
        done: list[Trial] = []
        params: dict[int, Params] = {}
        size = max(len(self.host.engines), -(-count // 2))
        for first in range(0, count, size):
            jobs = []
            for number in range(first, min(first + size, count)):
                params[number + 1] = self._proposal(evidence, number, count, params)
                jobs.append((number + 1, params[number + 1], fidelity))
            batch = self._batch(jobs, old)
            done += batch
            fresh = [self._evidence(t, params[t.number]) for t in batch]
            evidence = replace(evidence, rows=(*evidence.rows, *(row for row in fresh if row is not None)))
            self.on_trial(len(done), count + self.rules.finals)
        return done, params

    def _proposal(self, evidence: Study, number: int, count: int, asked: Mapping[int, Params]) -> Params:
        """Return a proposal as a journalled step: what Optuna said once stays said. A new kernel's trial is its own."""
        key = At(self.cycle).key(StepName.SEARCH_ASK, number)
        seed = self.journal.stream_seed(key)
        own = self.kernels.proposal(number, count, asked, self._every())
        more = [] if own is None else [own]
        mark = fingerprint(seed, [row["params"] for row in evidence.rows], sorted(self.choices), count, *more)
        chosen = [chosen_in(params) for params in asked.values()]

        def ask() -> Params:
            made = own or evidence.proposal(self.sampler, number, count, seed, chosen)
            if number == count - 1:
                self._tell_shortfall([*chosen, chosen_in(made)])
            return made

        return dict(
            self.journal.step(
                key,
                mark,
                ask,
                kind=dict[str, Any],
                counts=lambda p: {"skeleton": p["skeleton"]},
            )
        )

    def _tell_shortfall(self, asked: Sequence[str]) -> None:
        """Write an event where fewer trials than promised are not presets. One trial alone promises nothing."""
        every = self._every()
        own, wanted = sum(every[id_].preset is None for id_ in asked), min(promised(len(asked)), len(asked) - 1)
        if own < wanted:
            text = f"{own} of {len(asked)} trials are not presets, {wanted} were promised: nothing else may be tried; "
            text += "see forbid.methods, and what failed twice in this study is left out"
            self.host.ledger.event("few_proposals", text, self.cycle, wanted=wanted, found=own)

    def _batch(self, jobs: Sequence[tuple[int, Params, float]], old: Mapping[str, Report]) -> list[Trial]:
        """Run trials side by side, each on the next free engine.

        Ids are reserved in order first, so that they do not depend on timing; engines of one home are alike.
        """
        recipes = {number: self._recipe(params) for number, params, _ in jobs}
        for number, _, fidelity in jobs:
            scaled = trial.at_fidelity(recipes[number], self.host, fidelity)
            self.host.lineage.reserve(self.cycle, number, scaled.publishes, self.ground.parent.id)
        free: SimpleQueue[Engine] = SimpleQueue()
        for engine in self.host.engines:
            free.put(engine)

        def run(number: int, params: Params, fidelity: float) -> Trial:
            engine = free.get()
            try:
                return self._trial(number, recipes[number], params, fidelity, engine, old)
            finally:
                free.put(engine)

        with ThreadPoolExecutor(len(self.host.engines)) as threads:
            running = [threads.submit(run, *job) for job in jobs]
            try:
                return [job.result() for job in running]
            except BaseException:  # an interrupt waits for the trials that run, not for those that wait
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _trial(
        self,
        number: int,
        recipe: Recipe,
        params: Params,
        fidelity: float,
        engine: Engine,
        old: Mapping[str, Report],
    ) -> Trial:
        """Run one trial and score it on dev items; an engine that died leaves no score and no blame."""
        journal = replace(self.journal, alike=self.kernels.alike(number, recipe))
        try:
            made = trial.run(
                self.host, journal, engine, recipe, self.ground, cycle=self.cycle, number=number, fidelity=fidelity
            )
            if made.generation is not None:
                made = self._scored(made, self._dev(made.generation, number, engine), old)
        except ModuleFailed as error:
            failure, ending = f"ModuleFailed: {error}"[:300], TrialEnd.MODULE_FAILED
            made = Trial(number, recipe.hash, fidelity, None, failure=failure, ending=ending)
        except EngineError as error:
            failure, ending = f"infrastructure: {error}"[:300], TrialEnd.INFRASTRUCTURE
            made = Trial(number, recipe.hash, fidelity, None, failure=failure, ending=ending)
            self.host.ledger.event("trial_infrastructure", f"trial {number}: {error}", self.cycle)
        record(self.host.ledger, self._name(), self.cycle, made, recipe, params)
        return made

    def _compared(self, engine: Engine) -> dict[str, Report]:
        """Return the dev reports of what trials are compared with: the parent, and the reference if it is another."""
        old = {PARENT: self._dev(self.ground.parent, 0, engine)}
        reference = self.ground.reference
        if reference is not None and reference.id != self.ground.parent.id:
            old[REFERENCE] = self._dev(reference, 0, engine, place=Place.REFERENCE)
        return old

    def _dev(self, generation: Generation, number: int, engine: Engine, place: Place = Place.CANDIDATE) -> Report:
        """Return the report on the cycle's dev items, journalled with the trial (what was before it under trial 0)."""
        key = At(self.cycle, number, stage=int(place)).key(StepName.SCORE)
        mark = measure_mark(self.host, generation, self.ground.dev)
        journal = replace(self.journal, meter=lambda: engine.meter)  # beside it other trials use theirs
        return journal.step(
            key,
            mark,
            lambda: examine(self.host, engine, generation, self.ground.dev, Split.DEV)[0],
            kind=Report,
            shelf=BodyStore(self.host.store),
            counts=lambda r: {"items": len(r.outcomes)},
        )

    def _scored(self, made: Trial, report: Report, old: Mapping[str, Report]) -> Trial:
        changes = measure_changes(self.host.environments, self.ground.aimed, report, old)
        return score_trial(made, changes, self.rules.margin, self.rules.token_limit)

    def _chosen(
        self, full: Sequence[Trial], recipes: Mapping[int, Recipe], low: tuple[Trial, ...] = ()
    ) -> SearchResult:
        """Return the best feasible trial in full, the shorter one within noise."""
        every = (*low, *full)
        known = [t for t in full if t.score is not None]
        fine = [t for t in known if is_feasible(t.constraints)]
        if not fine:
            lost = f"every trial loses more than {SHARE * self.rules.margin:.1%} elsewhere"
            return SearchResult(None, None, every, lost) if known else _fruitless(full, every)
        best = self._shortest(fine, {t.number: len(recipes[t.number].modules) for t in fine})
        if (best.score or 0.0) <= 0:
            return SearchResult(None, None, every, f"no trial gained on dev items (best {best.score:+.3f})")
        return SearchResult(best, recipes[best.number], every)

    def _finals(self, ranked: Sequence[Trial], params: Mapping[int, Params]) -> list[Trial]:
        """Return the trials to run in full: the best, the last of them not a preset where one gained at all.

        It is the shortest of its kind within noise: own combinations are mostly longer than presets, and without a
        place of their own they lose to them by length alone. Every fourth cycle a random one takes it instead.
        """
        finals = list(ranked[: self.rules.finals])
        gained = [t for t in ranked if is_feasible(t.constraints) and (t.score or 0.0) > 0]
        own = [t for t in gained if self._every()[chosen_in(params[t.number])].preset is None]
        if own and len(finals) > 1 and not any(t in own for t in finals):
            finals[-1] = self._shortest(own, {t.number: len(self._recipe(params[t.number]).modules) for t in own})
        if self.cycle % 4 == 0 and len(finals) > 1 and (rest := [t.number for t in ranked[self.rules.finals :]]):
            number = draw_at_random(self.journal.stream_seed(At(self.cycle).key(StepName.SEARCH_RANDOM)), rest)
            finals[-1] = next(t for t in ranked if t.number == number)
        return finals

    def _shortest(self, trials: Sequence[Trial], modules: Mapping[int, int]) -> Trial:
        """Return the trial with fewest modules among those within noise of the best."""
        noise = (0.2 / max(1, len(self.ground.aimed))) ** 0.5
        chosen = shorter_within_noise([(t.score or 0.0, modules[t.number], t.number) for t in trials], noise)
        return next(t for t in trials if t.number == chosen)

    def _fidelity(self, evidence: Study) -> tuple[float, int]:
        """Return (fidelity, trials): halving is on only once low fidelity is known to rank like full fidelity."""
        if evidence.ranks_alike():
            return self.rules.fidelity / 2, 2 * self.rules.trials
        return self.rules.fidelity, self.rules.trials

    def _recipe(self, params: Params) -> Recipe:
        skeleton = self._every()[chosen_in(params)]
        made = with_knobs(skeleton.recipe, params, self.host.registry).filled(self.host.registry)
        return made if skeleton.preset else made.model_copy(update={"name": f"proposed_{made.hash[:6]}"})

    def _evidence(self, made: Trial, params: Params) -> TrialEvidence | None:
        if made.ending is TrialEnd.INFRASTRUCTURE:
            return None
        return {"params": params, "score": made.score, "constraints": dict(made.constraints), "fidelity": made.fidelity}

    def _every(self) -> dict[str, Skeleton]:
        return {**self.kernels.skeletons, **self.choices}

    def _report(self, made: Trial) -> Report:
        if made.generation is None:
            raise ValueError("a trial without a generation has no report")
        return self._dev(made.generation, made.number, self.host.engine)

    def _name(self) -> str:
        return f"{self.ability}/{self.direction.value}"


def _fruitless(tried: Sequence[Trial], every: Sequence[Trial]) -> SearchResult:
    """Return that none of the trials tried came to a score, with how the first one failed."""
    first = next((t for t in tried if t.ending is not TrialEnd.OK), None)
    why = f"no trial came to an end: {first.failure if first else 'no trial was run'}"
    return SearchResult(None, None, tuple(every), why, first.ending if first else None)
