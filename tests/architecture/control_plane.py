"""The control plane at work in a process of its own: ``python -m tests.architecture.control_plane HOME``.

It imports the command line and the application, runs one whole cycle with the scripted engine, `status`, and `plan`
in a fresh home (which starts a real engine, in its own process). What it prints, as JSON: which heavy packages it
imported itself and from where, and for each process it started whether torch is mapped into that one.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Any

TORCH = ("torch", "transformers", "trl", "peft", "vllm", "datasets", "accelerate")
CHILDREN_ONLY = ("optuna", "docker", "alembic", "reasoning_gym", "sympy")
HEAVY = (*TORCH, *CHILDREN_ONLY)


class Watch:
    """A finder that finds nothing: it notes who asks for a heavy package."""

    def __init__(self) -> None:
        self.asked: dict[str, str] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Note the line of code whose import led here."""
        if name in HEAVY:
            self.asked.setdefault(name, _importer(sys._getframe(1)))


def _importer(frame: FrameType | None) -> str:
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "?"


def processes() -> dict[str, bool]:
    """Return for every process this one started, by its module, whether torch is mapped into it. Linux only."""
    found: dict[str, bool] = {}
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except OSError:  # the thread ended meanwhile
            continue
        for pid in children:
            try:
                said = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                torch = "libtorch" in Path(f"/proc/{pid}/maps").read_text()
            except OSError:  # it ended meanwhile
                continue
            name = said[said.index("-m") + 1] if "-m" in said else ""
            if name and name != "tests.architecture.control_plane":  # one that is not forked from us this instant
                found[name] = found.get(name, False) or torch
    return found


class Onlooker(Thread):
    """Looks at the processes five times a second until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: dict[str, bool] = {}
        self.stop = Event()

    def run(self) -> None:
        """Look."""
        while not self.stop.wait(0.2):
            for name, torch in processes().items():
                self.seen[name] = self.seen.get(name, False) or torch


def work(folder: Path) -> None:
    """Run a whole scripted cycle and `status` in one home, `plan` with the real engine in another."""
    for name in ("services.cli", "services.home.open", "services.actions.run", "metaevo.evolution.loop"):
        importlib.import_module(name)
    from services.cli import build
    from services.home.home import Home
    from services.reports.plan import plan
    from services.reports.status import current_status
    from tests.architecture.small import CONFIG, evolved

    build()
    evolved(folder / "scripted")
    current_status(Home(folder / "scripted"))
    fresh = Home(folder / "real")
    fresh.create(CONFIG)
    plan(fresh)


def main() -> None:
    """Work, and print what was imported."""
    watch, onlooker = Watch(), Onlooker()
    sys.meta_path.insert(0, watch)  # type: ignore[arg-type]
    onlooker.start()
    work(Path(sys.argv[1]))
    onlooker.stop.set()
    onlooker.join()
    loaded = {name: watch.asked.get(name, "before the watch") for name in HEAVY if name in sys.modules}
    print(json.dumps({"imported": loaded, "processes": onlooker.seen}))


if __name__ == "__main__":
    main()
