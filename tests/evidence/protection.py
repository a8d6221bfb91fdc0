"""Protection's operating characteristic: ``python -m tests.evidence.protection [--arms A …] [--times N]``; resumed.

The decision's own code (`check_protection`) on drawn outcomes: what is unchanged and how often it is kept, what loses
and how often it passes, over all looks and over the nights of a hold (four at most).
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from objectives.goals import Rule
from objectives.statistics import wilson
from objectives.types import Cell
from tests.evidence import record
from tests.metaevo.gate.drawn import BASE, DrawnExam, over_nights

CLAIM = "protection"
CELLS = tuple(Cell(f"env{i}", 1) for i in range(16))
NIGHTS = 4
EIGHT = tuple(Rule(f"ability {i}", (CELLS[i],), 0.03) for i in range(8))
ONE = (Rule("ability", (CELLS[0],), 0.03),)
TIGHT = (Rule("ability", (CELLS[0],), 0.02),)
TWO = (Rule("ability", (CELLS[0], CELLS[1]), 0.03, own_cell_margin=1.0),)
ARMS: Mapping[str, tuple[tuple[Rule, ...], dict[str, Any]]] = {
    "eight unchanged abilities": (EIGHT, {"discordant": 0.10}),
    "identical, sampled, 3 % unreadable": (ONE, {"sampled": True, "unreadable": 0.03, "skill": 0.9}),
    "at the limit, discordance .05": (ONE, {"discordant": 0.05, "gains": {CELLS[0]: -0.03}}),
    "at the limit, discordance .10": (ONE, {"discordant": 0.10, "gains": {CELLS[0]: -0.03}}),
    "at the limit, discordance .35": (ONE, {"discordant": 0.35, "gains": {CELLS[0]: -0.03}}),
    "at the limit by one cell of two": (TWO, {"discordant": 0.10, "gains": {CELLS[0]: -0.26, CELLS[1]: 0.20}}),
    "four points under a margin of two": (TIGHT, {"discordant": 0.10, "gains": {CELLS[0]: -0.04}}),
}


def measured(arm: str, times: int) -> dict[str, Any]:
    """Return how often all was kept, in one night and in the end, with 95 % intervals, and the items it took."""
    rules, facts = ARMS[arm]
    kept, at_once, asked = 0, 0, 0
    for seed in range(times):
        exams = [DrawnExam(Random(f"{arm}/{seed}/{night}"), **facts) for night in range(NIGHTS)]
        fine, night, items = over_nights(exams, rules, BASE)
        kept, at_once, asked = kept + fine, at_once + (fine and night == 1), asked + items
    share, first = wilson(kept, times), wilson(at_once, times)
    return {
        "decisions": times,
        "kept": [round(number, 4) for number in share[:3]],
        "kept in the first night": [round(number, 4) for number in first[:3]],
        "items a decision": round(asked / times),
    }


def run(arms: list[str], times: int, told: Callable[[str], None]) -> None:
    """Measure the arms that are missing, and write each as it ends."""
    for arm in arms:
        known = record.read(CLAIM).get(arm)
        if known is not None and known["numbers"]["decisions"] >= times:
            continue
        began = time.monotonic()
        numbers = measured(arm, times)
        command = f"python -m tests.evidence.protection --arms {json.dumps(arm)} --times {times}"
        record.write(CLAIM, arm, command, list(range(times))[:1], numbers, time.monotonic() - began)
        told(f"{arm}: {json.dumps(numbers)}")


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--times", type=int, default=1000)
    given = parser.parse_args()
    run(given.arms, given.times, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
