"""What does a journalled step cost, when the step itself does nothing? Against a plain file written durably.

A step is two commits (opened, finished) and what it made: a small record stands in the ledger's row, a batch is a file
of the store. The process may die after any of them.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from metaevo import testing
from metaevo.artifacts.store import Store, sync, write_synced
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.ledger import open_ledger
from tests.benchmarks.measure import Line, Result, Spread, alternated, own_cpu_s

BLOCK = 25
"""Steps in a row of one arm: one timing is the mean of so many."""
REPEATS = 15
MOST_MS = 2.0


def run(folder: Path, quick: bool = False) -> Result:
    """Time steps, plain durable files and bare fsyncs, in turn."""
    place = folder / "durable_step"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    ledger = open_ledger(place / "metaevo.db", create=True)
    try:
        journal = Journal(ledger, Store(place / "artifacts"), seed=1)
        arms = {"step": _stepper(journal), "batch": _batcher(journal), "file": _filer(place), "fsync": _fsyncer(place)}
        for arm in arms.values():
            arm()  # the first one pays for imports, tables' caches and folders
        block = 3 if quick else BLOCK
        found = alternated({name: _timed(arm, block) for name, arm in arms.items()}, 2 if quick else REPEATS)
    finally:
        ledger.close()
    return _result(
        {name: [wall for wall, _ in rows] for name, rows in found.items()}, [cpu for _, cpu in found["step"]]
    )


def _stepper(journal: Journal) -> Callable[[], None]:
    """Return a step that does nothing but give a record nobody has stored yet."""
    count = iter(range(10**9))

    def step() -> None:
        number = next(count)
        key = At(1 + number // 100).key("noop", number % 100)
        made = journal.step(key, f"mark {number}", lambda: {"number": number}, kind=dict[str, int])
        if made != {"number": number}:
            raise AssertionError(f"step {number} was not recorded")

    return step


def _batcher(journal: Journal) -> Callable[[], None]:
    """Return a step that gives one attempt nobody has stored yet: a body of its own."""
    count = iter(range(10**9))

    def step() -> None:
        number = next(count)
        key = At(1 + number // 100).key("batch", number % 100)
        made = (testing.attempt(f"answer {number}"),)
        if journal.step(key, f"mark {number}", lambda: made) != made:
            raise AssertionError(f"batch {number} was not recorded")

    return step


def _filer(place: Path) -> Callable[[], None]:
    """Return what a careful plain script does instead: a JSON file, written aside, forced to disk and renamed."""
    (place / "plain").mkdir()
    count = iter(range(10**9))

    def write() -> None:
        path = place / "plain" / f"{next(count)}.json"
        write_synced(path.with_suffix(".new"), json.dumps({"mark": "mark", "number": path.stem}).encode())
        path.with_suffix(".new").rename(path)
        sync(path.parent)

    return write


def _fsyncer(place: Path) -> Callable[[], None]:
    """Return one write of 4 KiB into a file that is there, forced to disk."""
    handle = os.open(place / "fsync", os.O_RDWR | os.O_CREAT, 0o600)

    def write() -> None:
        os.pwrite(handle, os.urandom(4096), 0)
        os.fsync(handle)

    return write


def _timed(arm: Callable[[], None], block: int) -> Callable[[], tuple[float, float]]:
    """Return a timing of ``block`` runs: mean wall and CPU milliseconds."""

    def timing() -> tuple[float, float]:
        wall, cpu = time.perf_counter(), own_cpu_s()
        for _ in range(block):
            arm()
        return 1000 * (time.perf_counter() - wall) / block, 1000 * (own_cpu_s() - cpu) / block

    return timing


def _result(wall_ms: dict[str, list[float]], cpu_ms: list[float]) -> Result:
    pairs = list(zip(wall_ms["step"], wall_ms["file"], wall_ms["fsync"], strict=True))
    lines = (
        Line("a journalled step that does nothing", Spread.of(wall_ms["step"]), "ms", at_most=MOST_MS),
        Line("of it CPU", Spread.of(cpu_ms), "ms"),
        Line("one that makes a batch of one attempt", Spread.of(wall_ms["batch"]), "ms"),
        Line("a plain JSON file, written durably", Spread.of(wall_ms["file"]), "ms"),
        Line("one fsync of 4 KiB on the same disk", Spread.of(wall_ms["fsync"]), "ms"),
        Line("step / plain file", Spread.of(step / file for step, file, _ in pairs), "x"),
        Line("step / fsync", Spread.of(step / sync_ for step, _, sync_ in pairs), "x"),
    )
    how = (
        "Wall time on the file system of the benchmark's folder; every timing is the mean of a block in a row, the "
        "arms take turns. A step is two SQLite commits (WAL; the second with synchronous=FULL), its record in the "
        "ledger's row; a batch is a file beside it (file and folder forced to disk); the plain file is written aside, "
        "forced, renamed, its folder forced."
    )
    return Result(
        lines,
        how,
        {
            "step_ms": wall_ms["step"],
            "batch_ms": wall_ms["batch"],
            "file_ms": wall_ms["file"],
            "fsync_ms": wall_ms["fsync"],
        },
    )
