"""What to try next: evidence from the ledger, a window of it, and Optuna's proposal under a few fixed rules.

At most two presets are enqueued per objective; then what the operator added and this study has not tried; then the
best known recipe with one module less, or the next best where all of its are tried: what does not help is found by
leaving it out. At least a third of the trials are not presets, recipes that failed twice for the same reason are left
out (the failure library).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import fmean
from typing import Any

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.process import Child
from metaevo.errors import from_frame
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.trials import TrialRecord, often_failed, study_rows
from metaevo.recipes.schema import Recipe
from metaevo.registry.registry import Registry
from metaevo.search.installed import Installed, procedure
from metaevo.search.score import is_feasible
from metaevo.search.skeletons import Skeleton
from metaevo.search.space import Params, TrialEvidence, chosen_in, default_params, space
from objectives.statistics import rank_correlation

WINDOW = 128
FAILURES = 2
"""Failed trials of a study after which a combination is left out."""
ENQUEUED = 2
STARTUP = 4
PAIRS = 12
TRUSTED = 0.6
"""Recipes run at both fidelities, and their rank correlation, from which low fidelity is trusted."""
UNTRIED = 0.05
"""What an untried preset is taken to gain: more than one that lost, less than one that is known to gain well."""
DEADLINE_S = 60.0


@dataclass(slots=True)
class Sampler:
    """The process that runs Optuna."""

    child: Child = field(default_factory=lambda: Child("metaevo.search.sampler"))

    def propose(self, request: Mapping[str, Any]) -> Params:
        """Return the parameters of the next trial.

        Raises:
            EngineError: The process failed or did not answer in time.
        """
        if not self.child.running:
            self.child.kill()
            self.child.start()
        self.child.send(request)
        frame = self.child.receive(DEADLINE_S)
        if "ok" not in frame:
            raise from_frame(frame)
        return dict(frame["ok"])

    def close(self) -> None:
        """End the process."""
        self.child.kill()


@dataclass(frozen=True, slots=True)
class Study:
    """The evidence on one ability and direction, and what may be tried."""

    name: str
    choices: Mapping[str, Skeleton]
    rows: tuple[TrialEvidence, ...]
    registry: Registry

    def proposal(self, sampler: Sampler, number: int, total: int, seed: int, chosen: Sequence[str]) -> Params:
        """Return the parameters of trial ``number`` (from 0) of ``total``; ``chosen`` are the skeletons so far."""
        presets = self.ranked_presets()
        if number < min(ENQUEUED, len(presets), max(1, total // 3)):
            recipe = presets[number].recipe
            return {"skeleton": presets[number].id, **default_params(recipe, self.registry)}
        if number == ENQUEUED and (next_ := self.newcomers() or self.ablations()):
            one = self.choices[Random(seed).choice(next_)]
            return {"skeleton": one.id, **default_params(one.recipe, self.registry)}
        installed = Installed.of(self.registry)
        spaces = {id_: space(s.recipe, installed) for id_, s in self.choices.items()}
        others = sum(self.choices[id_].preset is None for id_ in chosen if id_ in self.choices)
        wanted = promised(total)
        if wanted - others >= total - number:
            spaces = {id_: knobs for id_, knobs in spaces.items() if self.choices[id_].preset is None} or spaces
        return sampler.propose({"seed": seed % 2**31, "startup": STARTUP, "rows": self.rows, "spaces": spaces})

    def ranks_alike(self) -> bool:
        """Return whether low fidelity is known to rank recipes like full fidelity."""
        by_params: dict[str, dict[bool, float]] = {}
        for row in self.rows:
            if row["score"] is not None:
                by_params.setdefault(fingerprint(row["params"]), {})[row["fidelity"] >= 1] = row["score"]
        both = [pair for pair in by_params.values() if len(pair) == 2]
        if len(both) < PAIRS:
            return False
        agreement = rank_correlation([p[False] for p in both], [p[True] for p in both])
        return agreement is not None and agreement >= TRUSTED

    def ablations(self) -> list[str]:
        """Return the untried skeletons with one module less than the best known one that has any.

        Once for each module, right after the presets: own combinations are mostly additions, which are never clearly
        better and always longer, so that without this the shorter recipe within noise was always a preset. A first
        preset that is untried is taken to gain `UNTRIED`; what lost is not shortened.
        """
        record = self._record()
        found = [(-fmean(scores), id_) for id_, scores in record.items() if id_ in self.choices]
        found += [(-UNTRIED, preset.id) for preset in self.ranked_presets()[:1] if preset.id not in record]
        rest = [s for id_, s in self.choices.items() if id_ not in record and s.preset is None]
        for loss, best in sorted(found):
            shorter = [s.id for s in rest if _one_less(s.recipe, self.choices[best].recipe)]
            if shorter and loss < 0:
                return sorted(shorter)
        return []

    def newcomers(self) -> list[str]:
        """Return the shortest skeletons with a module that the operator added and this study has not tried.

        Left to Optuna, a module dropped into a home was not tried in 34 trials of 8 cycles.
        """
        tried = {name for id_ in self._record() if id_ in self.choices for name in self.choices[id_].recipe.modules}
        new = [
            s
            for s in self.choices.values()
            if s.preset is None and any(self._added(name) for name in {*s.recipe.modules} - tried)
        ]
        least = min((len(s.recipe.modules) for s in new), default=0)
        return sorted(s.id for s in new if len(s.recipe.modules) == least)

    def _added(self, module: str) -> bool:
        slot, _, name = module.partition(".")
        return self.registry.where(slot, name) not in ("metaevo", "generated")

    def _record(self) -> dict[str, list[float]]:
        """Return every skeleton's scores in this study; what lost too much elsewhere counts as a small loss."""
        record: dict[str, list[float]] = {}
        for row in self.rows:
            if row["score"] is not None:
                fine = is_feasible(row["constraints"])
                record.setdefault(chosen_in(row["params"]), []).append(row["score"] if fine else -0.1)
        return record

    def ranked_presets(self) -> list[Skeleton]:
        """Return the presets, best mean record in this study first, untried ones in a fixed order of promise."""
        record = self._record()
        presets = [s for s in self.choices.values() if s.preset is not None and self._affordable(s)]

        def key(s: Skeleton) -> tuple[float, int, str]:
            known = record.get(s.id)
            return (-fmean(known) if known else -UNTRIED, s.recipe.prior, s.id)

        return sorted(presets, key=key)

    def _affordable(self, skeleton: Skeleton) -> bool:
        """Return whether a preset is one to start with: several stages are for a search that found nothing shorter."""
        stages = skeleton.recipe.stage
        return len(stages) == 1 and not procedure(self.registry, stages[0].update)


