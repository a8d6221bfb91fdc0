"""The sandbox as the grader pool holds it: asked on behalf of every grader process.

Programs travel as text from a grader through the control plane into the sandbox, and data travels back; neither of
the two executes or imports one. The sandbox is not the graders' own: a daemon's socket is closed to them, and the
time that infrastructure takes must not count as the time a reward takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from metaevo.artifacts.bodies import adapter
from sandbox.errors import BadKernel, SandboxError
from sandbox.handle import SandboxHandle
from sandbox.types import Kernel


@dataclass(frozen=True, slots=True)
class ProgramRequest:
    """What a grader process wants to have run. ``item`` is the place of the graded item in its request."""

    item: int
    source: str
    function: str
    rows: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Programs:
    """One sandbox for all grader processes. Any number of threads may ask; whoever made the handle closes it."""

    handle: SandboxHandle

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return {"ran": …}, {"refused": why} where the request is at fault, {"away": why} where infrastructure is."""
        try:
            asked = adapter(ProgramRequest).validate_python(request)
            result = self.handle.run(Kernel(asked.source, asked.function), asked.rows)
        except (BadKernel, ValidationError) as error:
            return {"refused": str(error)}
        except SandboxError as error:
            return {"away": f"{type(error).__name__}: {error}"[:500]}
        return {"ran": {"verdict": result.verdict.value, "values": result.values, "note": result.note}}
