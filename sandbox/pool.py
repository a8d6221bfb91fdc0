"""Warm containers: each bound to a kernel version, and bound anew for the next; blank ones stand by.

    take(version)   an idle container of that version; else, where enough are idle, the longest unused of another
                    version, which binds anew; else a blank one, a bound one, a new one
    give(container) back if it is clean and has calls left; otherwise it is removed and a blank one started

A stream of new programs thus costs no starts. One thread of the pool removes and starts; a call waits for it only
when no container is left. Containers that an unreachable daemon would not remove are remembered and removed when it
answers again; those of dead processes are swept at start (`Ground`).
"""

import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable
from typing import Protocol

from sandbox.container import Container
from sandbox.errors import SandboxError, Unavailable
from sandbox.meter import Meter

CALLS = 1000
"""A container is recycled after so many calls (THREATS.md 1.2, R4)."""
KEEP = 2
"""So many bound containers are kept before one is bound anew."""


class Ground(Protocol):
    """What containers stand on: a daemon that outlives this process, or this machine."""

    def start(self, session: str) -> Container:
        """Return a blank container of this session."""

    def sweep(self, session: str, left: set[str]) -> int:
        """Remove what is provably dead and what this session left; return how many. Raises Unavailable."""

    def clear(self, session: str) -> None:
        """Remove everything of this session that is still there. Raises Unavailable."""


class Pool:
    """Any number of threads may take and give."""

    def __init__(
        self,
        ground: Ground,
        *,
        standby: int = 1,
        most: int = 8,
        calls: int = CALLS,
        life_s: float = float("inf"),
        meter: Meter | None = None,
    ) -> None:
        self.ground, self.standby, self.most, self.calls, self.life_s = ground, standby, most, calls, life_s
        self.session = secrets.token_hex(8)
        self.meter = meter or Meter()
        self._lock = threading.Condition()
        self._blank: list[Container] = []
        self._idle: list[Container] = []
        self._out: set[Container] = set()
        self._starting, self._closed = 0, False
        self._left: set[str] = set()
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._pending = 0
        self.sweep()
        self._thread = threading.Thread(target=self._serve, name="sandbox-pool", daemon=True)
        self._thread.start()
        self._refill()

    def take(self, version: str, *, fresh: bool = False) -> Container:
        """Return a container for a kernel version: bound to it, or to be bound. The caller gives it back.

        With ``fresh`` it is one that has served nobody.

        Raises:
            Unavailable: No container can be started.
        """
        with self._lock:
            self._retire()
            found = self._chosen(version, fresh)
            if found:
                self._out.add(found)
                self._make_room()
        if found is None:
            self.meter.add("waited")
            found = self._start()
            with self._lock:
                self._out.add(found)
        self._refill()
        return found

    def _chosen(self, version: str, fresh: bool) -> Container | None:
        """Return a container and take it out of its list. The lock is held."""
        same = [c for c in self._idle if c.kernel and c.kernel.version == version]
        bound = sorted(self._idle, key=lambda c: c.used_s)
        for found in () if fresh else (*same[:1], *bound[: len(bound) >= KEEP]):
            self._idle.remove(found)
            return found
        if self._blank:
            return self._blank.pop(0)
        if bound and not fresh:
            self._idle.remove(bound[0])
            return bound[0]
        return None

    def give(self, container: Container) -> None:
        """Take a container back; one that is spent, worn or one too many is removed before this returns."""
        with self._lock:
            self._out.discard(container)
            keep = not (container.spent or self._closed or container.calls >= self.calls)
            if keep:
                container.used_s = time.monotonic()
                self._idle.append(container)
                self._make_room()
        if not keep:
            self.meter.add("recycled")
            self._remove(container)
        self._refill()

    def renew(self) -> None:
        """Give up every container that stands ready: what they stand on may have begun anew."""
        with self._lock:
            self._retire(before=time.monotonic())

    def settle(self, wait_s: float = 30.0) -> bool:
        """Return whether, within a time, every start and removal under way has ended."""
        with self._lock:
            return self._lock.wait_for(lambda: self._pending == 0, wait_s)

    def count(self) -> int:
        """Return how many containers live."""
        with self._lock:
            return len(self._blank) + len(self._idle) + len(self._out)

    def ids(self, version: str) -> list[str]:
        """Return the ids of the containers that are bound to a kernel version."""
        with self._lock:
            return [c.id for c in (*self._idle, *self._out) if c.kernel and c.kernel.version == version]

    def sweep(self) -> int:
        """Remove what is provably dead, and what was left behind; return how many.

        Raises:
            Unavailable: The daemon does not answer.
        """
        gone = self.ground.sweep(self.session, self._left)
        self._left.clear()
        return gone

    def close(self) -> None:
        """Remove every container and end the thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle = self._blank + self._idle
            self._blank, self._idle = [], []
        self._work.put(None)
        self._thread.join()
        for container in idle:
            self._remove(container)
        with contextlib.suppress(Unavailable):
            self.ground.clear(self.session)

    def _retire(self, before: float | None = None) -> None:
        """Hand what is too old for its lease to the thread, or all from before a moment. The lock is held."""
        oldest = time.monotonic() - self.life_s if before is None else before
        for kept in (self._idle, self._blank):
            for container in [c for c in kept if c.born < oldest]:
                kept.remove(container)
                self._later(lambda gone=container: self._remove(gone))  # type: ignore[misc]

    def _make_room(self) -> None:
        """Hand the longest unused container to the thread while there are too many. The lock is held."""
        while self._idle and len(self._idle) + len(self._out) > self.most:
            oldest = min(self._idle, key=lambda c: c.used_s)
            self._idle.remove(oldest)
            self._later(lambda gone=oldest: self._remove(gone))  # type: ignore[misc]

    def _refill(self) -> None:
        with self._lock:
            while not self._closed and len(self._blank) + self._starting < self.standby:
                self._starting += 1
                self._later(self._stand_by)

    def _later(self, work: Callable[[], None]) -> None:
        self._pending += 1
        self._work.put(work)

    def _stand_by(self) -> None:
        try:
            fresh: Container | None = self._start()
        except SandboxError:
            fresh = None  # a call that needs one meets the error itself
        with self._lock:
            self._starting -= 1
            if fresh and not self._closed:
                self._blank.append(fresh)
                fresh = None
        if fresh:
            self._remove(fresh)

    def _start(self) -> Container:
        if self._left:
            with contextlib.suppress(Unavailable):
                self.sweep()
        self.meter.add("starts")
        return self.ground.start(self.session)

    def _remove(self, container: Container) -> None:
        try:
            container.remove()
        except Unavailable:
            self._left.add(container.id)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            finally:
                with self._lock:
                    self._pending -= 1
                    self._lock.notify_all()
