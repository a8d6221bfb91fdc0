"""What every tier of warm harnesses does with a call: a container of the pool, one repetition in doubt, the count."""

from collections.abc import Sequence

from sandbox.container import pack
from sandbox.errors import Unavailable
from sandbox.judge import Doubt
from sandbox.meter import Meter
from sandbox.pool import Pool
from sandbox.types import Kernel, Limits, Result, Row, Shape, Verdict

CONTROL = Kernel("def same(x):\n    return x\n", "same", Shape.NUMBER)
"""A kernel known to be right: asked when a candidate's end could also be infrastructure's."""
CONTROL_S = 10.0


class Warm:
    """Any number of threads may run kernels. Whoever made the pool closes it."""

    def __init__(self, pool: Pool, limits: Limits, meter: Meter) -> None:
        self.pool, self.limits, self.meter = pool, limits, meter

    def run(self, kernel: Kernel, rows: Sequence[Row], wall_s: float | None) -> Result:
        """Return what the kernel did with these rows, in order; see `types.Sandbox`."""
        request = pack(rows, self.limits)
        try:
            result = self._twice(kernel, request, len(rows), wall_s or self.limits.wall_s)
        except Unavailable:
            self.meter.call(Verdict.INFRA_UNAVAILABLE, len(rows), 0.0)
            raise
        self.meter.call(result.verdict, len(rows), result.seconds)
        return result

    def _twice(self, kernel: Kernel, request: bytes, count: int, wall_s: float) -> Result:
        """Run once; where the end could be infrastructure's, once more afresh, and then ask a known kernel.

        A daemon that was started again has ended everything that stood ready: then all of it is made anew.
        """
        try:
            return self._once(kernel, request, count, wall_s)
        except (Doubt, Unavailable) as first:
            self.meter.add("repeated")
            if not isinstance(first, Doubt) or first.result is None:
                self.pool.renew()
        try:
            return self._once(kernel, request, count, wall_s, fresh=True)
        except Doubt as again:
            if again.result is None:
                raise Unavailable("sandbox", f"{again}, twice") from None
            self._control()
            return again.result

    def _control(self) -> None:
        try:
            said = self._once(CONTROL, pack([[7]], self.limits), 1, CONTROL_S)
        except Doubt:
            raise Unavailable("sandbox", "a known kernel does not come through either") from None
        if said.values != (7,):
            raise Unavailable("sandbox", f"a known kernel gave {said.verdict} {said.values}")

    def _once(self, kernel: Kernel, request: bytes, count: int, wall_s: float, *, fresh: bool = False) -> Result:
        container = self.pool.take(kernel.version, fresh=fresh)
        try:
            if container.kernel is None or container.kernel.version != kernel.version:
                wrong = container.bind(kernel, wall_s)
                if wrong:
                    return wrong
            return container.call(kernel, request, count, wall_s)
        except BaseException:
            container.spent = True
            raise
        finally:
            self.pool.give(container)
