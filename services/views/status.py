"""The status of a home: alive, doing what, why, what next, what it needs."""

import contextlib
import fcntl
import os
from datetime import UTC, datetime
from typing import Any

from sqlmodel import col, select

from metaevo.autonomy import autonomy
from metaevo.errors import MetaevoError
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.tables import CycleRow, EventRow, StepRow
from metaevo.modules.registry import Registry
from metaevo.outlook import as_data, past_objectives
from metaevo.recipes import schema
from services.attention import needed
from services.home import Home
from services.running import spent

PHASES = {
    "diagnose": "diagnose",
    "objective": "objective",
    "archive": "search",
    "kernel.rows": "search",
    "kernel": "search",
    "kernels": "search",
    "kernel.trial": "search",
    "search.ask": "search",
    "score": "search",
    "screen": "examine",
    "confirm": "examine",
    "protect": "examine",
    "guard_cost": "examine",
    "guard_tokens": "examine",
    "anchor": "decide",
}


def now(home: Home) -> dict[str, Any]:
    """Return the status as DESIGN section 10 has it."""
    config = home.config()
    if not home.founded:
        return _empty(home, config.mode)
    holder = held_by(home)
    ledger = home.ledger()
    try:
        with ledger.read() as session:
            last = session.exec(
                select(CycleRow).where(CycleRow.outcome != "open").order_by(col(CycleRow.number).desc())
            ).first()
            current = session.exec(select(CycleRow).where(CycleRow.outcome == "open")).first()
        step = _last_step(ledger, current.number) if current else None
        used = spent(ledger)
        total = config.budget.total
        state = "running" if holder else "idle"
        return {
            "state": state,
            "reason": f"process {holder}" if holder else "no process holds the home",
            "phase": phase_of(step) if current else None,
            "mode": config.mode,
            "autonomy": autonomy(ledger, written(home)),
            "cycle": current.number if current else (last.number if last else 0),
            "champion": Lineage(ledger).alias("champion"),
            "objective": (current.objective if current else None) or _pursued(ledger, last),
            "last_decision": _decision(last),
            "goals": [goal.name for goal in config.wishes().wanted],
            "attention": needed(ledger, config, home),
            "budgets": {
                "cycles": [used["cycles"], total.cycles],
                "wall_s": [used["wall_s"], total.wall_clock],
                "tokens": [used["tokens"], total.tokens],
            },
            "cost": {"tokens": used["tokens"], "wall_s": used["wall_s"]},
            "next_fire_at": None,
            "heartbeat_age_s": _age(step),
        }
    finally:
        ledger.close()


def _pursued(ledger: Ledger, last: CycleRow | None) -> dict[str, Any] | None:
    """Return the last objective on the champion's line: a rollback restores it with the generation."""
    past = past_objectives(ledger, last.number + 1) if last else []
    return as_data(past[-1][1]) if past else None


def _empty(home: Home, mode: str) -> dict[str, Any]:
    return {
        "state": "idle",
        "reason": "nothing has run yet; start with `metaevo run`",
        "phase": None,
        "mode": mode,
        "autonomy": None,
        "cycle": 0,
        "champion": None,
        "objective": None,
        "last_decision": None,
        "goals": [goal.name for goal in home.config().wishes().wanted],
        "attention": [],
        "budgets": {},
        "cost": {},
        "next_fire_at": None,
        "heartbeat_age_s": None,
    }


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


def phase_of(step: StepRow | None) -> str:
    """Return the phase the newest journal row belongs to; trial rows are the search's."""
    if step is None:
        return "diagnose"
    return "search" if step.trial else PHASES.get(step.step, "examine")


def written(home: Home) -> set[tuple[str, ...]]:
    """Return the module combinations that people wrote: the recipes we ship and the home's own."""
    registry, found = Registry(home.path), set()
    for name in schema.names(home.path):
        with contextlib.suppress(MetaevoError):  # one that is wrong is told of by `recipes list`
            found.add(schema.load(name, registry).modules)
    return found


def _last_step(ledger: Ledger, cycle: int) -> StepRow | None:
    with ledger.read() as session:
        query = select(StepRow).where(StepRow.cycle == cycle).order_by(col(StepRow.opened_at).desc())
        return session.exec(query).first()


def _age(step: StepRow | None) -> float | None:
    if step is None:
        return None
    at = step.closed_at or step.opened_at
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round((datetime.now(UTC) - at).total_seconds(), 1)


def _decision(row: CycleRow | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "cycle": row.number,
        "outcome": row.outcome,
        "candidate": row.candidate,
        "why": row.why,
        "at": row.closed_at.isoformat() if row.closed_at else None,
    }


def events(ledger: Ledger, most: int = 20) -> list[dict[str, Any]]:
    """Return the newest events, oldest first."""
    with ledger.read() as session:
        rows = session.exec(select(EventRow).order_by(col(EventRow.seq).desc()).limit(most)).all()
    return [{"code": r.code, "sentence": r.sentence, "at": r.at.isoformat(), "cycle": r.cycle} for r in reversed(rows)]
