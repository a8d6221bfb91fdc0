"""A small home whose model is scripted: a whole cycle takes seconds, with every part of the loop but the weights."""

from pathlib import Path

from metaevo.evolve import Budget
from metaevo.testing import ScriptedEngine
from metaevo.types import Cycle
from services.app import opened
from services.home import Home

CONFIG = """seed = 11
[model]
base = "builtin:tiny"
[environments.sorting]
levels = [4, 5]
[environments.extremes]
levels = [4, 5]
[protect]
"*" = { margin = 0.05 }
[gate]
max_items = 320
screen_items = 64
[search]
trials = 2
finals = 1
[diagnosis]
items = 8
samples = 2
"""
SKILLS = {"sorting/4": 0.35, "sorting/5": 0.3, "extremes/4": 0.6, "extremes/5": 0.6}


def scripted(home: Home, _config: object, _width: int) -> list[ScriptedEngine]:
    """Return one scripted engine."""
    return [ScriptedEngine(home.store(), SKILLS, environments=("sorting", "extremes"))]


def evolved(folder: Path, more: str = "", files: dict[str, str] | None = None) -> list[Cycle]:
    """Create a home with ``more`` configuration and files of its own, run one cycle there, and return it."""
    home = Home(folder)
    home.create(CONFIG + more)
    for name, text in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with opened(home, make=scripted, engines=1) as app:
        evolution = app.evolution()
        try:
            return evolution.run(Budget(cycles=1))
        finally:
            evolution.sampler.close()
