"""The sandbox as the grader pool holds it: opened at the first program, asked on behalf of every grader process.

Programs travel as text from a grader through the control plane into the sandbox, and data travels back; neither of
the two executes or imports one. The sandbox is not the graders' own: a daemon's socket is closed to them, and the
time that infrastructure takes must not count as the time a reward takes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from threading import Lock
from typing import Any

from pydantic import ValidationError

from metaevo.artifacts.bodies import adapter
from sandbox.errors import BadKernel, SandboxError
from sandbox.monty import Monty
from sandbox.self_check import Proven
from sandbox.types import Kernel, Result, Sandbox, Verdict


@dataclass(frozen=True, slots=True)
class Tier:
    """Which sandbox runs programs, and how it is opened.

    The name is part of the version of every environment whose reward executes text: tiers differ in what they run.
    """

    name: str
    open: Callable[[], Sandbox]


def embedded() -> Tier:
    """Return the tier that needs nothing installed: monty, its limits proven at the first program and daily."""
    return Tier(f"monty {version('pydantic-monty')}", lambda: Proven(Monty()))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a grader process wants to have run. ``item`` is the place of the graded item in its request."""

    item: int
    source: str
    function: str
    rows: list[list[Any]]


class Programs:
    """One sandbox for all grader processes. Any number of threads may ask."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._sandbox: Sandbox | None = None
        self._lock = Lock()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"ran": …}, {"refused": why} where the request is at fault, {"away": why} where infrastructure is."""
        try:
            asked = adapter(Asked).validate_python(request)
            result = self._run(Kernel(asked.source, asked.function), asked.rows)
        except (BadKernel, ValidationError) as error:
            return {"refused": str(error)}
        except SandboxError as error:
            return {"away": f"{type(error).__name__}: {error}"[:500]}
        return {"ran": {"verdict": result.verdict.value, "values": result.values, "note": result.note}}

    def close(self) -> None:
        """Close the sandbox, if it was ever opened."""
        with self._lock:
            if self._sandbox is not None:
                self._sandbox.close()
            self._sandbox = None

    def _run(self, kernel: Kernel, rows: list[list[Any]]) -> Result:
        """Return what a program did; one that took too long is run once more: it may have been the machine."""
        sandbox = self._opened()
        result = sandbox.run(kernel, rows)
        return sandbox.run(kernel, rows) if result.verdict is Verdict.TIMEOUT else result

    def _opened(self) -> Sandbox:
        with self._lock:
            if self._sandbox is None:
                self._sandbox = self.tier.open()
            return self._sandbox
