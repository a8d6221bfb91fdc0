"""One warm container: started blank, bound to one kernel version for life, one call at a time."""

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from sandbox import frame
from sandbox.daemon import Daemon
from sandbox.errors import Refused, Unavailable
from sandbox.frame import FRONT, HEAD, KEY
from sandbox.judge import NO_HEAD, Ending, Evidence, judge, needs_state
from sandbox.policy import Policy
from sandbox.stream import Ended, Flood, Late
from sandbox.types import Kernel, Limits, Result, Row, Verdict

UIDS = range(200_000, 2_000_000_000)
EXIT_S = 1.0
BOOT_S = 30.0
READY = b"ready"


def new_policy(image: str, python: str, limits: Limits, runtime: str, owner: str, session: str) -> Policy:
    """Return a policy with a user id of its own: the process limit counts per user id, not per container."""
    return Policy(
        image=image,
        python=python,
        limits=limits,
        runtime=runtime,
        owner=owner,
        session=session,
        uid=secrets.choice(UIDS),
    )


class Container:
    """Owned by one caller at a time (`pool.py`). After any end but a clean one it is spent."""

    def __init__(self, daemon: Daemon, policy: Policy) -> None:
        self.daemon, self.policy = daemon, policy
        self.kernel: Kernel | None = None
        self.calls, self.spent, self.used_s = 0, False, 0.0
        self.born = time.monotonic()
        self.id = daemon.create(policy)
        try:
            self.stream = daemon.attach(self.id)
            daemon.start(self.id)
            self._boot()
            said = policy.differences(daemon.inspect(self.id))
            if said:
                raise Refused("sandbox", f"the container differs from the policy: {'; '.join(said[:5])}")
        except BaseException:
            self.remove()
            raise

    def _boot(self) -> None:
        """Wait for the harness's first word. No kernel is near yet: whatever goes wrong is infrastructure."""
        self.stream.allow(1 << 16)
        try:
            word = self.stream.take(len(READY), time.monotonic() + BOOT_S)
        except (Late, Ended, Flood) as error:
            said = bytes(self.stream.words).decode("utf-8", "replace")[-300:]
            raise Unavailable("sandbox", f"the harness did not start ({type(error).__name__}): {said}") from None
        if word != READY:
            raise Unavailable("sandbox", f"the harness began with {word!r}")

    def bind(self, kernel: Kernel, wall_s: float) -> Result | None:
        """Give a blank container its kernel. Return what was wrong with the source, None where nothing was.

        Raises:
            Unavailable: Infrastructure failed.
            Doubt: See `judge`.
        """
        if self.kernel is not None:
            raise ValueError("a container has one kernel version for life")
        self.kernel = kernel
        allowed = None if kernel.imports is None else sorted(kernel.imports)
        order = {"source": kernel.source, "function": kernel.function, "imports": allowed}
        seen = self._exchange(frame.pack(order, 6 * self.policy.limits.source_bytes, "source"), wall_s)
        if seen.head.how == "compiled":
            return None
        self.spent = True
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
        seen = self._exchange(request, wall_s)
        if needs_state(seen) or seen.head.dirty:
            self.spent = True
        result = judge(self._settled(seen), kernel, count)
        self.spent = self.spent or result.verdict is not Verdict.OK
        return result

    def _exchange(self, request: bytes, wall_s: float) -> Evidence:
        """Send a request and its key, read the two sealed replies, all against the host's clock."""
        begun = time.monotonic()
        deadline = begun + wall_s
        key, started, head, payload = os.urandom(KEY), False, NO_HEAD, b""
        most = HEAD.size + self.policy.limits.log_bytes + self.policy.limits.reply_bytes
        self.stream.allow(2 * most + (1 << 20))
        try:
            if not self.stream.idle():
                raise Flood
            self.stream.send(request + key, deadline)
            started = self._reply(key, most, deadline)[0].how == "begun"
            if not started:
                raise Flood
            head, payload = self._reply(key, most, deadline)
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
        """Return the evidence with the container's state where that decides, and with the container killed."""
        if not needs_state(seen):
            return seen
        state = self.daemon.state(self.id)
        until = time.monotonic() + EXIT_S
        while seen.ending is Ending.CLOSED and state and state.running and time.monotonic() < until:
            # The stream ends a moment before the daemon books the exit.
            time.sleep(0.02)
            state = self.daemon.state(self.id)
        if state is not None and state.known and not state.paused:
            try:
                self.daemon.kill(self.id)
                after = self.daemon.state(self.id)
            except Unavailable:
                after = None
            # The daemon books a passed memory limit when the container ends, so that is read after the kill.
            state = None if after is None else replace(state, known=after.known, oom=after.oom)
        return replace(seen, state=state)

    def remove(self) -> None:
        """Hang up and remove the container, whatever it is doing.

        Raises:
            Unavailable: The daemon did not confirm it.
        """
        self.spent = True
        if hasattr(self, "stream"):
            self.stream.close()
        self.daemon.remove(self.id)


def pack(rows: Sequence[Row], limits: Limits) -> bytes:
    """Return the rows as a request.

    Raises:
        BadKernel: Too large, or no JSON.
    """
    return frame.pack([list(row) for row in rows], limits.request_bytes, f"{len(rows)} rows")
