"""What a decided cycle changes in the ledger: one record, written by the one transaction that closes it."""

from typing import Any

from metaevo.ledger.cycles import Closing, Consequence
from metaevo.ledger.holds import NewHold
from metaevo.ledger.scores import ScoredCell, Scores
from metaevo.line.host import Host
from metaevo.outlook import as_data
from metaevo.terms import State
from metaevo.types import Cycle, Generation, Verdict
from objectives.statistics import wilson
from objectives.types import Cell, Report

MOVE_REFERENCE = 5
"""Promotions after which the reference generation moves to the champion."""


def closing(host: Host, state: State, made: Cycle) -> Closing:
    """Return all that the end of this cycle changes."""
    who = made.candidate.id if made.candidate else "no candidate"
    sentence = f"cycle {made.number}: {made.outcome} ({who}){': ' + made.why if made.why else ''}"
    return Closing(
        number=made.number,
        outcome=made.outcome,
        ending="",
        why=made.why[:500],
        tokens=sum(trial.tokens for trial in made.trials),
        epoch=state.epoch,
        candidate=made.candidate.id if made.candidate else None,
        objective=as_data(made.objective) if made.objective else None,
        verdict=verdict_data(made),
        sentence=sentence[:500],
        scores=tuple(scores_by_cell(report) for report in made.reports),
        judged=_judged(host, state, made, made.candidate, made.verdict) if made.candidate and made.verdict else None,
        held=state.hold.candidate if state.hold is not None else None,
    )


def _judged(host: Host, state: State, made: Cycle, candidate: Generation, verdict: Verdict) -> Consequence:
    """Return what a verdict means for its candidate."""
    trial = next((t for t in made.trials if t.generation and t.generation.id == candidate.id), None)
    kept = verdict.exam.get("kept", [])
    fine = all(line["state"] == "kept" for line in kept if line["against"] == "reference")
    return Consequence(
        candidate=candidate.id,
        status={"promote": "candidate", "hold": "held", "reject": "rejected"}[made.outcome],
        gate=verdict.gate,
        recipe=trial.recipe if trial else None,
        hold=_hold(host, state, candidate, verdict) if made.outcome == "hold" else None,
        reference_every=MOVE_REFERENCE if fine else None,
    )


def _hold(host: Host, state: State, candidate: Generation, verdict: Verdict) -> NewHold:
    """Return what is kept of a held candidate: its wealth, level and place in the item order."""
    exam = dict(verdict.exam)
    cells = [Cell.parse(cell) for cell in exam["cells"]]
    finite = host.environments[cells[0].environment].texts[cells[0].level] is not None
    facts = dict(verdict.reasons[0].numbers) if verdict.reasons else {}
    needed = facts.get("needed") if "needed" in facts else 0
    own = {"needed": needed, "finite": finite, "protection": needed if exam.get("kept") else 0}
    return NewHold(candidate.id, state.champion.id, state.epoch, int(exam["gain"]["k"]), exam | own)


def verdict_data(made: Cycle) -> dict[str, Any] | None:
    """Return a verdict as the ledger keeps it."""
    if made.verdict is None:
        return None
    reasons = [{"code": reason.code, "numbers": dict(reason.numbers)} for reason in made.verdict.reasons]
    facts = {"decision": made.verdict.decision, "reasons": reasons, "gate": made.verdict.gate}
    return facts | {"exam": dict(made.verdict.exam)}


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
