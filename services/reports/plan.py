"""What the next cycle would do and what it could prove, without writing anything into the home."""

import tempfile
from pathlib import Path
from statistics import fmean

from metaevo.evolution.loop import Preview
from metaevo.ledger.journal import Journal
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.queries import newest_cycles
from metaevo.search.skeletons import skeletons
from metaevo.search.study import study
from objectives.diagnosis import Weakness
from services.attention import failed_gradings
from services.home.home import Home
from services.home.open import App, MakeEngines, open_home
from services.records.plan import NamedWeakness, NothingPlanned, Plan, PlannedExam, PlannedObjective, PlannedSearch


def plan(home: Home, *, make: MakeEngines | None = None) -> Plan | NothingPlanned:
    """Return the next objective, what would be tried, what it takes and the smallest gain it could prove."""
    with open_home(home, make=make, engines=1) as app:
        seen = _previewed(app)
        number, champion, objective = seen.state.number, seen.state.champion.id, seen.objective
        if objective is None:
            return NothingPlanned(cycle=number, champion=champion, objective=None, why=seen.why)
        states = {cell.cell: cell for cell in seen.history.cells}
        choices = skeletons(app.host.registry, forbidden=app.settings.goals.forbidden.methods)
        about = f"{objective.ability}/{objective.direction.value}"
        evidence = study(app.host.ledger, about, choices, app.host.registry, number)
        rules, gate = app.settings.search, app.settings.gate
        return Plan(
            cycle=number,
            champion=champion,
            objective=PlannedObjective(
                ability=objective.ability,
                direction=objective.direction.value,
                cells=tuple(map(str, objective.cells)),
                reason=objective.reason,
            ),
            weaknesses=tuple(_weakness(found) for found in seen.diagnosis.weaknesses[:5]),
            smallest_provable_gain=min(states[cell].provable for cell in objective.cells),
            parked={str(cell.cell): cell.parked for cell in seen.history.cells if cell.parked},
            search=PlannedSearch(
                trials=rules.trials, finals=rules.finals, skeletons=len(choices), tried_before=len(evidence.rows)
            ),
            first_recipes=tuple(skeleton.preset or "" for skeleton in evidence.ranked_presets()[:2]),
            exam=PlannedExam(screen=gate.screen_items, confirmation=gate.max_items),
            forecast_s=_forecast(app),
            ungraded=tuple(cause.sentence for cause in failed_gradings(app.ledger)),
        )


def _previewed(app: App) -> Preview:
    """Return the next cycle's preview; what has to be measured for it goes into a ledger that is thrown away."""
    evolution = app.evolution()
    with tempfile.TemporaryDirectory() as aside:
        scratch = open_ledger(Path(aside) / "plan.db", create=True)
        try:
            return evolution.preview(Journal(scratch, app.host.store, app.host.seed))
        finally:
            scratch.close()


def _weakness(found: Weakness) -> NamedWeakness:
    levels = f"{found.levels[0]}-{found.levels[-1]}" if len(found.levels) > 1 else str(found.levels[0])
    return NamedWeakness(where=f"{found.environment} {levels}", name=found.name, share=found.share)


def _forecast(app: App) -> float | None:
    """Return the mean seconds of the last three cycles, None before the first."""
    known = [cycle.wall_s for cycle in newest_cycles(app.ledger, 3) if cycle.closed_at is not None]
    return round(fmean(known), 1) if known else None
