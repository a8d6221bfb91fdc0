"""The plain script's process, as a benchmark holds it."""

from pathlib import Path
from typing import Any

from metaevo.engines.client import ENVIRONMENT
from metaevo.engines.process import Child
from objectives.types import Messages
from tests.architecture.tree import ROOT

SILENCE_S = 1800.0
SAME = (
    "HF_HUB_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "TRL_EXPERIMENTAL_SILENCE",
    "TOKENIZERS_PARALLELISM",
    "PYTHONWARNINGS",
)
"""Settings of the engine's environment that the plain script shares; what is about memory and speed it lacks."""


class PlainScript:
    """A process with the libraries imported, waiting for work."""

    def __init__(self, folder: Path, threads: int) -> None:
        environment = {name: ENVIRONMENT[name] for name in SAME} | {
            "HF_DATASETS_CACHE": str(folder / "datasets"),
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": str(ROOT),
        }
        self.child = Child("tests.benchmarks.plain", (str(folder / "plain.seen"),), environment)
        self.child.start()
        self.child.send({"op": "start", "threads": threads})
        self.started = False

    def ready(self) -> None:
        """Wait until everything is imported."""
        if not self.started:
            self._answer()
            self.started = True

    def ask(self, op: str, **what: Any) -> dict[str, Any]:
        """Return what the script made, with ``wall_s``, ``cpu_s`` and ``model_s``."""
        self.ready()
        self.child.send({"op": op, **what})
        return self._answer()

    def __enter__(self) -> "PlainScript":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()

    def _answer(self) -> dict[str, Any]:
        return dict(self.child.receive(SILENCE_S)["ok"])


def chats(prompts_P: "list[Messages] | tuple[Messages, ...]") -> list[list[dict[str, str]]]:
    """Return prompts as plain chats."""
    return [[{"role": m.role, "content": m.content} for m in prompt] for prompt in prompts_P]
