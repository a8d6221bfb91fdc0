"""Does a long history cost anything? A cycle, and four reports, at 10,000 cycles against 42: 70 cells, scripted engine.

Both homes are aged copies of one (`aged.py`). The young one has the newest 42 of the old one's cycles, or a few more,
under the same numbers, so that both run the same next cycles: the same objective, the same recipes with the same seeds,
the same steps, from the same full window of 128 rows. What differs is the history alone. A pair that did different
work is an error, not a number.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.evolution.loop import Evolution
from metaevo.ledger.trials import study_rows
from metaevo.search.space import Params
from metaevo.search.study import WINDOW, Sampler
from services.home.home import Home
from services.home.open import App
from tests.benchmarks import aged
from tests.benchmarks.measure import Line, Result, Spread, alternated, cpu_s, own_cpu_s, say

YOUNG, OLD = 42, 10_000
PAIRS, WARM, REPORTS = 16, 2, 5
"""Interleaved pairs of cycles, cycles before them that are not counted, repeats of each report."""
QUICK = {"young": 42, "old": 200, "pairs": 2, "warm": 1, "reports": 1}
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


@dataclass(slots=True)
class CountingSampler(Sampler):
    """The sampler, which counts what its process is asked."""

    asked: int = 0

    def propose(self, request: Mapping[str, Any]) -> Params:
        """Return what the process proposes."""
        self.asked += 1
        return Sampler.propose(self, request)  # a slotted dataclass has no `super()` without its class


@dataclass(frozen=True, slots=True)
class Work:
    """What one cycle did: equal in both homes of a pair."""

    number: int
    outcome: str
    objective: str
    steps: int
    trials: int
    recipes: tuple[str, ...]
    candidate: str
    asked: int
    """Proposals that Optuna was asked for."""
    window: int
    """Rows of evidence in the study that was asked."""
    evidence: str
    """A fingerprint of those rows."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle took: CPU seconds of the control plane without the engine, and of the sampler's process."""

    work: Work
    control_s: float
    sampler_s: float

    @property
    def cpu_s(self) -> float:
        """Return both."""
        return self.control_s + self.sampler_s


def run(folder: Path, quick: bool = False, first: Home | None = None) -> Result:
    """Age both homes, compare their reports, then let them take turns at cycles."""
    full = {"young": YOUNG, "old": OLD, "pairs": PAIRS, "warm": WARM, "reports": REPORTS}
    size = QUICK if quick else full
    first = first or aged.young(folder / "first")
    homes = {name: Home(shutil.copytree(first.path, folder / name)) for name in ("young", "old")}
    for name, home in homes.items():
        aged.age(home, size["old"] - size["warm"], size[name] - size["warm"])  # the pairs begin at full age
        say(f"history: the {name} home is aged")
    asked = _asked(homes, size["reports"])
    say("history: its reports are compared")
    cycles, load = _cycles(homes, size["pairs"], size["warm"])
    return _result(cycles, asked, (size["young"], size["old"]), load)


def _cycles(homes: dict[str, Home], pairs: int, warm: int) -> tuple[dict[str, list[Cycle]], list[float]]:
    """Let both homes take turns; return what each cycle took, and the load of the machine after each pair."""
    load = []
    with aged.at_work(homes["young"]) as young, aged.at_work(homes["old"]) as old:
        for _, evolution in (young, old):
            evolution.sampler = CountingSampler()
        arms = {"young": lambda: _cycle(*young), "old": lambda: _cycle(*old)}
        made: dict[str, list[Cycle]] = {"young": [], "old": []}
        for pair in range(-warm, pairs):
            names = list(arms) if pair % 2 == 0 else list(reversed(arms))
            both = {name: arms[name]() for name in names}
            check_equal_work(both["young"].work, both["old"].work)
            if pair >= 0:
                load.append(round(os.getloadavg()[0], 2))
                for name, cycle in both.items():
                    made[name].append(cycle)
                say(f"history: pair {pair + 1} of {pairs}: {both['old'].cpu_s / both['young'].cpu_s:.3f}")
    return made, load


def check_equal_work(young: Work, old: Work) -> None:
    """Refuse a pair that cannot be compared.

    Raises:
        RuntimeError: The cycles did different work, or not what is to be measured.
    """
    ours, theirs = asdict(young), asdict(old)
    other = [f"{name} {ours[name]!r} and {theirs[name]!r}" for name in ours if ours[name] != theirs[name]]
    if other:
        raise RuntimeError(f"a pair did different work (young and old): {'; '.join(other)}")
    if old.window != WINDOW or not old.asked:
        raise RuntimeError(
            f"cycle {old.number}: {old.asked} proposals of Optuna from {old.window} rows, want at least 1 from {WINDOW}"
        )


