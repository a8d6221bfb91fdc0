"""How much of a full cycle is model work? And how long does a plain TRL/transformers script take for the same work?

The same cycle is run again and again from copies of one home; the script repeats what the first run asked of the
models: the same prompts with the same sampling, the same rows for the same optimiser steps, one after the other.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metaevo.engines.client import EngineClient
from metaevo.engines.process import Child
from metaevo.search.study import Sampler
from metaevo.tiny import CHECKPOINT
from services.actions.run import demo_text
from services.home.home import Home
from services.home.open import App, open_home
from tests.architecture.tree import ROOT
from tests.benchmarks.measure import Line, Result, Spread, alternated, cpu_s, own_cpu_s, rounded, say
from tests.benchmarks.metered import Call, Metered
from tests.benchmarks.peer import PlainScript, chats
from tests.benchmarks.watch import seconds, since
from tests.recipes import rft

LEAST = 0.85
REPEATS = 5
ONLY_SFT = """
[forbid]                                  # what the plain script repeats is sampling, scoring and SFT
methods = ["policy_gradient", "preference_optimization", "adopt", "adaptive_model_averaging", "diversity_filter"]
"""
QUICK = """seed = 1
[model]
base = "builtin:tiny"
[environments.reversal]
levels = [6]
[search]
trials = 1
finals = 1
[diagnosis]
items = 4
samples = 2
[gate]
secret_seed = 1
max_items = 64
screen_items = 32
[fixed]
recipe = "brief"
"""
BRIEF = rft(
    "brief",
    tasks="knobs = { n = 16 }",
    solutions="knobs = { k = 4 }",
    stability=("low_rank_adaptation",),
    update="knobs = { steps = 3, batch = 8 }",
)


@dataclass(slots=True)
class Bench:
    """A home, what it was when it was new, and the engines that outlive every copy of it."""

    home: Home
    new: Path
    engines: list[Metered]
    seen: list[Path]
    sampler: Sampler
    quick: bool = False


def run(folder: Path, quick: bool = False) -> Result:
    """Start engines and a plain script, and compare them."""
    place = folder / "model_compute"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    cores = len(os.sched_getaffinity(0))
    with started(place, quick) as bench, PlainScript(place, cores) as plain:
        return compared(bench, plain, quick)


def compared(bench: Bench, plain: PlainScript, quick: bool = False) -> Result:
    """Run the cycle and the plain script in turn."""
    say("model_compute: a first cycle, to record its work and to warm up")
    first = cycle(bench, keep=True)
    calls = sorted((call for engine in bench.engines for call in engine.calls), key=lambda call: call.start)
    work = [made for call in calls if (made := replayed(call))]
    plain.ready()
    say(f"model_compute: {first['wall_s']:.0f} s a cycle, {len(work)} calls; the script warms up")

    def script(threads: int) -> dict[str, Any]:
        return plain.ask("work", base=str(CHECKPOINT), name=first["champion"], calls=work, threads=threads)

    choices = {1, len(os.sched_getaffinity(0))}
    tried = {1: 0.0} if quick else {threads: script(threads)["wall_s"] for threads in choices}
    best = min(tried, key=lambda threads: tried[threads])
    found = alternated({"cycle": lambda: cycle(bench), "script": lambda: script(best)}, 1 if quick else REPEATS)
    return _result(found["cycle"], found["script"], len(bench.engines), first | {"threads": best})


@contextmanager
def started(place: Path, quick: bool = False) -> Iterator[Bench]:
    """Yield a founded home, a copy of it, and watched engines, one a parallel trial as by default."""
    width = 1 if quick else len(os.sched_getaffinity(0))
    home = Home(place / "home")
    home.create(QUICK if quick else demo_text(1) + ONLY_SFT)
    (home.path / "recipes" / "brief.toml").write_text(BRIEF)
    files = [place / f"engine{number}.seen" for number in range(width)]
    bench = Bench(home, place / "new", [], files, Sampler(), quick)
    for seen in bench.seen:
        client = EngineClient(home.store(), home.path, threads=max(1, len(os.sched_getaffinity(0)) // width))
        client.child = Child(
            "tests.benchmarks.watched_worker", (str(seen),), client.child.environment | {"PYTHONPATH": str(ROOT)}
        )
        bench.engines.append(Metered(client))
    try:
        with open_home(home, make=lambda *_: bench.engines, engines=width):
            pass
        shutil.copytree(home.path, bench.new)
        yield bench
    finally:
        bench.sampler.close()
        for engine in bench.engines:
            engine.inner.close()


def cycle(bench: Bench, keep: bool = False) -> dict[str, Any]:
    """Run the home's first cycle on a fresh copy and return where the time went."""
    shutil.rmtree(bench.home.path)
    shutil.copytree(bench.new, bench.home.path)
    for engine in bench.engines:
        engine.calls, engine.keep = [], keep
    with open_home(bench.home, make=lambda *_: bench.engines, engines=len(bench.engines)) as app:
        champion = app.host.lineage.get("champion")
        for engine in bench.engines:
            engine.inner.probe(champion)  # drops the models of the last run and loads the champion
        evolution = app.evolution()
        evolution.sampler.close()
        evolution.sampler = bench.sampler
        if bench.quick:
            evolution.settings = replace(evolution.settings, pool=32, rehearsal=16, dev=16, anchor=4)
        phases: list[tuple[float, str]] = []
        evolution.on_phase = lambda _cycle, phase, _detail: phases.append((time.monotonic(), phase))
        seen = [seconds(path) for path in bench.seen]
        cpu, start = _cpu(bench, app), time.monotonic()
        made = evolution.one()
        end, after = time.monotonic(), _cpu(bench, app)
        spent = [since(path, before) for path, before in zip(bench.seen, seen, strict=True)]
    calls = [call for engine in bench.engines for call in engine.calls]
    return {
        "wall_s": end - start,
        "busy_s": sum(call.busy_s for call in calls),
        "covered_s": covered([(call.start, call.end) for call in calls]),
        "model_s": sum(kinds["generate"] + kinds["train"] + kinds["forward"] for kinds in spent),
        "engine_s": {kind: sum(kinds[kind] for kinds in spent) for kind in spent[0]},
        "cpu_s": {name: after[name] - cpu[name] for name in cpu},
        "phases": _phases(phases, end, calls),
        "outcome": made.outcome,
        "trials": len(made.trials),
        "champion": champion.parts["policy"],
        "tokens": _rolled_out(calls) if keep else None,
        "steps": sum(call.given[0].knobs["steps"] for call in calls if call.kind == "train") if keep else None,
    }


