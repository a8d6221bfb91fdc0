"""Does a kernel that the grammar wrote beat ours? ``python -m tests.evidence.kernels [--seeds 1 2 3] [--folder F]``.

Part ``found S``: a run of the demo's size, one environment left out, in which cycles propose kernels, admit and try
them in pairs; the best by its lower bound is chosen there and nowhere else. Part ``held S``: on the environment left
out, generation 0 is trained by RFT with that kernel, by RFT alone, and by RFT with every human-written module that may
stand in the same place, all with the same knobs, several times; vault items tell. The human side is the best of its
arms in hindsight, which favours it.
"""

import argparse
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from metaevo import trial
from metaevo.diagnose import Diagnosis
from metaevo.evolution import trial_data
from metaevo.evolution.context import CycleStart
from metaevo.ledger.journal import Journal
from metaevo.recipes import schema
from metaevo.registry import generated_files
from metaevo.search.composition import broken_rule
from metaevo.search.kernel_pairs import add_step
from metaevo.search.skeletons import Skeleton, identify
from metaevo.synthesis.archive import Elite
from metaevo.synthesis.record import archive_of, worths
from metaevo.synthesis.step import KINDS, slot_of
from objectives.types import Cell, Direction, Objective
from services.actions.run import demo_text, run_cycles
from services.home.home import Home
from services.home.open import App, open_home
from tests.evidence import record, sealed

CLAIM = "kernels"
HELD = {1: "extremes", 2: "grid_navigation", 3: "sorting"}
"""The environment that a seed's run does not see."""
STEPS = 8
"""Of every arm's training. With RFT's own 60 every arm gets nearly all of these environments right."""
KERNELS = 3
"""Kernels that a cycle of the run may admit."""
REPEATS = 12
"""Trainings of every arm, each from other train tasks."""
STUDENT = 2.201
"""Student's t of 11 degrees of freedom at 97.5 %: of a mean over the repeats."""
EVER = 10**9
"""Before this cycle: all of them."""
ALONE = "rft alone"


def found(seed: int, folder: Path) -> dict[str, Any]:
    """Run cycles that write kernels and return what was measured of them."""
    home = Home(folder / f"kernels{seed}")
    if not home.config_path.is_file():
        text = re.sub(rf"(?m)^{HELD[seed]} = .*\n", "", demo_text(seed))
        home.create(f"{text}\n[search]\nkernels = {KERNELS}\n")
    done = run_cycles(home, None)
    with open_home(home, engines=1) as app:
        best = _best(app)
        known = worths(app.ledger, EVER)
        every = {made.label: made for made in generated_files.every_module(home.path)}
        return {
            "held out": HELD[seed],
            "cycles": [one.outcome for one in done.decided],
            "admitted": len(every),
            "tried": {name: [worth.gain, worth.error] for name, worth in known.items()},
            "best": None if best is None else _label(best),
            "gain on dev items of the run, points": None if best is None else round(100 * best.quality, 2),
            "standard error": None if best is None else round(100 * best.noise, 2),
            "source": None if best is None else best.candidate.source,
        }


def held(seed: int, folder: Path) -> dict[str, Any]:
    """Train with and without the chosen kernel on the environment it was not made for, and compare."""
    label = record.read(CLAIM)[f"found {seed}"]["numbers"]["best"]
    if label is None:
        raise SystemExit(f"seed {seed}: no kernel was measured; there is nothing to compare")
    slot, _, name = label.partition(".")
    home = Home(folder / f"held{seed}")
    shutil.rmtree(home.path, ignore_errors=True)
    said = f'seed = {seed}\n[model]\nbase = "builtin:tiny"\n[gate]\nsecret_seed = {seed}\n'
    home.create(f"{said}[environments]\n{HELD[seed]} = {{}}\n")
    made = generated_files.peek(generated_files.path_of(folder / f"kernels{seed}", slot, name))
    generated_files.save(home.path, made)
    with open_home(home, engines=1) as app:
        cells = _open(app, seed)
        arms = _arms(app, label)
        scores, tokens = _trained(app, seed, arms, cells)
        best = max((arm for arm in arms if arm != label), key=lambda arm: _mean(scores[arm]))
        return {
            "kernel": label,
            "cells": [str(cell) for cell in cells],
            "best human": best,
            "after, points": {arm: round(100 * _mean(scores[arm]), 2) for arm in arms},
            "tokens": tokens,
            "items": sealed.gain(scores[best], scores[label], cells)["items"],
            "kernel against best human, points": over_trainings(
                [
                    sealed.gain(_one(scores[best], turn), _one(scores[label], turn), cells)["gain"]
                    for turn in range(REPEATS)
                ]
            ),
        }


