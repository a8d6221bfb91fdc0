"""Counts and times of a tier, for the metrics page: a few numbers, no ids, constant in size."""

import threading
from collections import Counter, deque
from dataclasses import dataclass

from sandbox.types import Verdict

WINDOW = 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters at one moment. Times in seconds over the last 1024 calls; None before the first."""

    calls: dict[Verdict, int]
    rows: int
    starts: int
    waited: int
    """Calls that had to wait for a container's start: the pool did not hide it."""
    recycled: int
    repeated: int
    """Calls repeated in a fresh container because their end could have been infrastructure's."""
    median_s: float | None
    p99_s: float | None


class Meter:
    """Any number of threads may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[Verdict] = Counter()
        self._other: Counter[str] = Counter()
        self._times: deque[float] = deque(maxlen=WINDOW)

    def call(self, verdict: Verdict, rows: int, seconds: float) -> None:
        """Count one call."""
        with self._lock:
            self._calls[verdict] += 1
            self._other["rows"] += rows
            self._times.append(seconds)

    def add(self, what: str) -> None:
        """Count one of: starts, waited, recycled, repeated."""
        with self._lock:
            self._other[what] += 1

    def read(self) -> Reading:
        """Return the counters."""
        with self._lock:
            times, other = sorted(self._times), self._other
            at = [times[min(len(times) - 1, int(len(times) * q))] if times else None for q in (0.5, 0.99)]
            names = ("rows", "starts", "waited", "recycled", "repeated")
            return Reading({v: self._calls[v] for v in Verdict}, *(other[name] for name in names), *at)
