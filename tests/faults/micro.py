"""A micro-evolution in a process of its own, for killing; its arguments are HOME CYCLES ENGINE KILL.

Every step boundary is appended to HOME.log before anybody dies. KILL: ``never``; ``boundary`` dies at the first
boundary that the log does not have yet; ``STEP`` dies when the first step of that name opens (``STEP!`` when it is
finished), ``STEP+S`` S seconds later, in the middle of it; ``fill STEP`` fills the disk there and goes on.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from metaevo.errors import MetaevoError
from metaevo.evolution.loop import Budget
from metaevo.ledger.journal import StepKey
from metaevo.ledger.queries import total_spent
from services.home.home import Home
from services.home.open import engine_processes, open_home
from tests.journeys import small

CONFIG = small.CONFIG.replace("trials = 2", "trials = 1").replace("items = 16", "items = 8")
scripted = small.engines()


def begun_home(place: Path) -> Path:
    """Return a home that has generation 0 and nothing more."""
    here = Home(place)
    here.create(CONFIG)
    with open_home(here, make=scripted, engines=1):
        return place


class Boundary:
    """Dies at a step boundary, or after it, or fills the disk there, or none of these."""

    def __init__(self, kill: str, home: Path) -> None:
        self.home, self.log = home, home.with_suffix(".log")
        self.known = set(self.log.read_text().splitlines()) if self.log.is_file() else set()
        self.every, self.fills = kill == "boundary", kill.startswith("fill ")
        name, _, seconds = kill.removeprefix("fill ").partition("+")
        self.at = ("done" if name.endswith("!") else "open", name.removesuffix("!"))
        self.seconds = float(seconds or 0)

    def __call__(self, key: StepKey, done: bool) -> None:
        word = "done" if done else "open"
        line = f"{word} {'/'.join(str(part) for part in key)}"
        with self.log.open("a") as file:
            file.write(line + "\n")
        if not (self.every and line not in self.known) and self.at != (word, key[4]):
            return
        self.at = ("", "")
        if self.fills:
            filled(self.home / "filler")
        elif self.seconds:
            threading.Timer(self.seconds, die).start()
        else:
            die()


def die() -> None:
    """End this process as the kernel would: nothing is flushed, nothing is told."""
    os.kill(os.getpid(), signal.SIGKILL)


def filled(path: Path) -> None:
    """Write a file until the disk is full to the last page."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue


def evolve(home: str, cycles: str, engine: str, kill: str) -> None:
    """Run so many cycles in all, resuming what is open."""
    here = Home(Path(home))
    if not here.config_path.is_file():
        here.create(CONFIG)
    boundary = Boundary(kill, Path(home))
    with open_home(here, make=scripted if engine == "scripted" else engine_processes, engines=1) as app:
        evolution = app.evolution()
        evolution.on_step = boundary
        evolution.on_phase = lambda cycle, phase, _: boundary((cycle, 0, 0, 0, phase, 0), False)
        left = int(cycles) - total_spent(app.ledger).cycles
        try:
            if left > 0:
                evolution.run(Budget(cycles=left))
        finally:
            evolution.sampler.close()


def child(arguments: list[str]) -> int:
    """Return the exit status of one evolution, its error in HOME.err."""
    errors = os.open(f"{arguments[0]}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 2)
    try:
        evolve(*arguments)
    except MetaevoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
