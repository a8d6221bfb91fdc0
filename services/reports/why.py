"""Why a generation was promoted, held or rejected, as data; `services.text.explain` makes sentences of it."""

from collections import Counter
from dataclasses import replace

from metaevo.artifacts.bodies import BodyStore
from metaevo.diagnose import Diagnosis
from metaevo.errors import BadInput
from metaevo.evolution.bootstrap import UNSEALED
from metaevo.gate.evidence import Verdict
from metaevo.ledger import queries
from metaevo.ledger.confirmations import budget_count
from metaevo.ledger.epochs import newest_epoch
from metaevo.ledger.generation_queries import GenerationOrigin, origin
from metaevo.ledger.journal import read_body
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.queries import CycleFacts
from metaevo.ledger.spent import spent_in
from metaevo.ledger.steps import StepName
from metaevo.registry import generated_files
from metaevo.runtime.door import Passed
from metaevo.types import Experiences
from objectives.statistics import wilson
from services.home.home import Home
from services.records import Measured
from services.records.modules import WrittenModule
from services.records.why import (
    Claim,
    CycleCost,
    MethodUsed,
    RowsUsed,
    WeaknessFound,
    Why,
    WhyBase,
    WrongExample,
)
from services.reports.seen_items import seen_items
from services.reports.verdicts import (
    gain_found,
    kept_found,
    read_verdict,
    screen_found,
    shown_objective,
    shown_reason,
    told_found,
)
from services.text.explain import base_lines, lines_of


def why_generation(home: Home, which: str | None) -> Why | WhyBase:
    """Return why a generation was promoted, held or rejected; the newest decided one without a name.

    Raises:
        BadInput: There is no such generation, or nothing was decided yet.
    """
    ledger = home.ledger()
    try:
        row = origin(ledger, which or _latest(ledger))
        if row.parent is None:
            return _base(row)
        cycle = queries.cycle(ledger, row.cycle)
        if cycle is None or row.verdict is None:
            raise BadInput("", f"{row.id} was never examined: it is an intermediate of cycle {row.cycle}", "")
        found = _why(home, ledger, row, row.parent, cycle, read_verdict(row.id, row.verdict))
        return replace(found, lines=tuple(lines_of(found)))
    finally:
        ledger.close()


def _latest(ledger: Ledger) -> str:
    candidate = queries.newest_examined(ledger)
    if candidate is not None:
        return candidate
    ended = queries.newest_closed(ledger)
    if not ended:
        raise BadInput("", "nothing was decided yet", "start with `metaevo run`")
    said = f"cycle {ended[0].number} ended with none, {ended[0].why}"
    raise BadInput("", f"no generation was examined yet: {said}", "")


def _base(row: GenerationOrigin) -> WhyBase:
    return WhyBase(
        generation=row.id,
        status=row.status,
        weakness=None,
        objective=None,
        method=None,
        gain=None,
        kept=None,
        against=None,
        data=None,
        cost=None,
        undo=None,
        lines=tuple(base_lines(row.id)),
    )


def _why(home: Home, ledger: Ledger, row: GenerationOrigin, parent: str, cycle: CycleFacts, verdict: Verdict) -> Why:
    at = queries.last_verdict_at(ledger, row.id) or cycle.closed_at
    found = verdict.evidence
    return Why(
        generation=row.id,
        parent=parent,
        status=row.status,
        decision=verdict.decision,
        at=at.strftime("%d %b %Y at %H:%M") if at else None,
        weakness=_weakness(home, ledger, row),
        objective=shown_objective(row.objective),
        method=_method(ledger, row),
        written=_written(home, ledger, row),
        gain=gain_found(found.gain),
        told=told_found(found.told),
        seen_items=seen_items(home, ledger, row.cycle),
        claim=_claim(home, ledger),
        screen=screen_found(found.screen),
        kept=kept_found(found.kept),
        against=parent,
        protects_nothing=found.protects_nothing,
        secret_seed=found.secret_seed,
        reasons=tuple(shown_reason(reason) for reason in verdict.reasons),
        data=_rows(home, ledger, row, verdict),
        cost=_cost(ledger, cycle),
        undo=f'metaevo rollback --to {parent} --reason "…"' if row.status == "champion" else None,
        lines=(),
    )


def _cost(ledger: Ledger, cycle: CycleFacts) -> CycleCost:
    """Return what a cycle took, as metered at the engines."""
    seconds = round(cycle.wall_s, 1) if cycle.closed_at else None
    spent = spent_in(ledger, cycle.number)
    if spent.total != cycle.tokens:  # its rows were written before there were meters, or it is not closed yet
        return CycleCost(tokens=cycle.tokens, seconds=seconds)
    meters = {"prompt": spent.prompt, "generated": spent.generated, "trained": spent.trained}
    return CycleCost(tokens=cycle.tokens, seconds=seconds, **meters)