def over_trainings(gains: list[float]) -> dict[str, Any]:
    """Return the mean of as many gains as there are repeats, with its 95 % interval.

    Trainings differ by more than items do: an interval over items alone would call chance a gain.
    """
    mean, half = fmean(gains), STUDENT * stdev(gains) / len(gains) ** 0.5
    return {"gain": round(mean, 2), "low": round(mean - half, 2), "high": round(mean + half, 2), "each": gains}


def _best(app: App) -> Elite | None:
    """Return the kernel with the highest lower bound, of any kind."""
    archive = archive_of(app.ledger, app.host.store, app.host.registry, EVER)
    every = [elite for kind in KINDS for elite in archive.best(kind)]
    return min(every, key=lambda elite: elite.rank, default=None)


def _label(elite: Elite) -> str:
    made = elite.candidate
    return f"{slot_of(made)}.syn_{made.kind}_{made.id[:8]}"


def _open(app: App, seed: int) -> list[Cell]:
    """Return the cells whose vault items generation 0 gets right with a share between .05 and .90."""
    before = sealed.rescore(app.host, app.host.lineage.get("g000000"), seed)
    low, high = sealed.OPEN
    return [cell for cell, values in sorted(before.items()) if values and low <= sum(values) / len(values) <= high]


def _arms(app: App, label: str) -> dict[str, schema.Recipe]:
    """Return RFT alone, with the kernel, and with each human-written module that may stand where the kernel does."""
    registry = app.host.registry
    data = schema.load("rft", registry).model_dump(mode="json")
    data["stage"][0]["update"]["knobs"]["steps"] = STEPS
    plain = schema.from_data(data, registry, "the plain arm")
    skeleton, slot = Skeleton(identify(plain), plain, "rft"), label.partition(".")[0]
    names = [f"{slot}.{name}" for name in registry.names(slot) if registry.where(slot, name) != "generated"]
    made = {module: add_step(skeleton, module, registry) for module in (*names, label)}
    return {ALONE: plain} | {
        module: one.recipe.filled(registry)
        for module, one in made.items()
        if one and not broken_rule(one.recipe, registry)
    }


def _trained(
    app: App, seed: int, arms: dict[str, schema.Recipe], cells: list[Cell]
) -> tuple[dict[str, dict[Cell, list[float]]], dict[str, int]]:
    """Return every arm's scores on the cells' vault items, training after training, and the tokens it took."""
    evolution = app.evolution()
    epoch, host = evolution.ensure_epoch(), app.host
    base = host.lineage.get("g000000")
    tools = evolution.tools(Journal(app.ledger, host.store, seed))
    aim = Objective("all", Direction.PERFORMANCE, tuple(cells), "the open cells", "all")
    scores: dict[str, dict[Cell, list[float]]] = {arm: {cell: [] for cell in cells} for arm in arms}
    tokens = dict.fromkeys(arms, 0)
    for turn in range(1, REPEATS + 1):
        ground = trial_data.prepare(
            tools, CycleStart(turn, base, base, base, epoch), aim, Diagnosis(base.id, (), (), 0)
        )
        for number, (arm, recipe) in enumerate(arms.items(), 1):
            made = trial.run(
                host, tools.journal, host.engine, recipe, replace(ground, dev=()), cycle=turn, number=number
            )
            if made.generation is None:
                raise SystemExit(f"{arm}: {made.failure}")
            tokens[arm] += made.tokens
            after = sealed.rescore(host, made.generation, seed)
            for cell in cells:
                scores[arm][cell] += after[cell]
            print(f"held {seed}: {turn} of {REPEATS}, {arm}: {_mean({c: after[c] for c in cells}):.3f}", flush=True)
    evolution.sampler.close()
    return scores, tokens


def _one(scores: dict[Cell, list[float]], turn: int) -> dict[Cell, list[float]]:
    """Return the part of the scores that one training gave."""
    size = {cell: len(values) // REPEATS for cell, values in scores.items()}
    return {cell: values[turn * size[cell] : (turn + 1) * size[cell]] for cell, values in scores.items()}


def _mean(scores: dict[Cell, list[float]]) -> float:
    return sum(sum(values) / len(values) for values in scores.values()) / len(scores)


PARTS: dict[str, Callable[[int, Path], dict[str, Any]]] = {"found": found, "held": held}


def main() -> None:
    """Run the parts that are missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/metaevo-evidence"))
    given = parser.parse_args()
    for seed in given.seeds:
        for name, part in PARTS.items():
            if (key := f"{name} {seed}") in record.read(CLAIM):
                continue
            began = time.monotonic()
            numbers = part(seed, given.folder)
            command = f"python -m tests.evidence.kernels --seeds {seed}"
            record.write(CLAIM, key, command, [seed], numbers, time.monotonic() - began)
            print(key, "done", round(time.monotonic() - began), "s", flush=True)


if __name__ == "__main__":
    main()
