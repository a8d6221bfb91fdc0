"""The story that is recorded: small homes on the scripted engine in which every outcome of a cycle occurs.

Each chapter is a home of its own, made and driven as a person would: configuration, runs, commands. Nothing here
asserts what happens; `record.py` writes it down and `test_recorded.py` compares.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.home.home import Home
from tests.journeys import small
from tests.journeys.terminal import metaevo

QUICK = small.CONFIG.replace("items = 16", "items = 8")
PLAIN = QUICK.replace("trials = 2", "trials = 1") + '[fixed]\nrecipe = "plain"\n'
"""One recipe and no search: a cycle of half a second."""


def searched(path: Path) -> None:
    """Three free searches of one study: presets, a proposal, finals; two promotions, then nothing is open."""
    home = small.create(path, QUICK.replace("trials = 2", "trials = 3"))
    small.evolve(home, 3)


def lossy(path: Path) -> None:
    """A world in which practice costs the other abilities: no trial is fit to be examined, cells are parked."""
    config = small.FORGETFUL.replace("items = 16", "items = 8").replace("trials = 4", "trials = 1")
    home = small.create(path, config)
    small.evolve(home, 3, make=small.engines(small.MORE, rate=0.25, forgets=0.3))


def held(path: Path) -> None:
    """Small gains: held, examined again and promoted, and a hold that stays open."""
    home = plain(path, seed=2, most=96)
    small.evolve(home, 6, make=small.engines(rate=0.2))


def refused(path: Path) -> None:
    """A gain too small for the screen; then a cycle whose parent was left, a way back, and a new evaluator."""
    home, make = plain(path, seed=21, most=320), small.engines(rate=0.2)
    small.evolve(home, 2, make=make)
    small.evolve(home, 1, make=small.engines(rate=0.02))
    interrupted(home, make)
    metaevo("rollback", "--reason", "it got worse", home=home.path)
    interrupted(home, make)
    small.evolve(home, 2, make=small.engines(rate=0.4))
    metaevo("rollback", "--to", "g000000", "--reason", "from the start", home=home.path)


def written(path: Path) -> None:
    """Kernels the machine writes: admitted, paired, one adopted and promoted with, then quarantined with its line."""
    config = QUICK.replace("finals = 1", "finals = 1\nkernels = 2")
    home = small.create(path, config)
    small.evolve(home, 1)
    name = sorted(path.glob("modules/refinement/generated/*.toml"))[0].stem
    metaevo("modules", "adopt", name, home=path)
    for recipe, text in (("plain", small.PLAIN), ("ours", small.PLAIN.replace("experience_replay", name))):
        (path / "recipes" / f"{recipe}.toml").write_text(text.replace('"plain"', f'"{recipe}"'))
    home.config_path.write_text(small.configured(PLAIN.replace('recipe = "plain"', 'recipe = "ours"')))
    small.evolve(home, 1)
    home.config_path.write_text(small.configured(PLAIN))
    small.evolve(home, 1)
    metaevo("modules", "quarantine", name, "--reason", "it lies", home=path)


CHAPTERS: dict[str, Callable[[Path], None]] = {
    "searched": searched,
    "lossy": lossy,
    "held": held,
    "refused": refused,
    "written": written,
}


def plain(path: Path, *, seed: int, most: int) -> Home:
    """Make a home whose only recipe is one of its own."""
    text = PLAIN.replace("seed = 11", f"seed = {seed}").replace("max_items = 320", f"max_items = {most}")
    home = small.create(path, text)
    (path / "recipes" / "plain.toml").write_text(small.PLAIN)
    return home


def interrupted(home: Home, make: Callable[..., Any]) -> None:
    """Run a cycle until its first step is finished, and no further."""

    def stop(_key: Any, done: bool) -> None:
        if done:
            raise KeyboardInterrupt

    try:
        small.evolve(home, make=make, watched=lambda _app, evolution: setattr(evolution, "on_step", stop))
    except KeyboardInterrupt:
        return
    raise AssertionError("the cycle finished no step")
