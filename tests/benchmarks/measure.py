"""Clocks, spreads and the record of a benchmark."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from tests.evidence import record as proof
from tests.evidence.claims import BENCHMARKS

RESULTS = proof.RESULTS


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some repeats, with the smallest and the largest."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Return the spread of at least one value."""
        known = sorted(values)
        return cls(median(known), known[0], known[-1], len(known))

    def data(self, digits: int = 4) -> dict[str, float]:
        """Return it as plain numbers."""
        return {
            "median": round(self.median, digits),
            "low": round(self.low, digits),
            "high": round(self.high, digits),
            "n": self.n,
        }


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was measured, and the limit it has to keep, if it has one."""

    what: str
    spread: Spread
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    or_upper: tuple[float, float] | None = None
    """Where the median is above its limit: the upper end of its interval, and what that may be instead."""

    @property
    def kept(self) -> bool | None:
        """Return whether the median keeps its limit, None where it has none."""
        if self.at_least is None and self.at_most is None:
            return None
        if self.or_upper is not None and self.or_upper[0] <= self.or_upper[1]:
            return True
        above = self.at_least is None or self.spread.median >= self.at_least
        return above and (self.at_most is None or self.spread.median <= self.at_most)

    @property
    def limit(self) -> str:
        """Return the limit as text."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        more = f" or its upper end {self.or_upper[0]:.3g} at most {self.or_upper[1]:g}" if self.or_upper else ""
        return "" if self.at_most is None else f"at most {self.at_most:g}{more}"

    def data(self) -> dict[str, Any]:
        """Return it as plain data."""
        facts: dict[str, Any] = {"what": self.what, "unit": self.unit, **self.spread.data()}
        return facts | ({"limit": self.limit, "kept": self.kept} if self.limit else {})


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found: the lines of its table, how each was measured, and the numbers behind them."""

    lines: tuple[Line, ...]
    how: str
    numbers: Mapping[str, Any]


def alternated(arms: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Run the arms in turn, ``repeats`` times, every other time in the opposite order; return what each gave."""
    found: dict[str, list[Any]] = {name: [] for name in arms}
    for repeat in range(repeats):
        names = list(arms) if repeat % 2 == 0 else list(reversed(arms))
        for name in names:
            found[name].append(arms[name]())
    return found


def cpu_s(pid: int | None) -> float:
    """Return the CPU seconds that a living process and its threads have used, 0 where there is none."""
    if pid is None:
        return 0.0
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def own_cpu_s() -> float:
    """Return the CPU seconds of this process and its threads."""
    return time.process_time()


def peak_rss_mib() -> float:
    """Return the largest memory this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rss_mib() -> float:
    """Return the memory this process has now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def filesystem(folder: Path) -> str:
    """Return the type of the file system a folder is on."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, type_, *_ = line.split()
        inside = str(folder.resolve()).startswith(point.rstrip("/") + "/") or point == "/"
        if inside and len(point) > len(best):
            best, kind = point, type_
    return kind


def record(name: str, result: Result, *, folder: Path, took_s: float, load: Sequence[float], into: Path) -> Path:
    """Write a benchmark's result with everything needed to judge it; return the file."""
    facts = {
        "benchmark": name,
        "command": f"python -m tests.benchmarks {name}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": proof.commit(),
        "code": proof.code(BENCHMARKS[name]),
        "rests_on": list(BENCHMARKS[name]),
        "machine": {**proof.machine(), "filesystem": filesystem(folder)},
        "load_before_and_after": [round(value, 2) for value in load],
        "took_s": round(took_s, 1),
        "how": result.how,
        "lines": [line.data() for line in result.lines],
        "numbers": result.numbers,
    }
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{name}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path


def rounded(value: Any, digits: int = 3) -> Any:
    """Return plain data with its numbers rounded."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, Mapping):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    return [rounded(entry, digits) for entry in value] if isinstance(value, list | tuple) else value


def say(text: str) -> None:
    """Say on stderr what is being measured: some benchmarks take minutes."""
    print(text, file=sys.stderr, flush=True)
