"""`Run` as the control plane gives it: one tier of the sandbox, opened and proven before its first kernel.

Whose failure it was is decided by the sandbox; here it only gets its name: a verdict is the module's failure, all
else is infrastructure and says nothing about the module.
"""

import atexit
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from threading import Lock

from metaevo.errors import ModuleFailed, SandboxUnavailable
from objectives.types import Json
from sandbox.errors import BadKernel, Refused, Unavailable
from sandbox.self_check import Proven
from sandbox.types import Kernel, Result, Row, Sandbox, Verdict

NOTE = 300
"""Characters of a note that go into a failure."""


PATIENCE = 5
"""How many times the deadline a second try gets: a busy machine is no endless kernel."""


def patient(tier: Sandbox, kernel: Kernel, rows_R: Sequence[Row]) -> Result:
    """Return what a tier says of a kernel; one that passes the deadline is tried once more with a longer one.

    Raises:
        Unavailable, Refused, BadKernel: As the tier does.
    """
    result = tier.run(kernel, rows_R)
    if result.verdict is Verdict.TIMEOUT:
        return tier.run(kernel, rows_R, wall_s=PATIENCE * tier.limits.wall_s)
    return result


class TierRun:
    """`Run` on one tier. ``open_`` is called at the first kernel; the tier stays open until `close`."""

    def __init__(self, identity: str, open_: Callable[[], Sandbox]) -> None:
        self._identity, self._open = identity, open_
        self._tier: Sandbox | None = None
        self._lock = Lock()

    @property
    def identity(self) -> str:
        """Return the tier and its version."""
        return self._identity

    def __call__(self, kernel: Kernel, rows_R: Sequence[Row]) -> tuple[Json, ...]:
        """Return one value per row."""
        try:
            result = patient(self.tier(), kernel, rows_R)
        except (Unavailable, Refused) as error:
            raise SandboxUnavailable(str(error)) from error
        except BadKernel as error:
            raise ModuleFailed(f"its kernel {kernel.function} cannot be sent: {error}") from error
        if result.verdict is not Verdict.OK or result.values is None:
            note = " ".join(result.note.split())[:NOTE]
            raise ModuleFailed(f"its kernel {kernel.function} ended with {result.verdict}: {note}")
        return result.values

    def tier(self) -> Sandbox:
        """Return the tier, opened.

        Raises:
            Unavailable: Infrastructure failed.
            Refused: This tier may not run kernels.
        """
        with self._lock:
            if self._tier is None:
                self._tier = self._open()
            return self._tier

    def close(self) -> None:
        """Close the tier where it was opened."""
        with self._lock:
            if self._tier is not None:
                self._tier.close()
                self._tier = None


@cache
def embedded() -> TierRun:
    """Return the embedded tier: one for the process, so that it is proven once."""
    made = TierRun(f"monty {version('pydantic-monty')}", _monty)
    atexit.register(made.close)
    return made


def _monty() -> Sandbox:
    from sandbox.monty import Monty

    return Proven(Monty())