def _claim(home: Home, ledger: Ledger) -> Claim:
    """Return the bound on the share of false promotions, and how often the home's accounts began anew."""
    newest = newest_epoch(ledger)
    epochs = newest.number if newest is not None else 1
    return Claim(alpha=home.config().gate.alpha, budgets=budget_count(ledger), epochs=epochs)


def _weakness(home: Home, ledger: Ledger, row: GenerationOrigin) -> WeaknessFound | None:
    """Return the named weakness that costs most on the objective's cells, with the cells' scores before."""
    cells = set(row.objective.cells) if row.objective else set()
    found = _diagnosis(home, ledger, row.cycle)
    if found is None or not cells:
        return None
    looked = [cell for cell in found.cells if cell.cell in cells]
    n = sum(cell.n for cell in looked)
    before = wilson(sum(cell.mean * cell.n for cell in looked), n) if n else None
    places = {cell.environment for cell in cells}
    worst = next((weakness for weakness in found.weaknesses if weakness.environment in places), None)
    example = worst.examples[0] if worst else None
    return WeaknessFound(
        cells=tuple(sorted(map(str, cells))),
        before=Measured(mean=before.mean, low=before.low, high=before.high, n=before.n) if before else None,
        name=worst.name if worst else None,
        environment=worst.environment if worst else None,
        share=worst.share if worst else None,
        example=WrongExample(text=example.text, given=example.given, expected=example.expected) if example else None,
    )


def _diagnosis(home: Home, ledger: Ledger, cycle: int) -> Diagnosis | None:
    """Return what a cycle's diagnosis found, None where it has none."""
    step = queries.step_result(ledger, cycle, "diagnose")
    return read_body(step, BodyStore(home.store()), Diagnosis) if step is not None else None


def _method(ledger: Ledger, row: GenerationOrigin) -> MethodUsed | None:
    recipe = queries.recipe(ledger, row.recipe)
    if recipe is None:
        return None
    trials = queries.trials_of(ledger, row.cycle)
    others = [trial for trial in trials if trial.score is not None and trial.recipe != row.recipe]
    second = max(others, key=lambda trial: trial.score or 0.0, default=None)
    mine = next((trial for trial in trials if trial.generation == row.id), None)
    return MethodUsed(
        recipe=recipe.name,
        modules=recipe.modules,
        tried=len({trial.recipe for trial in trials}),
        dev_gain=mine.score if mine else None,
        second=second.name if second else None,
        second_gain=second.score if second else None,
    )


def _written(home: Home, ledger: Ledger, row: GenerationOrigin) -> tuple[WrittenModule, ...]:
    """Return what is kept of every generated module that took part: in the recipe, or as the objective's rule."""
    recipe = queries.recipe(ledger, row.recipe)
    rule = f"objective.{row.objective.rule if row.objective else None}"
    used = [*(recipe.modules if recipe else ()), rule]
    known = {made.label: made for made in generated_files.every_module(home.path)}
    made_of = [known[label] for label in dict.fromkeys(used) if label in known]
    return tuple(WrittenModule(module=made.label, **made.model_dump(exclude={"seal", "source"})) for made in made_of)


def _rows(home: Home, ledger: Ledger, row: GenerationOrigin, verdict: Verdict) -> RowsUsed | None:
    """Return what the last update was trained on, counted by where the rows came from, and what was kept out."""
    if row.data is None:
        return None
    rows: Experiences = BodyStore(home.store()).read(row.data, None)
    replayed = sum("replayed" in r.tags for r in rows)
    guard = (verdict.evidence.guards or {}).get("contamination")
    doors = _doors(home, ledger, row)
    leaked = int(guard.numbers.get("leaked", 0)) if guard is not None else 0
    return RowsUsed(
        rows=len(rows),
        replayed=replayed,
        fresh=len(rows) - replayed,
        sealed=(ledger.meta(UNSEALED) or "") < row.id,
        exam_items=leaked if guard is not None or doors else None,
        refused=dict(sum((Counter(door.refused.counts) for door in doors), Counter())),
    )


def _doors(home: Home, ledger: Ledger, row: GenerationOrigin) -> list[Passed]:
    """Return what every update of the generation's trial was allowed to learn."""
    numbers = [trial.number for trial in queries.trials_of(ledger, row.cycle) if trial.generation == row.id]
    found = [step for number in numbers for step in queries.trial_results(ledger, row.cycle, number, StepName.DOOR)]
    return [read_body(step, BodyStore(home.store()), Passed) for step in found]
