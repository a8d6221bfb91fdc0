"""A small home whose model is scripted: a whole cycle takes seconds, with every part of the loop but the weights."""

from pathlib import Path

from metaevo.evolution.outcome import Cycle
from tests.journeys import small

CONFIG = small.CONFIG.replace("items = 16", "items = 8").replace("secret_seed = 11", "secret_seed = 12")
"""With this exam every recipe of the tests comes as far as protection."""


def evolved(folder: Path, more: str = "", files: dict[str, str] | None = None) -> list[Cycle]:
    """Create a home with ``more`` configuration and files of its own, run one cycle there, and return it."""
    home = small.create(folder, CONFIG + more)
    for name, text in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return small.evolve(home)
