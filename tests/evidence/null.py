"""Null cycles: ``python -m tests.evidence.null [--kind KIND] [--cycles N] [--seed S] [--home H]``; resumed.

Every cycle diagnoses, chooses its objective, trains one candidate that has nothing to learn, and sends it to the real
gate: ``lr0`` trains at learning rate 0, ``shuffled`` with the environment's verdicts permuted among a cell's attempts,
so that what is "right" was drawn by lot. What would stop such a candidate before its confirmation (the search's own
choice, the screen's bar) is set to let everything pass: a candidate that is never examined proves nothing about the
gate. Without ``--kind`` both are run.

Permuting verdicts keeps the model's own distribution: in expectation nothing is learnt. Permuting right answers among
tasks, as this did before, unteaches a planted habit ("drops the carry"). Where a habit is nearly even with the truth
(grid_navigation 4-5) even random answers of its own can tip the greedy one: a gain, and no null. ``shuffled`` leaves
out the environments that carry a planted habit; ``habits`` is the same on all of them. There every promotion is
re-scored on vault items: what must not be is one without a gain.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from metaevo import trial
from metaevo.diagnose import diagnose, probe_items, record_scores
from metaevo.evolution.context import CycleContext, CycleStart
from metaevo.evolution.cycle import choose
from metaevo.evolution.cycle import run as ordinary
from metaevo.evolution.loop import Evolution
from metaevo.evolution.objective_history import history
from metaevo.evolution.outcome import Cycle
from metaevo.evolution.trial_data import prepare
from metaevo.gate.case import Case
from metaevo.gate.decision import decide
from metaevo.gate.exam import Void
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.tables import ConfirmationRow, CycleRow
from metaevo.runtime.answering import measure
from metaevo.tiny.corpus import PLAN
from metaevo.types import CycleEnd, Generation
from objectives.statistics import difference
from objectives.types import Cell, Split
from services.home.home import Home
from services.home.open import App, MakeEngines, open_home
from tests.evidence import record
from tests.recipes import rft

CLAIM = "null"
HABITS = frozenset(name for name, plan in PLAN.items() if plan.mistake)
"""Environments in which the built-in model was taught a systematic mistake."""
VAULT = 256
"""Vault items of every cell on which a promotion is re-scored."""
CONFIG = """seed = {seed}
[model]
base = "builtin:tiny"
[environments]
addition = {{ levels = [4, 5] }}
letter_count = {{ levels = [4, 5, 6, 7] }}
reversal = {{ levels = [5, 6, 7] }}
sorting = {{ levels = [5, 6, 7] }}
letter_shift = {{ levels = [4, 5, 6, 7] }}
extremes = {{ levels = [4, 5, 6, 7] }}
format_orders = {{ levels = [3, 4, 5, 6] }}
grid_navigation = {{ levels = [4, 5, 6, 7] }}
block_unstacking = {{ levels = [5, 6, 7, 8] }}
[protect]
"*" = {{ margin = 0.1 }}
[gate]
secret_seed = {seed}
max_items = 384
screen_items = 16
[diagnosis]
items = 8
samples = 2
[fixed]
recipe = "{kind}"
"""


def recipe(kind: str, feedback: str, update: str) -> str:
    return rft(kind, tasks="n = 64", feedback=(feedback,), stability=("low_rank_adaptation",), update=update)


RECIPES = {
    "lr0": recipe("lr0", "answer_check", "steps = 4\nlr = 0.0"),
    "shuffled": recipe("shuffled", "shuffled_verdicts", "steps = 20\nlr = 0.001"),
    "habits": recipe("habits", "shuffled_verdicts", "steps = 20\nlr = 0.001"),
}
CLAIMED = ("lr0", "shuffled")
MODULE = '''"""Give every attempt the verdict of another attempt of its cell: nothing is left to learn (a null)."""

from collections import defaultdict

from metaevo import Attempts, Experience, Experiences, Random, Reward


def shuffled_verdicts(attempts_R: Attempts, *, reward: Reward, rng: Random) -> Experiences:
    """Return one experience per attempt, verdicts permuted within each cell."""
    verdicts = list(reward(attempts_R))
    cells = defaultdict(list)
    for place, attempt in enumerate(attempts_R):
        cells[attempt.task.cell].append(place)
    for _, places in sorted(cells.items(), key=lambda item: str(item[0])):
        shuffled = [verdicts[place] for place in places]
        rng.shuffle(shuffled)
        for place, verdict in zip(places, shuffled, strict=True):
            verdicts[place] = verdict
    return tuple(Experience(a, (v,), v.score) for a, v in zip(attempts_R, verdicts, strict=True))
'''


def begin(home: Home, kind: str, seed: int) -> None:
    """Make the home of a kind, if it is not there."""
    if not home.config_path.is_file():
        text = CONFIG.format(seed=seed, kind=kind)
        if kind == "shuffled":
            text = "".join(line for line in text.splitlines(keepends=True) if line.partition(" ")[0] not in HABITS)
        home.create(text)
    (home.path / "recipes" / f"{kind}.toml").write_text(RECIPES[kind])
    if kind != "lr0":
        (home.path / "modules" / "feedback").mkdir(exist_ok=True)
        (home.path / "modules" / "feedback" / "shuffled_verdicts.py").write_text(MODULE)


def run(
    home: Home,
    kind: str,
    cycles: int,
    seed: int,
    make: MakeEngines | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run null cycles until the home has so many closed ones; return what the gate decided about them."""
    begin(home, kind, seed)
    with open_home(home, make=make, engines=1) as app:
        evolution = app.evolution()
        while (done := closed(app)) < cycles:
            began = time.monotonic()
            made = null_cycle(app, evolution)
            told(f"{kind} {done + 1}: {made.outcome} {made.why} ({time.monotonic() - began:.0f} s)")
        evolution.sampler.close()
        return summary(app)


