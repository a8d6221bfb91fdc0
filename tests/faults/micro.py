"""A micro-evolution in a process of its own, for killing: ``python -m tests.faults.micro HOME CYCLES ENGINE KILL LOG``.

KILL: ``never``; ``boundary`` dies at the first step boundary that the log does not have yet; ``N`` dies at the
N-th boundary of this process. Every boundary is appended to the log before anybody dies.
"""

import os
import signal
import sys
from pathlib import Path

from metaevo.evolve import Budget
from metaevo.ledger.journal import StepKey
from metaevo.testing import ScriptedEngine
from services.app import opened, processes
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
trials = 1
finals = 1
[diagnosis]
items = 8
samples = 2
"""
SKILLS = {"sorting/4": 0.35, "sorting/5": 0.3, "extremes/4": 0.6, "extremes/5": 0.6}


def scripted(home: Home, config: object, width: int) -> list[ScriptedEngine]:
    """Return one scripted engine."""
    return [ScriptedEngine(home.store(), SKILLS, environments=("sorting", "extremes"))]


class Boundary:
    """Dies at a step boundary, or not."""

    def __init__(self, kill: str, log: Path) -> None:
        self.kill, self.log, self.count = kill, log, 0
        self.known = set(log.read_text().splitlines()) if log.is_file() else set()

    def __call__(self, key: StepKey, done: bool) -> None:
        line = f"{'done' if done else 'open'} {'/'.join(str(part) for part in key)}"
        self.count += 1
        with self.log.open("a") as file:
            file.write(line + "\n")
        new = line not in self.known
        if (self.kill == "boundary" and new) or (self.kill.isdigit() and self.count == int(self.kill)):
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run so many cycles in all, resuming what is open."""
    home, cycles, engine, kill, log = sys.argv[1:]
    here = Home(Path(home))
    if not here.config_path.is_file():
        here.create(CONFIG)
    boundary = Boundary(kill, Path(log))
    with opened(here, make=scripted if engine == "scripted" else processes, engines=1) as app:
        evolution = app.evolution()
        evolution.on_step = boundary
        evolution.on_phase = lambda cycle, phase, _: boundary((cycle, 0, 0, 0, phase, 0), False)
        from services.running import spent

        left = int(cycles) - spent(app.ledger)["cycles"]
        if left > 0:
            evolution.run(Budget(cycles=left))
        evolution.sampler.close()


if __name__ == "__main__":
    main()
