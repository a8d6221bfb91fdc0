"""The demo over seeds: ``python -m tests.evidence.demo [--seeds 1 2 3] [--folder F]``; parts are resumed.

Part ``seed S``: the demo as a user runs it, timed. Part ``vault S``: the sealed re-score of its final champion.
Parts ``zero S`` and ``rft S``, at the demo's tokens: an arm that learns nothing (learning rate 0, scored on other vault
items too: the noise floor) and RFT on all cells without search, gate or objectives. Part ``wide S``: three wide rounds,
each with the tokens that the engines' meters say.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from metaevo import diagnose, trial
from metaevo.evolution import trial_data
from metaevo.evolution.context import CycleStart
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.tables import CycleRow, GenerationRow, RecipeRow, ScoreRow
from metaevo.recipes import schema
from metaevo.types import Generation
from objectives.types import Cell, Direction, Objective
from services.actions.run import demo_text
from services.home.home import Home
from services.home.open import App, open_home
from services.reports.status import current_status
from services.text.explain import reason_words
from tests.evidence import record, sealed

CLAIM = "demo"
WIDE = 3
"""Rounds of the wide arm."""
ROUND = {"k": 4, "steps": 60}
"""One round of the plain arm: samples a task, training steps. As in the preset's middle."""


def demo(seed: int, folder: Path) -> dict[str, Any]:
    """Run the demo and return what was decided and when."""
    home = folder / f"demo{seed}"
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "demo", "--seed", str(seed), "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr[-500:])
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "champion": json.loads(done.stdout)["champion"],
        "autonomy": current_status(Home(home))["autonomy"],
    } | _what_happened(Home(home))


def _what_happened(home: Home) -> dict[str, Any]:
    with home.ledger().read() as session:
        cycles = list(session.exec(select(CycleRow).order_by(col(CycleRow.number))))
        bodies = {row.hash: row for row in session.exec(select(RecipeRow))}
        made = {row.id: row for row in session.exec(select(GenerationRow))}
        decided = [_decided(cycle, made, bodies) for cycle in cycles]
        first = next(c for c in cycles if c.outcome in ("promote", "hold", "reject"))
        took = (first.closed_at - cycles[0].opened_at).total_seconds() if first.closed_at else None
    presets = {schema.load(name, _registry()).modules for name in schema.names(None)}
    won = [tuple(one["modules"]) for one in decided if one["outcome"] == "promote"]
    return {
        "first decided generation after s": took,
        "cycles": decided,
        "promotions": len(won),
        "held or rejected": sum(one["outcome"] in ("hold", "reject") for one in decided),
        "objectives": len({tuple(one["cells"]) for one in decided if one["cells"]}),
        "promoted combinations that no preset has": sum(one not in presets for one in won),
        "tokens of trials": sum(cycle.tokens for cycle in cycles),
    }


def _registry() -> Any:
    from metaevo.registry.registry import Registry

    return Registry(None)


def _decided(cycle: CycleRow, made: dict[str, GenerationRow], bodies: dict[str, RecipeRow]) -> dict[str, Any]:
    row = made.get(cycle.candidate or "")
    recipe = bodies.get(row.recipe or "") if row else None
    return {
        "cycle": cycle.number,
        "outcome": cycle.outcome,
        "why": cycle.why,
        "candidate": cycle.candidate,
        "cells": list((cycle.objective or {}).get("cells", [])),
        "reason of the objective": (cycle.objective or {}).get("reason", ""),
        "modules": list(recipe.modules) if recipe else [],
        "reasons": [reason_words(reason) for reason in (cycle.verdict or {}).get("reasons", [])],
    }


def vault(seed: int, folder: Path) -> dict[str, Any]:
    """Return the sealed re-score of generation 0 and of the final champion."""
    with open_home(Home(folder / f"demo{seed}"), engines=1) as app:
        start, end = app.host.lineage.get("g000000"), app.host.lineage.get("champion")
        before, after = (sealed.rescore(app.host, one, seed) for one in (start, end))
        return {"champion": end.id} | sealed.table(before, after, open_cells(app.home), abilities(app))


def open_cells(home: Home) -> list[Cell]:
    """Return the cells whose first probe of generation 0 lies between .05 and .90."""
    with home.ledger().read() as session:
        rows = list(session.exec(select(ScoreRow).where(ScoreRow.generation == "g000000", ScoreRow.split == "probe")))
    low, high = sealed.OPEN
    return sorted(Cell(r.environment, r.level) for r in rows if low <= r.mean <= high)


def abilities(app: App) -> dict[str, str]:
    """Return every environment's ability."""
    return {name: environment.ability for name, environment in app.host.environments.items()}


def zero(seed: int, folder: Path) -> dict[str, Any]:
    """Return the arm that learns nothing: the same rounds with learning rate 0."""
    return _arm(seed, folder, "zero", 0.0)


def rft(seed: int, folder: Path) -> dict[str, Any]:
    """Return the arm without search, objectives or gate: RFT on all cells."""
    return _arm(seed, folder, "rft", None)


