"""The container tiers: `docker` (runc) and `docker+RUNTIME` (gVisor: `docker+runsc`), on a real daemon.

What is covered: sixteen kinds of isolation that `policy.py` sets and `self_check.py` proves; a call's end is judged
by `judge.py`. What is not covered: a bug in the host's kernel (runc) or in gVisor's own; side channels of a shared
CPU. Use a machine of its own (`ssh://`, `tcp://` with TLS) where that matters.
"""

from collections.abc import Sequence

from sandbox.address import DEFAULT, Address
from sandbox.container import Container, new_policy, pack
from sandbox.daemon import REQUEST_S, Daemon
from sandbox.errors import Unavailable
from sandbox.images import Lock
from sandbox.judge import Doubt
from sandbox.meter import Meter
from sandbox.pool import CALLS, Pool
from sandbox.types import Kernel, Limits, Result, Row, Shape, Verdict

CONTROL = Kernel("def same(x):\n    return x\n", "same", Shape.NUMBER)
"""A kernel known to be right: asked when a candidate's end could also be infrastructure's."""
CONTROL_S = 10.0


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
        self.owner = f"{owner}/{self.tier}"  # two tiers of one home do not sweep each other's containers
        self._limits = limits or Limits()
        self.meter = Meter()
        lock.must_match()
        self.daemon = Daemon(address or Address(DEFAULT), request_s=request_s)
        try:
            self.daemon.must_have(lock.image, runtime)
            self.pool = Pool(
                self.daemon,
                self._container,
                owner=self.owner,
                standby=standby,
                most=most,
                calls=calls,
                meter=self.meter,
            )
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
        request = pack(rows, self._limits)
        try:
            result = self._twice(kernel, request, len(rows), wall_s or self._limits.wall_s)
        except Unavailable:
            self.meter.call(Verdict.INFRA_UNAVAILABLE, len(rows), 0.0)
            raise
        self.meter.call(result.verdict, len(rows), result.seconds)
        return result

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

    def _container(self, session: str) -> Container:
        return Container(
            self.daemon,
            new_policy(self.lock.image, self.lock.python, self._limits, self.runtime, self.owner, session),
        )

    def _twice(self, kernel: Kernel, request: bytes, count: int, wall_s: float) -> Result:
        """Run once; where the end could be infrastructure's, once more, and then ask a known kernel."""
        try:
            return self._once(kernel, request, count, wall_s)
        except Doubt:
            self.meter.add("repeated")
        try:
            return self._once(kernel, request, count, wall_s)
        except Doubt as again:
            if again.result is None:
                raise Unavailable("sandbox", f"{again}, twice") from None
            self._control()
            return again.result

    def _control(self) -> None:
        try:
            said = self._once(CONTROL, pack([[7]], self._limits), 1, CONTROL_S)
        except Doubt:
            raise Unavailable("sandbox", "a known kernel does not come through either") from None
        if said.values != (7,):
            raise Unavailable("sandbox", f"a known kernel gave {said.verdict} {said.values}")

    def _once(self, kernel: Kernel, request: bytes, count: int, wall_s: float) -> Result:
        container = self.pool.take(kernel.version)
        try:
            if container.kernel is None:
                wrong = container.bind(kernel, wall_s)
                if wrong:
                    return wrong
            return container.call(kernel, request, count, wall_s)
        except BaseException:
            container.spent = True
            raise
        finally:
            self.pool.give(container)