def promised(total: int) -> int:
    """Return how many of so many trials must not be presets."""
    return -(-total // 3)


def _one_less(recipe: Recipe, whole: Recipe) -> bool:
    """Return whether a recipe is the other one without one of its modules, with the same rounds from the same start."""
    if [(s.rounds, s.start) for s in recipe.stage] != [(s.rounds, s.start) for s in whole.stage]:
        return False
    fewer, more = Counter(recipe.modules), Counter(whole.modules)
    return fewer < more and fewer.total() == more.total() - 1


def study(ledger: Ledger, name: str, choices: Mapping[str, Skeleton], registry: Registry, before: int) -> Study:
    """Return the study of this ability and direction from the trials of earlier cycles, newest `WINDOW` rows."""
    rows = study_rows(ledger, name, before, WINDOW)
    failed = often_failed(ledger, name, before, FAILURES)
    kept = {id_: s for id_, s in choices.items() if id_ not in failed}
    return Study(name, kept or dict(choices), tuple(trial_evidence(row) for row in rows), registry)


def trial_evidence(row: TrialRecord) -> TrialEvidence:
    """Return a trial as Optuna sees it."""
    return {"params": row.params, "score": row.score, "constraints": row.constraints, "fidelity": row.fidelity}


def shorter_within_noise(scores: Sequence[tuple[float, int, int]], noise: float) -> int:
    """Return the number of the trial to take: within noise of the best the one with fewest modules.

    ``scores`` are (score, modules, trial number).
    """
    best = max(score for score, _, _ in scores)
    near = [entry for entry in scores if entry[0] >= best - noise]
    return min(near, key=lambda entry: (entry[1], -entry[0], entry[2]))[2]


def draw_at_random(seed: int, numbers: Sequence[int]) -> int | None:
    """Return one of the trials, by a stream of its own: every fourth promotion to full fidelity is random."""
    return Random(seed).choice(list(numbers)) if numbers else None
