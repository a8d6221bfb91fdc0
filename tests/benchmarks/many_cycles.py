"""Does a cycle stay as cheap as it was? Control-plane time of cycle 1,000 against cycle 10, scripted engine.

The engine is scripted so that cycle 1,000 has exactly as much to do as cycle 10: what a training has rows of becomes
good, what it has none of fades, so that every cycle finds an objective, gains and promotes. That is the worst
case for the ledger: the champion's line is as long as the run.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from metaevo.evolution.loop import Evolution
from metaevo.testing import ScriptedEngine, Skills
from metaevo.types import Experiences
from services.home.home import Home
from services.home.open import App, open_home
from tests.benchmarks.measure import Line, Result, Spread, alternated, cpu_s, own_cpu_s, peak_rss_mib, say
from tests.benchmarks.metered import Metered

CYCLES = 1000
WARM, IN_A_ROW, REPEATS = 3, 3, 5
"""Cycles of the young home that are not counted, cycles of one timing (the work repeats after three), timings a home.

So the young home stands at cycles 4 to 18 while it is timed, around cycle 10.
"""
MOST_GROWTH = 1.1
LEVELS = (4, 5, 6, 7, 8)
CONFIG = f"""seed = 11
[model]
base = "builtin:tiny"
[environments.sorting]
levels = {list(LEVELS)}
[environments.reversal]
levels = {list(LEVELS)}
[protect]
"*" = false
[gate]
secret_seed = 11
max_items = 320
screen_items = 64
[search]
trials = 1
finals = 1
[diagnosis]
items = 8
samples = 2
"""
START = {f"{name}/{level}": 0.25 for name in ("sorting", "reversal") for level in LEVELS}


class Restless(ScriptedEngine):
    """Learns what it is shown and forgets the rest: there is always something to raise, and never more than that."""

    def _learned(self, skills: Skills, rows: Experiences, strength: float) -> Skills:
        shown = {self._solved(row.attempt.task.text)[0] for row in rows if "replayed" not in row.tags}
        return {cell: 0.85 if cell in shown else max(0.2, round(p - 0.3, 6)) for cell, p in skills.items()}


@dataclass(frozen=True, slots=True)
class Seen:
    """One cycle: CPU seconds by process, wall seconds without the engine, and how large everything is after it."""

    number: int
    outcome: str
    control_cpu_s: float
    sampler_cpu_s: float
    grader_cpu_s: float
    control_wall_s: float
    steps: int
    ledger_bytes: int
    peak_rss_mib: float


def run(folder: Path, quick: bool = False) -> Result:
    """Run the cycles, then compare the old home with a young one, in turn."""
    cycles, repeats = (4, 1) if quick else (CYCLES, REPEATS)
    with _opened(folder / "old") as (old, aged), _opened(folder / "young") as (young, fresh):
        seen = [_cycle(old, aged, cycles) for _ in range(cycles)]
        for _ in range(1 if quick else WARM):
            fresh.one()
        arms = {
            "young": lambda: [_cycle(young, fresh) for _ in range(1 if quick else IN_A_ROW)],
            "old": lambda: [_cycle(old, aged) for _ in range(1 if quick else IN_A_ROW)],
        }
        found = alternated(arms, repeats)
        artifacts = _size(old.host.store.root)
    return _result(seen, found, artifacts)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[App, Evolution]]:
    """Yield a new home with its evolution: the product's defaults, but for few items a cycle."""
    home = Home(path)
    shutil.rmtree(path, ignore_errors=True)
    home.create(CONFIG)
    with open_home(home, make=lambda home, _config, _width: [_engine(home)], engines=1) as app:
        evolution = app.evolution()
        evolution.settings = replace(evolution.settings, pool=48, rehearsal=48, dev=32, anchor=8)
        try:
            yield app, evolution
        finally:
            evolution.sampler.close()


def _engine(home: Home) -> Metered:
    return Metered(Restless(home.store(), START, environments=("sorting", "reversal")))


def _cycle(app: App, evolution: Evolution, total: int = 0) -> Seen:
    """Run one cycle and return what it took."""
    engine: Any = app.host.engine
    engine.calls.clear()
    graders = [child.pid for child in app.host.graders._children]
    before = (own_cpu_s(), cpu_s(evolution.sampler.child.pid), sum(map(cpu_s, graders)), time.monotonic())
    made = evolution.one()
    after = (own_cpu_s(), cpu_s(evolution.sampler.child.pid), sum(map(cpu_s, graders)), time.monotonic())
    own, sampler, grader, wall = (b - a for a, b in zip(before, after, strict=True))
    if total and made.number % 50 == 0:
        say(f"many_cycles: {made.number} of {total}, {wall:.2f} s a cycle")
    return Seen(
        number=made.number,
        outcome=made.outcome,
        control_cpu_s=own - sum(call.cpu_s for call in engine.calls),
        sampler_cpu_s=sampler,
        grader_cpu_s=grader,
        control_wall_s=wall - sum(call.busy_s for call in engine.calls),
        steps=_steps(app, made.number),
        ledger_bytes=_ledger_bytes(app),
        peak_rss_mib=peak_rss_mib(),
    )