def closed(app: App) -> int:
    """Return how many cycles are decided or ended."""
    with app.ledger.read() as session:
        return len(session.exec(select(CycleRow.number).where(CycleRow.outcome != "open")).all())


def null_cycle(app: App, evolution: Evolution) -> Cycle:
    """Run one cycle whose candidate is examined whatever it is worth, and fold it into the ledger."""
    evolution.ensure_epoch()
    row = evolution._open_row()  # a cycle that was killed goes on
    state = evolution.state(row)
    settings = replace(app.settings, gate=replace(app.settings.gate, screen_bar=-1.0))
    journal = Journal(app.ledger, app.host.store, row.seed, meter=lambda: app.host.together.meter)
    tools = replace(evolution.tools(journal), settings=settings)
    made = ordinary(tools, state) if state.hold is not None else _null(tools, state)
    evolution.advance(state, replace(made, spent=journal.spent(row.number)))
    return made


def _null(tools: CycleContext, state: CycleStart) -> Cycle:
    host, settings, number = tools.host, tools.settings, state.number
    found = diagnose(host, tools.journal, At(number), state.champion, settings.probe)
    record_scores(host, found, state.epoch, number)
    seen = history(host, settings.goals, found, settings.gate, epoch=state.epoch, cycle=number)
    try:
        objective = choose(tools, state, seen)
    except LookupError as error:
        return Cycle.nothing(number, CycleEnd.CONVERGED, str(error.args[0]))
    ground = prepare(tools, state, objective, found)
    recipe = settings.fixed_recipe
    assert recipe is not None
    made = trial.run(host, tools.journal, host.engine, recipe, ground, cycle=number, number=1)
    if made.generation is None:
        return Cycle.nothing(number, CycleEnd.LIMIT_OF_RECIPE, made.failure, objective=objective, trials=(made,))
    try:
        verdict = decide(tools.exam(number), _case(tools, state, made.generation, objective.cells))
    except Void as error:
        void = Cycle.void(number, CycleEnd.NOT_GRADED, str(error))
        return replace(void, objective=objective, trials=(made,), candidate=made.generation)
    return Cycle.decided(number, made.generation, verdict, objective=objective, trials=(made,))


