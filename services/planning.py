"""What the next cycle would do and what it could prove, without writing anything into the home."""

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from metaevo.evolve import Preview
from metaevo.ledger.journal import Journal
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.queries import newest_cycles
from metaevo.search.proposals import study
from metaevo.search.skeletons import skeletons
from services.app import App, MakeEngines, opened
from services.home import Home


def plan(home: Home, *, make: MakeEngines | None = None) -> dict[str, Any]:
    """Return the next objective, what would be tried, what it takes and the smallest gain it could prove."""
    with opened(home, make=make, engines=1) as app:
        seen = _previewed(app)
        number, champion, objective = seen.state.number, seen.state.champion.id, seen.objective
        if objective is None:
            return {"cycle": number, "champion": champion, "objective": None, "why": seen.why}
        states = {cell.cell: cell for cell in seen.history.cells}
        return {
            "cycle": number,
            "champion": champion,
            "objective": {
                "ability": objective.ability,
                "direction": objective.direction.value,
                "cells": [str(cell) for cell in objective.cells],
                "reason": objective.reason,
            },
            "weaknesses": [_weakness(w) for w in seen.diagnosis.weaknesses[:5]],
            "smallest_provable_gain": min(states[cell].provable for cell in objective.cells),
            "parked": {str(cell.cell): cell.parked for cell in seen.history.cells if cell.parked},
            **_search(app, objective.ability, objective.direction.value, number),
            "forecast_s": _forecast(app),
        }


def _previewed(app: App) -> Preview:
    """Return the next cycle's preview; what has to be measured for it goes into a ledger that is thrown away."""
    evolution = app.evolution()
    with tempfile.TemporaryDirectory() as aside:
        scratch = open_ledger(Path(aside) / "plan.db", create=True)
        try:
            return evolution.preview(Journal(scratch, app.host.store, app.host.seed))
        finally:
            scratch.close()


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


def _forecast(app: App) -> float | None:
    """Return the mean seconds of the last three cycles, None before the first."""
    known = [cycle.wall_s for cycle in newest_cycles(app.ledger, 3) if cycle.closed_at is not None]
    return round(fmean(known), 1) if known else None
