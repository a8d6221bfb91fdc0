"""The embedded tier: a small Python interpreter in Rust (pydantic-monty), in worker processes of its own.

What is covered: no files, network, environment, processes or C; time, memory, recursion, output. A crashed worker is
replaced. What is not: it runs a subset of Python (no generators, no class machinery), and the interpreter's own bugs
stand between a kernel and the worker's process, which has this user's rights. Use `docker` where that matters.

Each call is a new session: nothing of one call, of any kernel, is in the next. A killed worker that the host's
watchdog did not kill is repeated once, and if it comes back while a known kernel is answered, it is a crash.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any

from sandbox import frame, look
from sandbox.errors import Unavailable
from sandbox.judge import Doubt
from sandbox.meter import Meter
from sandbox.types import Kernel, Limits, Result, Row, Shape, Verdict

GRACE_S = 0.5
DEEP = 500
CONTROL_S = 10.0
TAIL = "\n\nimport json as _json_\n_json_.dumps([{function}(*_row_) for _row_ in _rows_])\n"
CONTROL = Kernel("def same(x):\n    return x\n", "same", Shape.NUMBER)


class Log:
    """What the kernel prints, up to a cap; raising tells the interpreter to stop."""

    def __init__(self, most: int) -> None:
        self.most, self.text, self.passed = most, "", False

    def __call__(self, stream: str, text: str) -> None:
        """Take a piece of output."""
        self.text += text[: self.most - len(self.text)]
        self.passed = self.passed or len(self.text) >= self.most
        if self.passed:
            raise RuntimeError("the cap of the log")


class Monty:
    """A `Sandbox` in this machine's own worker processes."""

    def __init__(self, *, limits: Limits | None = None, workers: int = 2) -> None:
        import pydantic_monty

        self._library = pydantic_monty
        self._limits = limits or Limits()
        self.meter = Meter()
        self._looked: dict[str, str] = {}
        self._lock = threading.Lock()
        try:
            self._pool = pydantic_monty.Monty(
                min_processes=1,
                max_processes=workers,
                checkout_timeout=60.0,
                feed_duration_limit_grace=GRACE_S,
            )
            self._pool.__enter__()
        except (pydantic_monty.MontyError, OSError, RuntimeError) as error:
            raise Unavailable("sandbox", f"monty does not start: {str(error)[:300]}") from None

    @property
    def tier(self) -> str:
        """Return monty."""
        return "monty"

    @property
    def limits(self) -> Limits:
        """Return what one call may use."""
        return self._limits

    def run(self, kernel: Kernel, rows: Sequence[Row], *, wall_s: float | None = None) -> Result:
        """Return what the kernel did with these rows, in order; see `types.Sandbox`."""
        request = frame.pack([list(row) for row in rows], self._limits.request_bytes, f"{len(rows)} rows")
        frame.pack(kernel.source, 6 * self._limits.source_bytes, "source")
        sent = frame.parse(request[frame.LENGTH.size :])
        try:
            result = self._twice(kernel, sent, wall_s or self._limits.wall_s)
        except Unavailable:
            self.meter.call(Verdict.INFRA_UNAVAILABLE, len(rows), 0.0)
            raise
        self.meter.call(result.verdict, len(rows), result.seconds)
        return result

    def close(self) -> None:
        """End the workers."""
        self._pool.__exit__(None, None, None)

    def __enter__(self) -> "Monty":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _twice(self, kernel: Kernel, rows: list[Any], wall_s: float) -> Result:
        try:
            return self._once(kernel, rows, wall_s)
        except Doubt:
            self.meter.add("repeated")
        try:
            return self._once(kernel, rows, wall_s)
        except Doubt as again:
            if again.result is None or self._once(CONTROL, [[7]], CONTROL_S).values != (7,):
                raise Unavailable("sandbox", "monty does not answer a known kernel either") from None
            return again.result

    def _refused(self, kernel: Kernel) -> str:
        with self._lock:
            if kernel.version not in self._looked:
                if len(self._looked) >= 256:
                    self._looked.clear()
                self._looked[kernel.version] = look.refused(kernel.source, kernel.imports)
            return self._looked[kernel.version]

    def _once(self, kernel: Kernel, rows: list[Any], wall_s: float) -> Result:
        wrong = self._refused(kernel)
        if wrong:
            return Result(Verdict.POLICY_VIOLATION, note=frame.shown(f"the look at the source: {wrong}"))
        limits, log, begun = self._limits, Log(self._limits.log_bytes), time.monotonic()
        bounds = {
            "max_feed_duration_secs": wall_s,
            "max_memory": limits.memory_mib << 20,
            "max_recursion_depth": DEEP,
            "max_total_sleep_secs": 0.0,
        }
        steady = {"random_start": {"seed": 0}, "sleep": "zero"}
        try:
            with self._pool.checkout(limits=bounds, os_policy=steady) as session:  # type: ignore[arg-type]
                begun = time.monotonic()  # waiting for a worker is none of its time
                code = kernel.source + TAIL.format(function=kernel.function)
                said = session.feed_run(code, inputs={"_rows_": rows}, print_callback=log)
        except (self._library.MontyError, TimeoutError, OSError, RuntimeError) as error:
            return self._failed(error, log, time.monotonic() - begun, wall_s)
        return self._answered(said, kernel, len(rows), log, time.monotonic() - begun)

    def _answered(self, said: object, kernel: Kernel, count: int, log: Log, seconds: float) -> Result:
        shown = frame.shown(log.text)
        if not isinstance(said, str):
            return Result(Verdict.PROTOCOL_VIOLATION, note="the reply is not text", log=shown, seconds=seconds)
        raw = said.encode("utf-8", "surrogatepass")
        if len(raw) > self._limits.reply_bytes:
            return Result(Verdict.OVERFLOW, note="more than the cap of the reply", log=shown, seconds=seconds)
        try:
            values = frame.values(raw, count, kernel.returns)
        except frame.Malformed as error:
            note = frame.shown(f"what came back: {error}")
            return Result(Verdict.PROTOCOL_VIOLATION, note=note, log=shown, seconds=seconds)
        return Result(Verdict.OK, values, log=shown, seconds=seconds)

    def _failed(self, error: Exception, log: Log, seconds: float, wall_s: float) -> Result:
        """Return whose failure it was: the host's count and clock first, then the class of the error."""

        def result(verdict: Verdict, why: str) -> Result:
            return Result(verdict, note=frame.shown(why), log=frame.shown(log.text), seconds=seconds)

        library = self._library
        if log.passed:
            return result(Verdict.OVERFLOW, "more than the cap of the log")
        if isinstance(error, library.MontySyntaxError):
            return result(Verdict.CRASH, f"raised: {error}")
        if seconds >= wall_s and isinstance(error, library.MontyError):
            return result(Verdict.TIMEOUT, "the deadline passed")
        if isinstance(error, library.MontyRuntimeError):
            # A kernel can raise MemoryError itself: it then books a failure of its own under another name.
            memory = isinstance(error.exception(), MemoryError)
            return result(Verdict.OOM if memory else Verdict.CRASH, f"raised: {error}")
        if isinstance(error, library.MontyCrashedError):
            raise Doubt(result(Verdict.CRASH, "its worker died, twice"))
        raise Unavailable("sandbox", f"monty: {type(error).__name__}: {str(error)[:300]}") from None
