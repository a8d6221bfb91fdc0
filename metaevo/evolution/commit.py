"""What a decided cycle changes in the ledger: one record, written by the one transaction that closes it."""

from collections.abc import Sequence

from metaevo.evolution.context import CycleStart
from metaevo.evolution.objective_history import objective_data
from metaevo.evolution.outcome import Cycle
from metaevo.evolution.reference import MOVE_REFERENCE
from metaevo.gate.evidence import Hold, MoreItems, Verdict
from metaevo.ledger.cycles import Closing, Consequence
from metaevo.ledger.holds import NewHold
from metaevo.ledger.scores import ScoredCell, Scores
from metaevo.runtime.host import Host
from metaevo.types import Generation
from objectives.statistics import wilson
from objectives.types import Cell, Report


def closing(host: Host, state: CycleStart, made: Cycle) -> Closing:
    """Return all that the end of this cycle changes."""
    who = made.candidate.id if made.candidate else "no candidate"
    sentence = f"cycle {made.number}: {made.outcome} ({who}){': ' + made.why if made.why else ''}"
    return Closing(
        number=made.number,
        outcome=made.outcome,
        ending=made.ending.value,
        why=made.why[:500],
        tokens=made.tokens,
        epoch=state.epoch,
        candidate=made.candidate.id if made.candidate else None,
        objective=objective_data(made.objective) if made.objective else None,
        verdict=made.verdict.as_data() if made.verdict else None,
        sentence=sentence[:500],
        scores=tuple(scores_by_cell(report) for report in made.reports),
        judged=_judged(host, state, made, made.candidate, made.verdict) if made.candidate and made.verdict else None,
        held=state.hold.candidate if state.hold is not None else None,
    )


def _judged(host: Host, state: CycleStart, made: Cycle, candidate: Generation, verdict: Verdict) -> Consequence:
    """Return what a verdict means for its candidate."""
    trial = next((t for t in made.trials if t.generation and t.generation.id == candidate.id), None)
    kept = verdict.evidence.kept or ()
    fine = all(line.state == "kept" for line in kept if line.against != "parent")
    return Consequence(
        candidate=candidate.id,
        status={"promote": "candidate", "hold": "held", "reject": "rejected"}[made.outcome],
        gate=verdict.gate,
        recipe=trial.recipe if trial else None,
        hold=_hold(host, state, made, candidate, verdict) if made.outcome == "hold" else None,
        reference_every=MOVE_REFERENCE if fine else None,
    )


def _hold(host: Host, state: CycleStart, made: Cycle, candidate: Generation, verdict: Verdict) -> NewHold:
    """Return what is kept of a held candidate: its wealth, level and place in the item order."""
    evidence, gain = verdict.evidence, verdict.evidence.gain
    if gain is None:
        raise ValueError("a candidate is held only after its confirmation began")
    more = [reason.numbers for reason in verdict.reasons if isinstance(reason.numbers, MoreItems)]
    hold = Hold(
        candidate=candidate.id,
        parent=state.champion.id,
        epoch=state.epoch,
        k=gain.k,
        cycle=made.number,
        tries=0,  # the ledger knows whether it was held before
        needed=still_needed(more),
        most=min((one.most for one in more), default=0),
        person=not more,
        evidence=evidence,
    )
    return NewHold(hold.candidate, hold.parent, hold.epoch, hold.k, hold.exam_data())


def still_needed(more: Sequence[MoreItems]) -> int | None:
    """Return the items that would settle all that is open; None where some cannot be: their items end before."""
    needs = [one.needed if one.left is None or (one.needed or 0) <= one.left else None for one in more]
    return None if None in needs else max((need for need in needs if need is not None), default=0)


def scores_by_cell(report: Report) -> Scores:
    """Return a report's scores per cell, with their intervals."""
    by_cell: dict[Cell, list[float]] = {}
    for outcome in report.outcomes:
        if outcome.score is not None:
            by_cell.setdefault(outcome.cell, []).append(outcome.score)
    found = []
    for cell, scores in by_cell.items():
        bounds = wilson(sum(scores), len(scores))
        found.append(ScoredCell(cell, bounds.n, bounds.mean, bounds.low, bounds.high))
    return Scores(report.generation, report.split, tuple(found))