def _cpu(bench: Bench, app: App) -> dict[str, float]:
    """Return the CPU seconds of every kind of process so far."""
    return {
        "engines": sum(cpu_s(engine.inner.child.pid) for engine in bench.engines),  # type: ignore[attr-defined]
        "control plane": own_cpu_s(),
        "sampler": cpu_s(bench.sampler.child.pid),
        "graders": sum(cpu_s(child.pid) for child in app.host.graders._children),
    }


def _phases(marks: Sequence[tuple[float, str]], end: float, calls: Sequence[Call]) -> dict[str, dict[str, float]]:
    """Return the wall seconds of each phase, and how long engines were busy in it, all of them together."""
    found: dict[str, dict[str, float]] = {}
    for (start, phase), until in zip(marks, [*(at for at, _ in marks[1:]), end], strict=True):
        busy = sum(max(0.0, min(call.end, until) - max(call.start, start)) for call in calls)
        entry = found.setdefault(phase, {"wall_s": 0.0, "busy_s": 0.0})
        entry["wall_s"] += until - start
        entry["busy_s"] += busy
    return found


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return how long at least one of the spans lasts."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _rolled_out(calls: Sequence[Call]) -> int:
    return sum(c.tokens for call in calls if call.kind == "sample" for row in call.made for c in row)