def _steps(app: App, cycle: int) -> int:
    with app.ledger.read() as session:
        found = session.connection().exec_driver_sql("select count(*) from step where cycle = ?", (cycle,))
        return int(found.scalar() or 0)


def _ledger_bytes(app: App) -> int:
    """Return the size of the database without its log, which grows and shrinks."""
    with app.ledger.read() as session:
        run = session.connection().exec_driver_sql
        pages, free, size = (run(f"pragma {name}").scalar() for name in ("page_count", "freelist_count", "page_size"))
    return (int(pages or 0) - int(free or 0)) * int(size or 0)


def _size(folder: Path) -> int:
    return sum(os.stat(os.path.join(where, name)).st_size for where, _, names in os.walk(folder) for name in names)


def _result(seen: Sequence[Seen], found: dict[str, list[list[Seen]]], artifacts: int) -> Result:
    old, young = found["old"], found["young"]
    late, early = f"cycle {old[0][0].number}", f"cycle {young[len(young) // 2][0].number}"
    half = seen[len(seen) // 2 :]
    each = (half[-1].ledger_bytes - half[0].ledger_bytes) / max(1, len(half) - 1) / 1024
    lines = (
        Line(f"control-plane CPU, {late} / {early}", _ratio(old, young, _cpu), "x", at_most=MOST_GROWTH),
        Line(f"control-plane wall, {late} / {early}", _ratio(old, young, _wall), "x"),
        Line("control-plane CPU of a young cycle", Spread.of(_cpu(s) for row in young for s in row), "s"),
        Line("control-plane CPU of an old cycle", Spread.of(_cpu(s) for row in old for s in row), "s"),
        Line("ledger a cycle", Spread.of([each]), "KiB"),
        Line("artifacts a cycle", Spread.of([artifacts / old[-1][-1].number / 1024]), "KiB"),
        Line("peak memory of the control plane", Spread.of([seen[-1].peak_rss_mib]), "MiB"),
        Line("memory added a cycle, later half", Spread.of([_rss_slope(seen)]), "KiB"),
    )
    how = (
        "One home is run through all cycles, another one to cycle 3; then the two take turns in one process, three "
        "cycles each, so that both see the same machine: a ratio is of neighbours in time. Control-plane CPU is user "
        "and system time of the control plane and of its sampler process (Optuna), the scripted engine's own time "
        "taken off; wall is the cycle's wall time without the engine's calls (it waits for graders and fsyncs)."
    )
    return Result(lines, how, {"milestones": [_shown(s, seen) for s in seen if _milestone(s.number, len(seen))]})


def _ratio(old: list[list[Seen]], young: list[list[Seen]], clock: Callable[[Seen], float]) -> Spread:
    return Spread.of(sum(map(clock, a)) / sum(map(clock, b)) for a, b in zip(old, young, strict=True))


def _wall(seen: Seen) -> float:
    return seen.control_wall_s


def _cpu(seen: Seen) -> float:
    return seen.control_cpu_s + seen.sampler_cpu_s


def _rss_slope(seen: Sequence[Seen]) -> float:
    """Return KiB of peak memory added a cycle over the later half."""
    half = seen[len(seen) // 2]
    return (seen[-1].peak_rss_mib - half.peak_rss_mib) * 1024 / max(1, seen[-1].number - half.number)


def _milestone(number: int, total: int) -> bool:
    return number in (10, 20, 50) or number % 100 == 0 or number == total


def _shown(at: Seen, seen: Sequence[Seen]) -> dict[str, Any]:
    """Return the means of the ten cycles that end here, and the sizes."""
    ten = [s for s in seen if at.number - 10 < s.number <= at.number]
    return {
        "cycle": at.number,
        **{
            name: round(fmean(getattr(s, name) for s in ten), 4)
            for name in ("control_cpu_s", "sampler_cpu_s", "grader_cpu_s", "control_wall_s", "steps")
        },
        "promoted": sum(s.outcome == "promote" for s in ten) / len(ten),
        "ledger_bytes": at.ledger_bytes,
        "peak_rss_mib": round(at.peak_rss_mib, 1),
    }
