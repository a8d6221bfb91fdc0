"""Does a long history cost anything? A cycle, and four reports, at 10,000 cycles against 42: 70 cells, scripted engine.

Both homes are aged copies of one (`aged.py`): the study that is asked has its full window of 128 rows in both, and
Optuna really proposes. What differs is the history alone.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from metaevo.evolution.loop import Evolution
from services.home.home import Home
from services.home.open import App
from tests.benchmarks import aged
from tests.benchmarks.measure import Line, Result, Spread, alternated, cpu_s, own_cpu_s, say

YOUNG, OLD = 42, 10_000
PAIRS, WARM, REPORTS = 16, 2, 5
"""Interleaved pairs of cycles, cycles before them that are not counted, repeats of each report."""
MOST_MEDIAN, MOST_UPPER = 1.05, 1.10
"""What a cycle may cost at 10,000: the median of the pairs, or the upper end of its interval."""
MOST_REPORT, MOST_MIB = 1.2, 90.0
ASKED = (
    ("status",),
    ("why", "--latest"),
    ("goals", "list"),
    ("generations", "--last", "50"),
)
RESAMPLES = 4000
WHOLE = """
import json, resource, sys
from services.cli import main
sys.argv[:] = ["metaevo", *sys.argv[1:]]
code = 0
try:
    main()
except SystemExit as end:
    code = end.code
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
cpu = sum(use.ru_utime + use.ru_stime for use in used)
print(json.dumps({"code": code, "cpu_s": cpu, "mib": int(peak.split()[1]) / 1024}), file=sys.stderr)
"""
"""A command as a whole process that says at its end what it took (its own peak: a parent's counts in ru_maxrss)."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle took: CPU seconds of the control plane without the engine, and of the sampler's process."""

    number: int
    outcome: str
    control_s: float
    sampler_s: float
    steps: int
    proposed: int

    @property
    def cpu_s(self) -> float:
        """Return both."""
        return self.control_s + self.sampler_s


def run(folder: Path, quick: bool = False) -> Result:
    """Age both homes, compare their reports, then let them take turns at cycles."""
    young, old, pairs = (10, 60, 2) if quick else (YOUNG, OLD, PAIRS)
    first = aged.young(folder / "first")
    homes = {name: Home(shutil.copytree(first.path, folder / name)) for name in ("young", "old")}
    for name, cycles in (("young", young), ("old", old)):
        aged.age(homes[name], cycles)
        say(f"history: {name} home has {cycles} cycles")
    asked = _asked(homes, 1 if quick else REPORTS)
    cycles = _cycles(homes, pairs, 1 if quick else WARM)
    return _result(cycles, asked)


def _cycles(homes: dict[str, Home], pairs: int, warm: int) -> dict[str, list[Cycle]]:
    with aged.at_work(homes["young"]) as young, aged.at_work(homes["old"]) as old:
        for _ in range(warm):
            _cycle(*young)
            _cycle(*old)
        return alternated({"young": lambda: _cycle(*young), "old": lambda: _cycle(*old)}, pairs)


def _cycle(app: App, evolution: Evolution) -> Cycle:
    """Run one cycle that searches, and return what it took; a held candidate is examined first, uncounted."""
    engine: Any = app.host.engine
    for _ in range(3):
        engine.calls.clear()
        child = evolution.sampler.child
        before = (own_cpu_s(), cpu_s(child.pid))
        made = evolution.one()
        own, sampler = own_cpu_s() - before[0], cpu_s(child.pid) - before[1]
        if made.trials:
            break
    else:
        raise RuntimeError(f"cycle {made.number} searched nothing: {made.why}")
    with app.ledger.read() as session:
        ask = session.connection().exec_driver_sql
        query = "select count(*), sum(step = 'search.ask') from step where cycle = ?"
        steps, proposed = ask(query, (made.number,)).one()
    busy = sum(call.cpu_s for call in engine.calls)
    return Cycle(made.number, made.outcome, own - busy, sampler, int(steps), int(proposed))


def _asked(homes: dict[str, Home], repeats: int) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Return what every report took in either home, as whole processes that take turns."""
    found = {}
    for words in ASKED:
        arms = {name: lambda home=home, words=words: _whole(home, words) for name, home in homes.items()}
        found[" ".join(words)] = alternated(arms, repeats)
    return found


def _whole(home: Home, words: Sequence[str]) -> dict[str, float]:
    command = [sys.executable, "-c", WHOLE, "--home", str(home.path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    if said.pop("code"):
        raise RuntimeError(f"metaevo {' '.join(words)}: {done.stderr}")
    return said


def _result(cycles: dict[str, list[Cycle]], asked: dict[str, dict[str, list[dict[str, float]]]]) -> Result:
    ratios = [old.cpu_s / young.cpu_s for old, young in zip(cycles["old"], cycles["young"], strict=True)]
    low, upper = interval(ratios)
    whole = Line(
        "cycle: CPU of control plane and sampler, old / young",
        Spread.of(ratios),
        "x",
        at_most=MOST_MEDIAN,
        or_upper=(upper, MOST_UPPER),
    )
    lines = [whole]
    for name in ("control_s", "sampler_s"):
        each = [_share(getattr(o, name), getattr(y, name)) for o, y in zip(cycles["old"], cycles["young"], strict=True)]
        lines.append(Line(f"cycle: {name.removesuffix('_s')} alone", Spread.of(each), "x"))
    for name, made in cycles.items():
        lines.append(Line(f"cycle of the {name} home: CPU", Spread.of(cycle.cpu_s for cycle in made), "s"))
        lines.append(Line(f"cycle of the {name} home: steps", Spread.of(float(cycle.steps) for cycle in made)))
    for words, found in asked.items():
        each = [old["cpu_s"] / young["cpu_s"] for old, young in zip(found["old"], found["young"], strict=True)]
        lines.append(Line(f"{words}: CPU, old / young", Spread.of(each), "x", at_most=MOST_REPORT))
        lines.append(Line(f"{words}: CPU, old", Spread.of(took["cpu_s"] for took in found["old"]), "s"))
        peak = Spread.of(took["mib"] for took in found["old"])
        lines.append(Line(f"{words}: peak memory, old", peak, "MiB", at_most=MOST_MIB))
    how = (
        "Two homes, aged to 42 and 10,000 cycles of 70 cells from the same real cycles, take turns in one process, a "
        "cycle each, every other time in the opposite order; a ratio is of neighbours. CPU is user and system time of "
        "the control plane without the scripted engine's own, and of the process that runs Optuna. A report is a whole "
        f"process, its peak memory VmHWM. The interval of the median is bootstrapped, {RESAMPLES} times, 95 %."
    )
    numbers = {
        "median": round(median(ratios), 4),
        "interval of the median": [round(low, 4), round(upper, 4)],
        "pairs": [round(ratio, 4) for ratio in ratios],
        "cycles": {name: [_shown(cycle) for cycle in made] for name, made in cycles.items()},
        "reports": asked,
    }
    return Result(tuple(lines), how, numbers)


def _share(old: float, young: float) -> float:
    return old / young if young else 1.0


def _shown(cycle: Cycle) -> list[Any]:
    return [
        cycle.number,
        cycle.outcome,
        round(cycle.control_s, 3),
        round(cycle.sampler_s, 3),
        cycle.steps,
        cycle.proposed,
    ]


def interval(values: Sequence[float], seed: int = 1) -> tuple[float, float]:
    """Return a bootstrapped 95 % interval of the median."""
    random = Random(seed)
    medians = sorted(median(random.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[round(0.025 * RESAMPLES)], medians[round(0.975 * RESAMPLES) - 1]
