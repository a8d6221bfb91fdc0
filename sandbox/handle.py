"""One handle on one tier: opened at the first call, shared by everybody in the process, with the one rule for retries.

Kernels of modules and programs of rewards go through the same handle. Two opened tiers of one owner would remove each
other's containers, and two rules for retries would judge the same program differently.
"""

import atexit
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version
from threading import Lock

from sandbox.self_check import Proven
from sandbox.types import Kernel, Result, Row, Sandbox, Verdict

PATIENCE = 5
"""How many times the deadline a second try gets. On a machine under load innocent kernels passed two seconds: a second
try within the same two would have refused them too. An endless program costs six deadlines instead of two."""


def run_patiently(tier: Sandbox, kernel: Kernel, rows_R: Sequence[Row]) -> Result:
    """Return what a tier says of a kernel; one that passes the deadline is tried once more with a longer one.

    Raises:
        Unavailable, Refused, BadKernel: As the tier does.
    """
    result = tier.run(kernel, rows_R)
    if result.verdict is Verdict.TIMEOUT:
        return tier.run(kernel, rows_R, wall_s=PATIENCE * tier.limits.wall_s)
    return result


class SandboxHandle:
    """A tier that is opened when it is first needed and stays open until `close`. Any number of threads may call.

    ``identity`` is the tier and its version. It is part of what an environment measures: tiers differ in what they run.
    """

    def __init__(self, identity: str, open_: Callable[[], Sandbox]) -> None:
        self.identity, self._open = identity, open_
        self._tier: Sandbox | None = None
        self._lock = Lock()

    def run(self, kernel: Kernel, rows_R: Sequence[Row]) -> Result:
        """Return what the tier says of a kernel, by `run_patiently`.

        Raises:
            Unavailable: Infrastructure failed; nothing was learnt about the kernel.
            Refused: This tier may not run kernels.
            BadKernel: The request cannot be sent.
        """
        return run_patiently(self.tier(), kernel, rows_R)

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
        """Close the tier where it was opened. Only whoever made the handle does this."""
        with self._lock:
            if self._tier is not None:
                self._tier.close()
                self._tier = None


@cache
def embedded() -> SandboxHandle:
    """Return the tier that needs nothing installed: one for the process, so that its limits are proven once."""
    made = SandboxHandle(f"monty {version('pydantic-monty')}", _open_monty)
    atexit.register(made.close)
    return made


def _open_monty() -> Sandbox:
    from sandbox.monty import Monty

    return Proven(Monty())
