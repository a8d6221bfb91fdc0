"""What the next cycle would do and what it could prove, without writing anything into the home."""

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from sqlmodel import col, select

from metaevo.cycle import choose
from metaevo.diagnose import Diagnosis, Looked, diagnose
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.scores import scores_of
from metaevo.ledger.tables import CycleRow
from metaevo.outlook import history
from metaevo.search.proposals import study
from metaevo.search.skeletons import skeletons
from metaevo.terms import State, Tools
from objectives.types import Split
from services.app import App, MakeEngines, opened
from services.home import Home


def plan(home: Home, *, make: MakeEngines | None = None) -> dict[str, Any]:
    """Return the next objective, what would be tried, what it takes and the smallest gain it could prove."""
    with opened(home, make=make, engines=1) as app, tempfile.TemporaryDirectory() as aside:
        scratch = open_ledger(Path(aside) / "plan.db", create=True)
        evolution = app.evolution()
        epoch, number = _epoch(app), _next(app)
        champion = app.host.lineage.get("champion")
        journal = Journal(scratch, app.host.store, app.host.seed)
        found = _known(app, champion.id, epoch) or diagnose(app.host, journal, At(number), champion, app.settings.probe)
        seen = history(app.host, app.settings.goals, found, app.settings.gate, epoch=epoch, cycle=number)
        base = app.host.lineage.get(app.host.lineage.ancestors(champion.id)[-1])
        tools = Tools(app.host, journal, evolution.sampler, app.settings, "", {})
        try:
            objective = choose(tools, State(number, champion, base, base, epoch), seen)
        except LookupError as error:
            return {"cycle": number, "champion": champion.id, "objective": None, "why": str(error.args[0])}
        finally:
            scratch.close()
        states = {cell.cell: cell for cell in seen.cells}
        return {
            "cycle": number,
            "champion": champion.id,
            "objective": {
                "ability": objective.ability,
                "direction": objective.direction.value,
                "cells": [str(cell) for cell in objective.cells],
                "reason": objective.reason,
            },
            "weaknesses": [_weakness(w) for w in found.weaknesses[:5]],
            "smallest_provable_gain": min(states[cell].provable for cell in objective.cells),
            "parked": {str(cell.cell): cell.parked for cell in seen.cells if cell.parked},
            **_search(app, objective.ability, objective.direction.value, number),
            "forecast_s": _forecast(app),
        }


def _known(app: App, champion: str, epoch: int) -> Diagnosis | None:
    """Return what the ledger already knows of the champion, None where it was not measured in this epoch."""
    scores = scores_of(app.ledger, champion, Split.PROBE, epoch)
    if not scores:
        return None
    looked = tuple(Looked(cell, s.n, s.mean, s.latent, 0.0) for cell, s in sorted(scores.items()))
    return Diagnosis(champion, looked, (), 0)


def _search(app: App, ability: str, direction: str, number: int) -> dict[str, Any]:
    choices = skeletons(app.host.registry, forbidden=app.settings.goals.forbidden.methods)
    evidence = study(app.host.ledger, f"{ability}/{direction}", choices, app.host.registry, number)
    first = [s.preset for s in evidence.ranked_presets()[:2]]
    rules = replace(app.settings.search)
    return {
        "search": {
            "trials": rules.trials,
            "finals": rules.finals,
            "skeletons": len(choices),
            "tried_before": len(evidence.rows),
        },
        "first_recipes": first,
        "exam": {"screen": app.settings.gate.screen_items, "confirmation": app.settings.gate.max_items},
    }


def _weakness(weakness: Any) -> dict[str, Any]:
    levels = f"{weakness.levels[0]}-{weakness.levels[-1]}" if len(weakness.levels) > 1 else str(weakness.levels[0])
    return {"where": f"{weakness.environment} {levels}", "name": weakness.name, "share": weakness.share}


def _epoch(app: App) -> int:
    from metaevo.ledger.tables import EpochRow

    with app.ledger.read() as session:
        row = session.exec(select(EpochRow).order_by(col(EpochRow.number).desc())).first()
    return row.number if row is not None and row.evaluator == app.host.evaluator else (row.number + 1 if row else 1)


def _next(app: App) -> int:
    with app.ledger.read() as session:
        row = session.exec(select(CycleRow).order_by(col(CycleRow.number).desc()).limit(1)).first()
    if row is None:
        return 1
    return row.number if row.outcome == "open" else row.number + 1


def _forecast(app: App) -> float | None:
    """Return the mean seconds of the last three cycles, None before the first."""
    with app.ledger.read() as session:
        rows = session.exec(select(CycleRow).order_by(col(CycleRow.number).desc()).limit(3)).all()
    known = [(row.closed_at - row.opened_at).total_seconds() for row in rows if row.closed_at is not None]
    return round(fmean(known), 1) if known else None
