"""One warm harness in its cell: it binds one kernel version after another, one call at a time."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from signal import SIGKILL

from sandbox import filter as calls
from sandbox import frame
from sandbox.cell import Cell
from sandbox.errors import Unavailable
from sandbox.frame import ASK, BIND, CALL, FRONT, HEAD, KEY, LENGTH
from sandbox.judge import NO_HEAD, Ending, Evidence, judge, needs_state
from sandbox.stream import Ended, Flood, Late
from sandbox.types import Kernel, Limits, Result, Row

EXIT_S = 1.0
BOOT_S = 30.0
BEGIN_S = 10.0
"""How long the harness may take until the child stands: waiting is no part of a call's deadline."""
READY = b"ready"
HARMLESS = ("returned", "raised", "refused", "memory", "no frame")
"""Ends after which the harness serves on, a child's own death among them. After any other its cell is thrown away."""


@cache
def _filters() -> bytes:
    return b"".join(LENGTH.pack(len(program)) + program for program in calls.programs())


class Container:
    """Owned by one caller at a time (`pool.py`). After any end but a harmless one it is spent."""

    def __init__(self, cell: Cell, limits: Limits) -> None:
        self.cell, self.limits, self.stream = cell, limits, cell.stream
        self.kernel: Kernel | None = None
        self.calls, self.spent, self.used_s = 0, False, 0.0
        self.born = time.monotonic()
        try:
            self._boot(_filters())
            cell.verify()
        except BaseException:
            cell.remove()
            raise

    @property
    def id(self) -> str:
        """Return the cell's name."""
        return self.cell.id

    def _boot(self, filters: bytes) -> None:
        """Give the filters, wait for the harness's first word. No kernel is near yet: what fails is infrastructure."""
        self.stream.allow(1 << 16)
        until = time.monotonic() + BOOT_S
        try:
            self.stream.send(filters, until)
            word = self.stream.take(len(READY), until)
        except (Late, Ended, Flood) as error:
            said = self.cell.words().decode("utf-8", "replace")[-300:]
            raise Unavailable("sandbox", f"the harness did not start ({type(error).__name__}): {said}") from None
        if word != READY:
            raise Unavailable("sandbox", f"the harness began with {word!r}")

    def bind(self, kernel: Kernel, wall_s: float) -> Result | None:
        """Give the harness a kernel instead of the one it had. Return what was wrong with the source, else None.

        Raises:
            Unavailable: Infrastructure failed.
            Doubt: See `judge`.
        """
        self.kernel = None
        allowed = None if kernel.imports is None else sorted(kernel.imports)
        order = {"source": kernel.source, "function": kernel.function, "imports": allowed}
        fresh, request = self.calls == 0, frame.pack(order, 6 * self.limits.source_bytes, "source")
        seen = replace(self._exchange(BIND, request, wall_s), fresh=fresh)
        if seen.head.how == "compiled":
            self.kernel = kernel
            return None
        self.spent = not harmless(seen)
        return judge(self._settled(seen), kernel, 0)

    def call(self, kernel: Kernel, request: bytes, count: int, wall_s: float) -> Result:
        """Return what the kernel did with a packed request of `count` rows.

        Raises:
            Unavailable: Infrastructure failed.
            Doubt: See `judge`.
        """
        if self.kernel is None or self.kernel.version != kernel.version:
            raise ValueError("another kernel version's container")
        self.calls += 1
        seen = replace(self._exchange(CALL, request, wall_s), fresh=self.calls == 1)
        self.spent = not harmless(seen)
        return judge(self._settled(seen), kernel, count)

    def _exchange(self, kind: bytes, request: bytes, wall_s: float) -> Evidence:
        """Send a request and its key, read the two sealed replies, all against the host's clock."""
        begun = time.monotonic()
        key, started, head, payload = os.urandom(KEY), False, NO_HEAD, b""
        most = HEAD.size + self.limits.log_bytes + self.limits.reply_bytes
        self.stream.allow(2 * most + (1 << 20))
        try:
            if not self.stream.idle():
                raise Flood
            until = begun + max(BEGIN_S, wall_s)
            self.stream.send(ASK.pack(kind, max(1, round(wall_s * 1000))) + request + key, until)
            started = self._reply(key, most, until)[0].how == "begun"
            if not started:
                raise Flood
            begun = time.monotonic()
            head, payload = self._reply(key, most, begun + wall_s)
            ending = Ending.ANSWERED
        except Late:
            ending = Ending.DEADLINE
        except Ended:
            ending = Ending.CLOSED
        except (Flood, frame.Malformed):
            ending = Ending.GARBLED
        return Evidence(ending, started, round(time.monotonic() - begun, 6), head, payload)

    def _reply(self, key: bytes, most: int, deadline: float) -> tuple[frame.Head, bytes]:
        length, tag = FRONT.unpack(self.stream.take(FRONT.size, deadline))
        if length > most:
            raise Flood
        return frame.opened(key, tag, self.stream.take(length, deadline))

    def _settled(self, seen: Evidence) -> Evidence:
        """Return the evidence with the cell's state where that decides, and with the cell killed."""
        if not needs_state(seen):
            return seen
        state = self.cell.state()
        until = time.monotonic() + EXIT_S
        while seen.ending is Ending.CLOSED and state and state.running and time.monotonic() < until:
            # The stream ends a moment before the daemon books the exit.
            time.sleep(0.02)
            state = self.cell.state()
        if state is not None and state.known and not state.paused:
            try:
                self.cell.kill()
                after = self.cell.state()
            except Unavailable:
                after = None
            # The daemon books a passed memory limit when the container ends, so that is read after the kill.
            state = None if after is None else replace(state, known=after.known, oom=after.oom)
        return replace(seen, state=state)

    def remove(self) -> None:
        """Hang up and remove the cell, whatever it is doing.

        Raises:
            Unavailable: It was not confirmed.
        """
        self.spent = True
        self.cell.remove()


def harmless(seen: Evidence) -> bool:
    """Return whether a call's end leaves its harness fit for the next."""
    head = seen.head
    known = head.how in HARMLESS or (head.how == "signal" and head.number != SIGKILL)
    return seen.ending is Ending.ANSWERED and known and not head.dirty


def pack(rows: Sequence[Row], limits: Limits) -> bytes:
    """Return the rows as a request.

    Raises:
        BadKernel: Too large, or no JSON.
    """
    return frame.pack([list(row) for row in rows], limits.request_bytes, f"{len(rows)} rows")
