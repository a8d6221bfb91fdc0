"""The container tiers: `docker` (runc) and `docker+RUNTIME` (gVisor: `docker+runsc`), on a real daemon.

What is covered: sixteen kinds of isolation that `policy.py` sets and `self_check.py` proves; a call's end is judged
by `judge.py`. What is not covered: a bug in the host's kernel (runc) or in gVisor's own; side channels of a shared
CPU. Use a machine of its own (`ssh://`, `tcp://` with TLS) where that matters.
"""

from collections.abc import Sequence

from sandbox.address import DEFAULT, Address
from sandbox.daemon import REQUEST_S, Daemon
from sandbox.images import Lock
from sandbox.leases import RETIRE_S, Leased
from sandbox.meter import Meter
from sandbox.pool import CALLS, Pool
from sandbox.types import Kernel, Limits, Result, Row
from sandbox.warm import Warm


class Docker:
    """A `Sandbox` on one daemon. Raises at opening: Refused (no image, no runtime, address), Unavailable."""

    def __init__(
        self,
        lock: Lock,
        *,
        owner: str,
        address: Address | None = None,
        runtime: str = "runc",
        limits: Limits | None = None,
        standby: int = 1,
        most: int = 8,
        calls: int = CALLS,
        request_s: float = REQUEST_S,
    ) -> None:
        self.lock, self.runtime = lock, runtime
        self.owner = f"{owner}/{self.tier}"
        self._limits = limits or Limits()
        self.meter = Meter()
        lock.must_match()
        self.daemon = Daemon(address or Address(DEFAULT), request_s=request_s)
        try:
            self.daemon.must_have(lock.image, runtime)
            ground = Leased(self.daemon, lock, runtime, self.owner, self._limits)
            self.pool = Pool(ground, standby=standby, most=most, calls=calls, life_s=RETIRE_S, meter=self.meter)
            self._warm = Warm(self.pool, self._limits, self.meter)
        except BaseException:
            self.daemon.close()
            raise

    @property
    def tier(self) -> str:
        """Return docker, or docker+RUNTIME for any other runtime than runc."""
        return "docker" if self.runtime == "runc" else f"docker+{self.runtime}"

    @property
    def limits(self) -> Limits:
        """Return what one call may use."""
        return self._limits

    def run(self, kernel: Kernel, rows: Sequence[Row], *, wall_s: float | None = None) -> Result:
        """Return what the kernel did with these rows, in order; see `types.Sandbox`."""
        return self._warm.run(kernel, rows, wall_s)

    def close(self) -> None:
        """Remove every container and close the connections."""
        self.pool.close()
        self.daemon.close()

    def cpu_s(self, version: str) -> float:
        """Return the CPU seconds that a kernel version's living containers have used, by their cgroups."""
        return sum(self.daemon.cpu_s(container) for container in self.pool.ids(version))

    def __enter__(self) -> "Docker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
