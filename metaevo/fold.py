"""What a decided cycle changes in the ledger, inside the one transaction that closes it."""

from typing import Any

from sqlalchemy import func
from sqlmodel import Session, select

from metaevo.errors import Refused
from metaevo.ledger.lineage import move, promote
from metaevo.ledger.tables import AliasRow, CycleRow, GenerationRow, HoldRow, ScoreRow
from metaevo.line.host import Host
from metaevo.outlook import as_data
from metaevo.terms import State
from metaevo.types import Cycle, Generation
from objectives.statistics import wilson
from objectives.types import Cell, Report

MOVE_REFERENCE = 5
"""Promotions after which the reference generation moves to the champion."""


def settle(host: Host, session: Session, state: State, made: Cycle, candidate: Generation) -> None:
    """Write what a verdict means for its candidate."""
    row = session.get(GenerationRow, candidate.id)
    if row is None or made.verdict is None:
        raise Refused(f"generation {candidate.id} is not in the ledger")
    row.epoch, row.verdict = state.epoch, verdict_data(made)
    row.objective = as_data(made.objective) if made.objective else row.objective
    trial = next((t for t in made.trials if t.generation and t.generation.id == candidate.id), None)
    row.recipe = trial.recipe if trial else row.recipe
    row.status = {"promote": "candidate", "hold": "held", "reject": "rejected"}[made.outcome]
    session.add(row)
    if made.outcome == "hold":
        _hold(host, session, state, made, candidate)
    elif state.hold is not None:
        expire(session, state.hold.candidate, status=None)
    if made.outcome == "promote":
        evidence = {"cycle": made.number, "verdict": "promote", "gate": made.verdict.gate}
        promote(session, host.ledger, candidate.id, who="metaevo", why="gain proven", evidence=evidence)
        _move_reference(host, session, state, made, candidate)


def _hold(host: Host, session: Session, state: State, made: Cycle, candidate: Generation) -> None:
    """Keep a held candidate's wealth, level and place in the item order."""
    if made.verdict is None:
        return
    exam = dict(made.verdict.exam)
    cells = [Cell.parse(cell) for cell in exam["cells"]]
    finite = host.environments[cells[0].environment].texts[cells[0].level] is not None
    facts = dict(made.verdict.reasons[0].numbers) if made.verdict.reasons else {}
    needed = facts.get("needed") if "needed" in facts else 0
    old = session.get(HoldRow, candidate.id)
    session.merge(
        HoldRow(
            candidate=candidate.id,
            parent=state.champion.id,
            epoch=state.epoch,
            k=int(exam["gain"]["k"]),
            cycle=old.cycle if old else made.number,
            tries=old.tries + 1 if old else 0,
            open=True,
            exam=exam | {"needed": needed, "finite": finite, "protection": needed if exam.get("kept") else 0},
        )
    )


def _move_reference(host: Host, session: Session, state: State, made: Cycle, candidate: Generation) -> None:
    """Move the reference to the champion at every fifth promotion, where it was not inferior to it."""
    promoted = session.exec(select(func.count()).select_from(CycleRow).where(CycleRow.outcome == "promote")).one()
    kept = made.verdict.exam.get("kept", []) if made.verdict else []
    fine = all(line["state"] == "kept" for line in kept if line["against"] == "reference")
    if promoted % MOVE_REFERENCE == 0 and fine:
        alias = session.get(AliasRow, "reference")
        before = alias.generation if alias else None
        move(session, host.ledger, "reference", before, candidate.id, who="metaevo", why="fifth promotion")


def verdict_data(made: Cycle) -> dict[str, Any] | None:
    """Return a verdict as the ledger keeps it."""
    if made.verdict is None:
        return None
    reasons = [{"code": reason.code, "numbers": dict(reason.numbers)} for reason in made.verdict.reasons]
    facts = {"decision": made.verdict.decision, "reasons": reasons, "gate": made.verdict.gate}
    return facts | {"exam": dict(made.verdict.exam)}


def expire(session: Session, candidate: str, status: str | None = "rejected") -> None:
    """Close a hold; its candidate is rejected unless the verdict just said otherwise."""
    hold = session.get(HoldRow, candidate)
    if hold is not None:
        hold.open = False
        session.add(hold)
    row = session.get(GenerationRow, candidate)
    if row is not None and status is not None and row.status == "held":
        row.status = status
        session.add(row)


def write_scores(session: Session, report: Report, epoch: int, cycle: int) -> None:
    """Write a report's scores per cell."""
    by_cell: dict[Cell, list[float]] = {}
    for outcome in report.outcomes:
        if outcome.score is not None:
            by_cell.setdefault(outcome.cell, []).append(outcome.score)
    for cell, scores in by_cell.items():
        bounds = wilson(sum(scores), len(scores))
        session.merge(
            ScoreRow(
                generation=report.generation,
                split=report.split.value,
                environment=cell.environment,
                level=cell.level,
                epoch=epoch,
                n=bounds.n,
                mean=bounds.mean,
                low=bounds.low,
                high=bounds.high,
                cycle=cycle,
            )
        )