def _cycle(app: App, evolution: Evolution) -> Cycle:
    """Run one cycle that searches, and return what it took; a held candidate is examined first, uncounted."""
    engine: Any = app.host.engine
    sampler: Any = evolution.sampler
    for _ in range(3):
        engine.calls.clear()
        sampler.asked = 0
        before = (own_cpu_s(), cpu_s(sampler.child.pid))
        made = evolution.one()
        control, proposing = own_cpu_s() - before[0], cpu_s(sampler.child.pid) - before[1]
        if made.trials:
            break
    else:
        raise RuntimeError(f"cycle {made.number} searched nothing: {made.why}")
    with app.ledger.look() as connection:
        ask = connection.exec_driver_sql
        steps = ask("select count(*) from step where cycle = ?", (made.number,)).scalar_one()
        study = ask("select distinct study from trial where cycle = ?", (made.number,)).scalar_one()
    rows = [asdict(row) for row in study_rows(app.ledger, study, made.number, WINDOW)]
    work = Work(
        number=made.number,
        outcome=made.outcome,
        objective=str(made.objective),
        steps=int(steps),
        trials=len(made.trials),
        recipes=tuple(trial.recipe for trial in made.trials),
        candidate=made.candidate.id if made.candidate else "",
        asked=sampler.asked,
        window=len(rows),
        evidence=fingerprint(rows),
    )
    busy = sum(call.cpu_s for call in engine.calls)
    return Cycle(work, control - busy, proposing)


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


def _result(
    cycles: dict[str, list[Cycle]],
    asked: dict[str, dict[str, list[dict[str, float]]]],
    ages: tuple[int, int],
    load: Sequence[float],
) -> Result:
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
    lines.append(Line("cycle: steps in either home", Spread.of(float(cycle.work.steps) for cycle in cycles["old"])))
    lines.append(Line("cycle: Optuna asked in either home", Spread.of(float(c.work.asked) for c in cycles["old"])))
    for words, found in asked.items():
        each = [old["cpu_s"] / young["cpu_s"] for old, young in zip(found["old"], found["young"], strict=True)]
        lines.append(Line(f"{words}: CPU, old / young", Spread.of(each), "x", at_most=MOST_REPORT))
        lines.append(Line(f"{words}: CPU, old", Spread.of(took["cpu_s"] for took in found["old"]), "s"))
        peak = Spread.of(took["mib"] for took in found["old"])
        lines.append(Line(f"{words}: peak memory, old", peak, "MiB", at_most=MOST_MIB))
    how = (
        f"Two homes of {ages[0]:,} and {ages[1]:,} cycles of 70 cells, aged from the same real cycles, take turns in "
        "one process, a cycle each, every other time in the opposite order; a ratio is of neighbours. The young home "
        "has the newest of the old one's cycles (at least so many) under the same numbers: objective, evidence (128 "
        "rows), recipes, candidate and steps were the same in both cycles of every pair, else it is an error. CPU "
        "is user and system time of the control plane without the scripted engine's own, and of the process that runs "
        "Optuna. A report is a whole process, its peak memory VmHWM. The interval of the median is bootstrapped, "
        f"{RESAMPLES} times, 95 %. The machine ({os.cpu_count()} cores) had a load of {min(load)} to {max(load)} "
        "meanwhile; the benchmark alone makes about 1, what is above that is other work that ran beside."
    )
    numbers = {
        "median": round(median(ratios), 4),
        "interval of the median": [round(low, 4), round(upper, 4)],
        "pairs": [round(ratio, 4) for ratio in ratios],
        "load after each pair": list(load),
        "cycles": {name: [_shown(cycle) for cycle in made] for name, made in cycles.items()},
        "reports": asked,
    }
    return Result(tuple(lines), how, numbers)


def _share(old: float, young: float) -> float:
    return old / young if young else 1.0


def _shown(cycle: Cycle) -> dict[str, Any]:
    work = asdict(cycle.work)
    facts = {name: work[name] for name in ("number", "outcome", "steps", "trials", "asked", "window")}
    return facts | {"control_s": round(cycle.control_s, 3), "sampler_s": round(cycle.sampler_s, 3)}


def interval(values: Sequence[float], seed: int = 1) -> tuple[float, float]:
    """Return a bootstrapped 95 % interval of the median."""
    random = Random(seed)
    medians = sorted(median(random.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[round(0.025 * RESAMPLES)], medians[round(0.975 * RESAMPLES) - 1]