def _arm(seed: int, folder: Path, name: str, rate: float | None) -> dict[str, Any]:
    """Run an arm at the demo's tokens and score it on the same vault items."""
    budget = record.read(CLAIM)[f"seed {seed}"]["numbers"]["tokens of trials"]
    cells = open_cells(Home(folder / f"demo{seed}"))
    home = Home(folder / f"{name}{seed}")
    if not home.config_path.exists():
        home.create(demo_text(seed))
    with open_home(home, engines=1) as app:
        before = sealed.rescore(app.host, app.host.lineage.get("g000000"), seed)
        end, spent, rounds = plain_rft(app, seed, budget, rate)
        scored = sealed.rescore(app.host, end, seed)
        made = sealed.table(before, scored, cells, abilities(app)) | {"tokens spent": spent, "rounds": rounds}
        if rate == 0.0:
            made["points between two draws of vault items, the same model"] = _floor(app, end, before, cells, seed)
    return {key: value for key, value in made.items() if key != "cells"}


def _floor(app: App, end: Generation, before: sealed.Scores, cells: list[Cell], seed: int) -> float:
    other = sealed.rescore(app.host, end, seed + 1000)
    gaps = [sum(other[c]) / len(other[c]) - sum(before[c]) / len(before[c]) for c in cells]
    return round(100 * sum(gaps) / len(gaps), 2)


def wide(seed: int, folder: Path) -> dict[str, Any]:
    """Return what rounds of RFT on all open cells gain, each from the one before, and what each took by the meters.

    Beside them every round replays the model's own right answers elsewhere, which are charged to it too.
    """
    home = Home(folder / f"wide{seed}")
    if not home.config_path.exists():
        home.create(demo_text(seed))
    with open_home(home, engines=1) as app:
        evolution, host = app.evolution(), app.host
        epoch, parent = evolution.ensure_epoch(), host.lineage.get("g000000")
        base, before = parent, sealed.rescore(host, parent, seed)
        journal = Journal(app.ledger, host.store, seed, meter=lambda: host.together.meter)
        tools = evolution.tools(journal)
        found = diagnose.diagnose(host, journal, At(WIDE + 1), base, tools.settings.probe)
        cells = tuple(c.cell for c in found.cells if sealed.OPEN[0] <= c.mean <= sealed.OPEN[1])
        aim = Objective("all", Direction.PERFORMANCE, cells, "all that is open", "all")
        recipe, rounds = schema.load("rft", host.registry).filled(host.registry), []
        for number in range(1, WIDE + 1):
            ground = trial_data.prepare(tools, CycleStart(number, parent, base, base, epoch), aim, found)
            made = trial.run(host, journal, host.engine, recipe, replace(ground, dev=()), cycle=number, number=1)
            if made.generation is None:
                raise SystemExit(f"round {number}: {made.failure}")
            parent, spent = made.generation, journal.spent(number)
            scored = sealed.table(before, sealed.rescore(host, parent, seed), list(cells), abilities(app))
            gained = {key: value for key, value in scored.items() if key != "cells"}
            rounds.append(gained | {"tokens": asdict(spent), "all tokens": spent.total})
        evolution.sampler.close()
        return {"open cells": len(cells), "rounds": rounds, "diagnosis": asdict(journal.spent(WIDE + 1))}


def plain_rft(app: App, seed: int, budget: int, rate: float | None) -> tuple[Generation, int, int]:
    """Return the generation after RFT rounds on all cells, every one adopted, until the tokens are spent."""
    evolution = app.evolution()
    epoch = evolution.ensure_epoch()
    host, spent, rounds = app.host, 0, 0
    parent = base = host.lineage.get("g000000")
    cells = tuple(c for environment in host.environments.values() for c in environment.cells)
    aim = Objective("all", Direction.PERFORMANCE, cells, "every cell, always", "all")
    journal = Journal(app.ledger, host.store, seed, meter=lambda: host.together.meter)
    tools = evolution.tools(journal)
    data = schema.load("rft", host.registry).model_dump(mode="json")
    data["stage"][0]["solutions"]["knobs"]["k"] = ROUND["k"]
    data["stage"][0]["update"]["knobs"]["steps"] = ROUND["steps"]
    if rate is not None:
        data["stage"][0]["update"]["knobs"]["lr"] = rate
    recipe = schema.from_data(data, host.registry, "the plain arm")
    while spent < budget:
        rounds += 1
        ground = trial_data.prepare(tools, CycleStart(rounds, parent, base, base, epoch), aim, _nothing(parent))
        made = trial.run(host, journal, host.engine, recipe, replace(ground, dev=()), cycle=rounds, number=1)
        if made.generation is None:
            raise SystemExit(f"round {rounds}: {made.failure}")
        parent, spent = made.generation, spent + made.tokens
    evolution.sampler.close()
    return parent, spent, rounds


def _nothing(parent: Generation) -> diagnose.Diagnosis:
    """Return a diagnosis without cells: nothing is rehearsed beside the rounds' own tasks."""
    return diagnose.Diagnosis(parent.id, (), (), 0)


PARTS: dict[str, Callable[[int, Path], dict[str, Any]]] = {
    "seed": demo,
    "vault": vault,
    "zero": zero,
    "rft": rft,
    "wide": wide,
}


def main() -> None:
    """Run the parts that are missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--folder", type=Path, default=Path("/tmp/metaevo-evidence"))
    given = parser.parse_args()
    for seed in given.seeds:
        for name in given.parts:
            part = f"{name} {seed}"
            if part in record.read(CLAIM):
                continue
            began = time.monotonic()
            numbers = PARTS[name](seed, given.folder)
            command = f"python -m tests.evidence.demo --seeds {seed} --parts {name}"
            record.write(CLAIM, part, command, [seed], numbers, time.monotonic() - began)
            print(part, "done", round(time.monotonic() - began), "s")


if __name__ == "__main__":
    main()
