"""Small homes: two environments, the scripted engine, cycles of seconds: what a journey needs without a model."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlmodel import select

from metaevo.evolution.loop import Budget
from metaevo.evolution.outcome import Cycle
from metaevo.ledger.tables import RecipeRow, StepRow
from metaevo.testing import ScriptedEngine
from services.home.home import Home
from services.home.open import App, open_home

CONFIG = """seed = 11                                # a comment that must survive edits
[model]
base = "builtin:tiny"
[environments.sorting]
levels = [4, 5]
[environments.extremes]
levels = [4, 5]
[protect]
"*" = { margin = 0.05 }
[gate]
secret_seed = 11
max_items = 320
screen_items = 64
[search]
trials = 2
finals = 1
[diagnosis]
items = 16
samples = 2
"""
SKILLS = {"sorting/4": 0.35, "sorting/5": 0.3, "extremes/4": 0.6, "extremes/5": 0.6}
"""What the scripted base model can do."""


def create(path: Path, config: str = CONFIG) -> Home:
    """Make a home with this configuration."""
    home = Home(path)
    home.create(configured(config))
    return home


def configured(config: str) -> str:
    """Return a configuration whose ledger is in PostgreSQL where METAEVO_TEST_LEDGER holds its address."""
    return config + ('[ledger]\nurl = { env = "METAEVO_TEST_LEDGER" }\n' if "METAEVO_TEST_LEDGER" in os.environ else "")


def engines(skills: Mapping[str, float] = SKILLS, **options: Any) -> Callable[..., Sequence[ScriptedEngine]]:
    """Return what makes the scripted engine of a home."""
    names = tuple(sorted({cell.partition("/")[0] for cell in skills}))

    def make(home: Home, config: object, width: int) -> list[ScriptedEngine]:
        return [ScriptedEngine(home.store(), skills, environments=names, **options)]

    return make


def evolve(
    home: Home,
    cycles: int = 1,
    *,
    make: Callable[..., Sequence[Any]] | None = None,
    watched: Callable[[App, Any], None] = lambda _app, _evolution: None,
) -> list[Cycle]:
    """Run cycles as `metaevo run` does, with the scripted engine. ``watched`` may hook into the evolution."""
    with open_home(home, make=make or engines(), engines=1) as app:
        evolution = app.evolution()
        watched(app, evolution)
        try:
            return evolution.run(Budget(cycles=cycles))
        finally:
            evolution.sampler.close()


FORGETFUL = (
    CONFIG.replace("trials = 2", "trials = 4")
    + """[environments.addition]
levels = [2, 3]
[forbid]
methods = ["rft", "grpo", "lmsi", "spin", "self", "self_refine", "self_rewarding", "past_replay",
  "low_rank_adaptation", "adaptive_model_averaging"]
"""
)
"""A world in which practice without replay costs the other abilities, and the presets that are left replay nothing."""
MORE = SKILLS | {"addition/2": 0.95, "addition/3": 0.95}


def forgetful(path: Path, more: str = "", cycles: int = 2) -> Home:
    """Run cycles of the scripted engine in that world."""
    home = create(path, FORGETFUL + more)
    evolve(home, cycles, make=engines(MORE, rate=0.8, forgets=0.15))
    return home


FEW = """[forbid]
methods = ["outcome_carryover", "self_instruct", "meta_skill_rows", "only_answers", "past_replay", "preference_pairs",
  "rationalization", "revision", "self_consistency_filter", "diversity_filter", "low_rank_adaptation",
  "adaptive_model_averaging", "self_judge_score", "self_critique", "rft", "grpo", "lmsi", "rest_em", "self",
  "self_refine", "self_rewarding", "spin", "star"]
"""
PLAIN = """name = "plain"
[[stage]]
tasks = [{ use = "pool_sampling", knobs = { n = 32 } }]
solutions = { use = "direct_sampling" }
feedback = [{ use = "answer_check" }]
refinement = [{ use = "metric_filter" }, { use = "experience_replay" }]
update = { use = "supervised_finetune" }
"""
"""One recipe of the operator's own; with everything else forbidden a search has a handful of combinations."""


def narrow(path: Path) -> Home:
    """Make a home whose search comes to every combination within a few trials."""
    home = create(path, CONFIG.replace("trials = 2", "trials = 6") + FEW)
    (home.path / "recipes" / "plain.toml").write_text(PLAIN)
    return home


def until_tried(home: Home, module: str) -> set[str]:
    """Run cycles until a search has tried a module, at most eight; return all modules that were run."""
    for _ in range(8):
        evolve(home, make=engines(rate=0.02))
        if module in tried(home):
            break
    return tried(home)


def tried(home: Home) -> set[str]:
    """Return the modules of every step that was run in this home."""
    return {row.module for row in rows(home, StepRow) if row.digest}


def recipes(home: Home) -> set[str]:
    """Return the names of all recipes that were tried in this home."""
    return {row.name for row in rows(home, RecipeRow)}


def rows(home: Home, kind: Any) -> list[Any]:
    """Return all rows of a table of this home's ledger."""
    ledger = home.ledger()
    try:
        with ledger.read() as session:
            return list(session.exec(select(kind)))
    finally:
        ledger.close()


if __name__ == "__main__":
    print(json.dumps(sorted(until_tried(Home(Path(sys.argv[1])), sys.argv[2]))))
