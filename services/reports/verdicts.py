"""Objectives, reasons and evidence as the records of reports."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from metaevo.errors import StoreError
from metaevo.gate.evidence import BettingGain, Evidence, ExactGain, ProtectionFinding, Reason, Screen, ToldGain, Verdict
from metaevo.ledger.generation_queries import unreadable_verdict
from objectives.types import JsonValue, Objective
from services.records.generations import (
    ExamFound,
    FullVerdict,
    GainFound,
    GivenReason,
    KeptFound,
    PursuedObjective,
    ScreenFound,
)
from services.records.why import ToldFound, ToldOnCell


def shown_objective(objective: Objective | None) -> PursuedObjective | None:
    """Return an objective as it is shown."""
    if objective is None:
        return None
    return PursuedObjective(
        ability=objective.ability,
        direction=objective.direction.value,
        cells=tuple(map(str, objective.cells)),
        reason=objective.reason,
        rule=objective.rule,
    )


def read_verdict(generation: str, data: Mapping[str, JsonValue]) -> Verdict:
    """Return the verdict on a generation.

    Raises:
        StoreError: It cannot be read: one line with the generation and the way out.
    """
    try:
        return Verdict.from_data(data)
    except StoreError as error:
        raise unreadable_verdict(generation, error) from error


def kept_reason(data: Mapping[str, Any]) -> GivenReason:
    """Return a reason as the ledger keeps it; lists show many, so that its numbers are not read one by one."""
    numbers = {name: tuple(n) if isinstance(n, list) else n for name, n in data["numbers"].items()}
    return GivenReason(code=data["code"], numbers=numbers)


def shown_reason(reason: Reason) -> GivenReason:
    """Return a reason as it is shown."""
    return kept_reason(reason.as_data())


def screen_found(screen: Screen | None) -> ScreenFound | None:
    """Return a screen's estimate as it is shown."""
    return ScreenFound(**asdict(screen)) if screen else None


def gain_found(gain: BettingGain | ExactGain | None) -> GainFound | None:
    """Return a confirmation as it is shown."""
    return GainFound(**asdict(gain)) if gain else None


def told_found(told: ToldGain | None) -> ToldFound | None:
    """Return a gain as it is told."""
    if told is None:
        return None
    cells = {cell: ToldOnCell(**asdict(found)) for cell, found in told.cells.items()}
    return ToldFound(mean=told.mean, low=told.low, high=told.high, n=told.n, test=told.test, cells=cells)


def kept_found(kept: tuple[ProtectionFinding, ...] | None) -> tuple[KeptFound, ...] | None:
    """Return the protected rules as they are shown."""
    return None if kept is None else tuple(KeptFound(**asdict(line)) for line in kept)


def full(verdict: Verdict) -> FullVerdict:
    """Return a verdict with all its evidence."""
    reasons = tuple(shown_reason(reason) for reason in verdict.reasons)
    return FullVerdict(decision=verdict.decision, reasons=reasons, gate=verdict.gate, exam=exam_found(verdict.evidence))


def exam_found(evidence: Evidence) -> ExamFound:
    """Return the evidence of an examination as it is shown."""
    guards = evidence.guards
    return ExamFound(
        cells=evidence.cells,
        protects_nothing=evidence.protects_nothing,
        screen=screen_found(evidence.screen),
        gain=gain_found(evidence.gain),
        stream=evidence.stream,
        kept=kept_found(evidence.kept),
        cells_harmed=evidence.cells_harmed,
        guards=None if guards is None else {name: {"ok": found.ok, **found.numbers} for name, found in guards.items()},
    )
