"""The status of a home: alive, doing what, why, what next, what it needs."""

import contextlib
import fcntl
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Literal

from metaevo.artifacts.bodies import BodyStore
from metaevo.errors import MetaevoError, StoreError
from metaevo.evolution.autonomy import autonomy
from metaevo.evolution.objective_history import REMEMBERED
from metaevo.gate.evidence import Hold
from metaevo.ledger import queries
from metaevo.ledger.holds import open_holds
from metaevo.ledger.journal import read_body
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.queries import CycleFacts, StepFacts
from metaevo.ledger.steps import Phase, StepName, phase_of
from metaevo.recipes import schema
from metaevo.registry.registry import Registry
from objectives.types import Objective
from services.attention import needed_attention
from services.home.home import Home
from services.records.status import Budgets, Cost, Event, HeldCandidate, LastDecision, Status
from services.reports.verdicts import shown_objective


def current_status(home: Home) -> Status:
    """Return the status as DESIGN section 10 has it."""
    config = home.config()
    if not home.founded:
        return _empty(home, config.mode)
    holder = held_by(home)
    ledger = home.ledger()
    try:
        last = next(iter(queries.newest_closed(ledger)), None)
        current = queries.open_cycle(ledger)
        step = queries.newest_step(ledger, current.number) if current else None
        used, total = queries.total_spent(ledger), config.budget.total
        pursued = _pursued(home, ledger, current.number) if current else queries.last_pursued(ledger, REMEMBERED)
        return Status(
            state="running" if holder else "idle",
            reason=f"process {holder}" if holder else "no process holds the home",
            phase=_phase(step) if current else None,
            mode=config.mode,
            autonomy=autonomy(ledger, written_combinations(home)),
            cycle=current.number if current else (last.number if last else 0),
            champion=Lineage(ledger).alias("champion"),
            objective=shown_objective(pursued),
            last_decision=_decision(last),
            goals=tuple(goal.name for goal in config.wishes().wanted),
            attention=needed_attention(ledger, config, home),
            budgets=Budgets(
                cycles=(used.cycles, total.cycles),
                wall_s=(used.wall_s, total.wall_clock),
                tokens=(used.tokens, total.tokens),
            ),
            cost=Cost(tokens=used.tokens, wall_s=used.wall_s),
            next_fire_at=None,
            heartbeat_age_s=_age(step),
            held=held_candidates(ledger),
        )
    finally:
        ledger.close()


def _pursued(home: Home, ledger: Ledger, number: int) -> Objective | None:
    """Return what the open cycle chose, None before it chose: its row learns of it only when it is closed."""
    step = queries.step_result(ledger, number, StepName.OBJECTIVE)
    chosen = read_body(step, BodyStore(home.store()), Objective) if step is not None else None
    return chosen if chosen is not None and chosen.cells else None


def _empty(home: Home, mode: str) -> Status:
    return Status(
        state="idle",
        reason="nothing has run yet; start with `metaevo run`",
        phase=None,
        mode=mode,
        autonomy=None,
        cycle=0,
        champion=None,
        objective=None,
        last_decision=None,
        goals=tuple(goal.name for goal in home.config().wishes().wanted),
        attention=(),
        budgets=Budgets(),
        cost=Cost(),
        next_fire_at=None,
        heartbeat_age_s=None,
    )


def held_candidates(ledger: Ledger) -> tuple[HeldCandidate, ...]:
    """Return the candidates that are held, newest first, and how many nights each still needs."""
    found = []
    for record in open_holds(ledger):
        try:
            hold = Hold.from_data(asdict(record))
        except StoreError as error:
            raise StoreError(f"hold {record.candidate}: it cannot be read ({error}); run `metaevo fsck`") from error
        waits: Literal["items", "a person"] = "a person" if hold.person else "items"
        found.append(
            HeldCandidate(
                generation=hold.candidate,
                since_cycle=hold.cycle,
                needed=hold.needed,
                nights=hold.nights,
                waits_for=waits,
            )
        )
    return tuple(found)


def held_by(home: Home) -> str | None:
    """Return the process that holds the home, None where nobody does."""
    path = home.path / "lock"
    if not path.is_file():
        return None
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except OSError:
        return os.pread(handle, 64, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(handle)


def written_combinations(home: Home) -> set[tuple[str, ...]]:
    """Return the module combinations that people wrote: the recipes we ship and the home's own."""
    registry, found = Registry(home.path), set()
    for name in schema.names(home.path):
        with contextlib.suppress(MetaevoError):  # one that is wrong is told of by `recipes list`
            found.add(schema.load(name, registry).modules)
    return found


def _phase(step: StepFacts | None) -> str:
    """Return the phase of a running cycle: before its first step is done it diagnoses."""
    return phase_of(step.step, step.trial) if step is not None else Phase.DIAGNOSE


def _age(step: StepFacts | None) -> float | None:
    if step is None:
        return None
    at = step.closed_at or step.opened_at
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round((datetime.now(UTC) - at).total_seconds(), 1)


def _decision(last: CycleFacts | None) -> LastDecision | None:
    if last is None:
        return None
    return LastDecision(
        cycle=last.number,
        outcome=last.outcome,
        candidate=last.candidate,
        why=last.why,
        at=last.closed_at.isoformat() if last.closed_at else None,
    )


def events(ledger: Ledger, most: int = 20) -> tuple[Event, ...]:
    """Return the newest events, oldest first."""
    found = queries.events(ledger, most)
    return tuple(Event(code=e.code, sentence=e.sentence, at=e.at.isoformat(), cycle=e.cycle) for e in found)