def _case(tools: CycleContext, state: CycleStart, candidate: Generation, cells: tuple[Cell, ...]) -> Case:
    return Case(
        candidate=candidate,
        parent=state.champion,
        reference=state.reference,
        cells=cells,
        rules=tools.settings.goals.rules(tools.host.environments),
        dev_gain=0.0,
        epoch=state.epoch,
        manifest=tools.host.lineage.row(candidate.id).manifest or "",
    )


def summary(app: App) -> dict[str, Any]:
    """Return what was decided, cycle by cycle, and how many candidates reached their confirmation."""
    with app.ledger.read() as session:
        rows = session.exec(select(CycleRow).where(CycleRow.outcome != "open").order_by(col(CycleRow.number))).all()
        confirmed = {row.candidate: row for row in session.exec(select(ConfirmationRow))}
    told = [
        {
            "cycle": row.number,
            "outcome": row.outcome,
            "why": row.why,
            "candidate": row.candidate,
            "cells": list((row.objective or {}).get("cells", [])),
            "level": confirmed[row.candidate].level if row.candidate in confirmed else None,
            **_gain(row),
            **(_sealed(app, row) if row.outcome == "promote" else {}),
        }
        for row in rows
    ]
    outcomes = Counter(row.outcome for row in rows)
    return {
        "cycles": len(rows),
        "promotions": outcomes["promote"],
        "promotions without a gain on vault items": sum(not one.get("vault gain is real", True) for one in told),
        "outcomes": dict(outcomes),
        "candidates": sum(row.candidate is not None for row in rows),
        "candidates that reached a confirmation": len(confirmed),
        "candidates that answered differently": sum(bool(one.get("changed")) for one in told),
        "decided": told,
    }


def _gain(row: CycleRow) -> dict[str, Any]:
    gain = ((row.verdict or {}).get("exam") or {}).get("gain") or {}
    kept = {key: gain[key] for key in ("mean", "n", "e_value", "p") if key in gain}
    return {"gain": kept, "changed": gain.get("squares")} if gain else {}


def _sealed(app: App, row: CycleRow) -> dict[str, Any]:
    """Return what a promoted candidate gained on vault items of its objective, paired with its parent's answers."""
    host, candidate = app.host, app.host.lineage.get(row.candidate or "")
    cells = [Cell.parse(cell) for cell in (row.objective or {})["cells"]]
    differences: dict[Cell, list[float]] = {}
    for cell, tasks in probe_items(host, row.number, VAULT, cells, Split.VAULT).items():
        new, old = (
            measure(host, host.engine, one, tasks, Split.VAULT) for one in (candidate, host.lineage.get(row.parent))
        )
        pairs = zip(new.outcomes, old.outcomes, strict=True)
        differences[cell] = [a.score - b.score for a, b in pairs if a.score is not None and b.score is not None]
    found = difference(differences, 0.95)
    told = {"mean": found.mean, "low": found.low, "n": sum(map(len, differences.values()))}
    return {"vault gain": told, "vault gain is real": found.low > 0}


def main() -> None:
    """Run one kind, or the claimed ones; without a named home they are recorded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=list(RECIPES))
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/metaevo-evidence"))
    given = parser.parse_args()
    for kind in [given.kind] if given.kind else CLAIMED:
        home = Home((given.home or given.folder / f"null-{kind}-{given.seed}").resolve())
        part = f"{kind} {given.seed}"
        began = time.monotonic()
        numbers = run(home, kind, given.cycles, given.seed, told=lambda line: print(line, flush=True))
        print(json.dumps(numbers, indent=1))
        if given.home is None:
            command = f"python -m tests.evidence.null --kind {kind} --cycles {given.cycles} --seed {given.seed}"
            record.write(CLAIM, part, command, [given.seed], numbers, time.monotonic() - began)


if __name__ == "__main__":
    main()
