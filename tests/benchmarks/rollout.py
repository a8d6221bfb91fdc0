"""How fast are answers sampled, against a bare batched `generate` loop on the same model, prompts and sampling?"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from metaevo.artifacts import base
from metaevo.artifacts.store import Store
from metaevo.engines.client import EngineClient
from metaevo.engines.grader import GraderPool
from metaevo.engines.protocol import Sampling
from metaevo.tiny import CHECKPOINT
from metaevo.tiny.corpus import PLAN
from metaevo.types import Generation
from objectives.finder import Source
from objectives.types import Messages, Split
from tests.benchmarks.measure import Line, Result, Spread, alternated, cpu_s, own_cpu_s, say
from tests.benchmarks.peer import PlainScript, chats
from tests.benchmarks.plain import BATCH

LEAST = 0.95
PROMPTS, SAMPLES, REPEATS = 768, 4, 7
ALONE = 48
"""Prompts of the loop that answers one by one; its speed is scaled up."""
MOST_TOKENS = 24
THREADS = 1


def run(folder: Path, quick: bool = False) -> Result:
    """Start an engine and a plain script, and compare them."""
    place = folder / "rollout"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    engine = EngineClient(Store(place / "artifacts"), threads=THREADS)
    try:
        with PlainScript(place, THREADS) as plain:
            plain.ready()
            return compared(engine, plain, quick)
    finally:
        engine.close()


def compared(engine: EngineClient, plain: PlainScript, quick: bool = False) -> Result:
    """Sample with the engine and with plain loops, in turn."""
    prompts = tasks(24 if quick else PROMPTS)
    start = Generation("g000000", None, {"policy": base.refer(engine.store, CHECKPOINT, "builtin:tiny")})
    arms = _arms(engine, plain, start, prompts, SAMPLES, 4 if quick else ALONE)
    for name, arm in arms.items():
        say(f"rollout: {name}, {arm()['wall_s']:.1f} s to warm up")
    return _result(alternated(arms, 1 if quick else REPEATS), len(prompts))


def tasks(n: int) -> list[Messages]:
    """Return train prompts of all environments that the tiny model speaks, and all levels, in no order."""
    pool = GraderPool([Source(name, name, ".", {}) for name in sorted(PLAN)])
    try:
        cells = [cell for environment in pool.describe() for cell in environment.cells]
        each = -(-n // len(cells))
        drawn = pool.draw_many([(cell.environment, cell.level, Split.TRAIN, 1, 0, each) for cell in cells])
    finally:
        pool.close()
    prompts = [task.prompt for found in drawn for task in found.tasks]
    Random(1).shuffle(prompts)
    return prompts[:n]


def _arms(
    engine: EngineClient, plain: PlainScript, start: Generation, prompts: list[Messages], n: int, alone: int
) -> dict[str, Callable[[], dict[str, Any]]]:
    how = {"n": n, "temperature": 1.0, "max_tokens": MOST_TOKENS}
    given = chats(prompts)

    def ours(seed: int = 7) -> dict[str, Any]:
        wall, cpu = time.monotonic(), own_cpu_s() + cpu_s(engine.child.pid)
        made = engine.sample(start, prompts, Sampling(n, 1.0, 1.0, MOST_TOKENS, (), seed))
        return {
            "wall_s": time.monotonic() - wall,
            "cpu_s": own_cpu_s() + cpu_s(engine.child.pid) - cpu,
            "tokens": sum(completion.tokens for row in made for completion in row),
            "answers": [completion.text for row in made for completion in row],
        }

    def bare(which: list[Any], batch: int, sort: bool = False) -> Callable[[], dict[str, Any]]:
        return lambda: plain.ask("rollout", folder=str(CHECKPOINT), prompts=which, how=how, batch=batch, sort=sort)

    return {
        "engine": ours,
        "batched": bare(given, BATCH),
        "sorted": bare(given, BATCH, sort=True),
        "one by one": bare(given[:alone], 1),
    }


def _result(found: dict[str, list[dict[str, Any]]], prompts: int) -> Result:
    speed = {name: [row["tokens"] / row["wall_s"] for row in rows] for name, rows in found.items()}
    work = {name: [row["tokens"] / max(1e-9, row["cpu_s"]) for row in rows] for name, rows in found.items()}

    def ratio(of: dict[str, list[float]], a: str, b: str) -> Spread:
        return Spread.of(x / y for x, y in zip(of[a], of[b], strict=True))

    lines = (
        Line("engine / bare batched loop", ratio(speed, "engine", "batched"), "x", at_least=LEAST),
        Line("the same in tokens per CPU second", ratio(work, "engine", "batched"), "x"),
        Line("engine / bare batched loop over sorted prompts", ratio(speed, "engine", "sorted"), "x"),
        Line("the same in tokens per CPU second", ratio(work, "engine", "sorted"), "x"),
        Line("gain of batching: batched / one by one", ratio(speed, "batched", "one by one"), "x"),
        Line("gain of sorting: sorted / batched", ratio(speed, "sorted", "batched"), "x"),
        Line("engine / one by one", ratio(speed, "engine", "one by one"), "x"),
        Line("engine", Spread.of(speed["engine"]), "tokens/s"),
        Line("bare batched loop", Spread.of(speed["batched"]), "tokens/s"),
    )
    how = (
        f"{prompts} train prompts of all built-in environments in no order, {SAMPLES} samples each at temperature 1, "
        f"at most {MOST_TOKENS} tokens, batches of {BATCH} rows, {THREADS} thread a process. The engine is timed from "
        "the control plane (its process, frames and seeded sampling included), the plain loops inside their process. "
        "Speed is tokens up to the end of each answer per second; every ratio is of neighbours in time."
    )
    shown = {
        name: {
            "wall_s": [round(r["wall_s"], 3) for r in rows],
            "cpu_s": [round(r["cpu_s"], 3) for r in rows],
            "tokens": [r["tokens"] for r in rows],
            "answers": len(rows[0]["answers"]),
            "tokens_an_answer": round(median(r["tokens"] / len(r["answers"]) for r in rows), 3),
        }
        for name, rows in found.items()
    }
    return Result(lines, how, shown)