def replayed(call: Call) -> dict[str, Any] | None:
    """Return a call as the plain script repeats it; None for what only an engine does (probing, exporting).

    Raises:
        ValueError: It trained by another method than supervised fine-tuning.
    """
    if call.kind == "sample":
        generation, prompts, how = call.given
        facts = {"n": how.n, "temperature": how.temperature, "max_tokens": how.max_tokens}
        return {"kind": "sample", "model": generation.parts["policy"], "prompts": chats(prompts), **facts}
    if call.kind == "score":
        generation, prompts, texts = call.given
        return {"kind": "score", "model": generation.parts["policy"], "prompts": chats(prompts), "texts": list(texts)}
    if call.kind != "train":
        return None
    job, batch = call.given
    if job.module != "supervised_finetune":
        raise ValueError(f"the plain script cannot repeat {job.slot}.{job.module}")
    rows = [(chats([row.attempt.task.prompt])[0], row.attempt.solution.text) for row in batch]
    lora = job.spec.lora
    return {
        "kind": "train",
        "model": job.start.parts["policy"],
        "made": call.made.parts["policy"],
        "rows": rows,
        "steps": job.knobs["steps"],
        "batch": job.knobs["batch"],
        "lr": job.knobs["lr"],
        "lora": {"r": lora.r, "lora_alpha": lora.alpha, "lora_dropout": lora.dropout} if lora else None,
    }


def _result(cycles: list[dict[str, Any]], scripts: list[dict[str, Any]], engines: int, first: dict[str, Any]) -> Result:
    cpu = [c["cpu_s"] for c in cycles]
    lines = (
        Line("wall with an engine busy", Spread.of(c["covered_s"] / c["wall_s"] for c in cycles), "of wall", LEAST),
        Line("engines busy", Spread.of(c["busy_s"] / (c["wall_s"] * engines) for c in cycles), "of wall x engines"),
        Line("engines' CPU", Spread.of(c["engines"] / sum(c.values()) for c in cpu), "of all CPU"),
        Line(
            "inside the model", Spread.of(c["model_s"] / (c["wall_s"] * engines) for c in cycles), "of wall x engines"
        ),
        Line("the script: inside the model", Spread.of(s["model_s"] / s["wall_s"] for s in scripts), "of wall"),
        Line("script's wall / cycle's wall", _ratio(scripts, cycles, "wall_s"), "x"),
        Line(
            "script's CPU / cycle's CPU",
            Spread.of(s["cpu_s"] / sum(c.values()) for s, c in zip(scripts, cpu, strict=True)),
            "x",
        ),
        Line("a cycle", Spread.of(c["wall_s"] for c in cycles), "s"),
        Line("the script", Spread.of(s["wall_s"] for s in scripts), "s"),
    )
    how = (
        "An engine is busy between a request to its process and its answer. The limit is on the share of the cycle's "
        "wall in which at least one is, the rest being what the control plane costs; stricter, and without a limit: "
        "engines busy, over all engines, divided by wall and their number (one a core; trials are few, so one of two "
        "often waits for the last of a round). Inside the model: seconds the engines' main "
        "threads spend in generate, in a trainer's loop or in another forward call, seen by a thread that looks at "
        "their stacks every 10 ms. The script is one process with one thread or all cores, whichever was faster; it "
        "neither grades nor decides nor writes anything but its checkpoints. Both have their libraries imported before "
        "the clock starts."
    )
    keys = ("wall_s", "busy_s", "covered_s", "model_s", "engine_s", "cpu_s", "phases", "outcome", "trials")
    numbers = {
        "engines": engines,
        "cycle": {"tokens": first["tokens"], "sft_steps": first["steps"]},
        "script": {"tokens": scripts[0]["tokens"], "sft_steps": scripts[0]["steps"], "threads": first["threads"]},
        "cycles": [rounded({key: c[key] for key in keys}) for c in cycles],
        "scripts": [rounded({key: s[key] for key in ("wall_s", "cpu_s", "model_s")}) for s in scripts],
    }
    return Result(lines, how, numbers)


def _ratio(a: list[dict[str, Any]], b: list[dict[str, Any]], key: str) -> Spread:
    return Spread.of(x[key] / y[key] for x, y in zip(a, b, strict=True))
