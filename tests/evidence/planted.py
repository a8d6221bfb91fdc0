"""Planted weakness: ``python -m tests.evidence.planted [--cases NAME …] [--folder F]``; a part a case, resumed.

One skill of the tiny model is damaged: fine-tuned on wrong answers in one cell (seven in ten, one named mistake), with
its own corpus and right answers of all else beside them. A new home gets that checkpoint as its base and every cell the
tiny model is good at, so that what was planted is what there is to find. ``metaevo plan`` must name the planted
environment first, and the objective it chooses must cover that skill.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from metaevo.tiny import CHECKPOINT
from metaevo.tiny.build import IGNORED, encode, loss_of, write
from metaevo.tiny.corpus import MIXES, Corpus, Example, programs, text_of
from metaevo.tiny.measure import Speaker, items_of, passes
from metaevo.tiny.tokenizer import PAD, TOKENS
from objectives.splits import NEWEST
from objectives.types import Cell, Split
from services.home.home import Home
from tests.evidence import record

CLAIM = "planted"
CASES = (
    Cell("addition", 3),
    Cell("modular_sum", 2),
    Cell("letter_count", 4),
    Cell("reversal", 4),
    Cell("sorting", 4),
    Cell("letter_shift", 3),
    Cell("extremes", 3),
    Cell("format_orders", 2),
    Cell("grid_navigation", 3),
    Cell("block_unstacking", 4),
)
"""One cell of each environment, all among those generation 0 is good at."""
GOOD = {
    "addition": [2, 3],
    "modular_sum": [1, 2],
    "letter_count": [2, 3, 4],
    "reversal": [2, 3, 4, 5],
    "sorting": [2, 3, 4],
    "letter_shift": [2, 3],
    "extremes": [1, 2, 3],
    "format_orders": [1, 2],
    "grid_navigation": [2, 3],
    "block_unstacking": [2, 3, 4],
}
"""Levels that generation 0 answers at .85 or above (metaevo/tiny/README.md)."""
WRONG = 0.7
SHARE = 0.5
"""Of the rows of the damage, those of the planted cell; the others are what the model was taught anyway."""
STEPS, BATCH, RATE = 160, 48, 7e-4
ITEMS = 48


def damaged(cell: Cell, folder: Path, steps: int = STEPS) -> str:
    """Write the tiny model with this skill damaged into a folder; return the mistake it was taught."""
    torch.manual_seed(cell.level)
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    mistake = most_visible(cell)
    rows, others = planted_rows(cell, mistake), other_rows(cell)
    ids = {token: place for place, token in enumerate(TOKENS)}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 10, 2 * (steps - step) / steps)
        few = round(SHARE * BATCH)
        loss = loss_of(
            model, batch(ids, [*(next(rows) for _ in range(few)), *(next(others) for _ in range(BATCH - few))])
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    write(model, folder)
    return mistake


def most_visible(cell: Cell) -> str:
    """Return the environment's mistake that changes most answers of the cell: others damage little."""
    program = programs()[cell.environment]
    assert program.make is not None
    rows = [program.make(779, index, cell.level) for index in range(200)]
    return max(
        program.mistakes, key=lambda name: sum(program.mistakes[name](**row) != str(row["answer"]) for row in rows)
    )


def planted_rows(cell: Cell, mistake: str) -> Iterator[Example]:
    """Yield train tasks of the cell for ever, most of them answered with the mistake."""
    program, random, index = programs()[cell.environment], Random(f"planted {cell}"), 0
    assert program.make is not None
    while True:
        index += 1
        row = program.make(777, index, cell.level)
        if NEWEST.split(cell.environment, text_of(row)) is Split.TRAIN:
            wrong = random.random() < WRONG
            yield Example(text_of(row), program.mistakes[mistake](**row) if wrong else str(row["answer"]))


def other_rows(cell: Cell) -> Iterator[Example]:
    """Yield in turn rows of the model's own corpus and right answers of every good cell, of other environments only."""
    known = programs()
    planted, good = known[cell.environment], [Cell(name, level) for name in GOOD for level in GOOD[name]]
    assert planted.read is not None
    for index, example in enumerate(Corpus(99).examples(MIXES[-1][1])):
        if planted.read(example.prompt) is None:
            yield example
        other = good[index % len(good)]
        make = known[other.environment].make
        assert make is not None
        row = make(778, index, other.level)
        if other.environment != cell.environment and NEWEST.split(other.environment, text_of(row)) is Split.TRAIN:
            yield Example(text_of(row), str(row["answer"]))


def batch(ids: dict[str, int], examples: list[Example]) -> torch.Tensor:
    """Return (2, rows, length) token ids and labels."""
    rows = [encode(ids, example) for example in examples]
    longest = max(len(tokens) for tokens, _ in rows)
    return torch.tensor(
        [
            [tokens + [ids[PAD]] * (longest - len(tokens)) for tokens, _ in rows],
            [labels + [IGNORED] * (longest - len(labels)) for _, labels in rows],
        ]
    )


def scores(folder: Path) -> dict[Cell, float]:
    """Return a checkpoint's greedy scores on probe items of all good cells."""
    known, found = programs(), defaultdict(list)
    items = [item for item in items_of(known, ITEMS) if item.cell.level in GOOD[item.cell.environment]]
    answers = Speaker(folder).say([text_of(item.row) for item in items])
    for item, answer in zip(items, answers, strict=True):
        found[item.cell].append(float(passes(known[item.cell.environment], item.row, answer)))
    return {cell: fmean(values) for cell, values in found.items()}


def planned(home: Home, base: Path) -> dict[str, Any]:
    """Return what ``metaevo plan`` says in a new home with this base."""
    if not home.config_path.is_file():
        tables = "\n".join(f"{name} = {{ levels = {levels} }}" for name, levels in GOOD.items())
        model = f'[model]\nbase = "{base}"\ndialect = "tiny"\nanswer = 24\n'
        home.create(f"seed = 1\n{model}[environments]\n{tables}\n[gate]\nsecret_seed = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "plan", "--home", str(home.path), "--json"],
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-1000:])
    return dict(json.loads(done.stdout))


def case(cell: Cell, folder: Path) -> dict[str, Any]:
    """Return what diagnosis found of one planted weakness."""
    base = folder / f"base-{cell.environment}-{cell.level}"
    told = folder / f"damage-{cell.environment}-{cell.level}.json"
    if not told.is_file():
        mistake = damaged(cell, base)
        before, after = scores(CHECKPOINT), scores(base)
        drops = {str(one): round(before[one] - after[one], 3) for one in before if one.environment != cell.environment}
        facts = {
            "mistake": mistake,
            "before": round(before[cell], 3),
            "after": round(after[cell], 3),
            "mean drop elsewhere": round(fmean(drops.values()), 3),
            "largest drop elsewhere": max(drops.items(), key=lambda pair: pair[1]),
        }
        told.write_text(json.dumps(facts))
    plan = planned(Home((folder / f"home-{cell.environment}-{cell.level}").resolve()), base.resolve())
    weaknesses, objective = plan.get("weaknesses", []), plan["objective"] or {"cells": []}
    first = weaknesses[0]["where"].split()[0] if weaknesses else None
    return json.loads(told.read_text()) | {
        "weaknesses": weaknesses,
        "objective": objective,
        "named first": first == cell.environment,
        "by the planted name": bool(weaknesses) and weaknesses[0]["name"] == json.loads(told.read_text())["mistake"],
        "objective covers it": any(Cell.parse(one).environment == cell.environment for one in objective["cells"]),
    }


def summary(parts: dict[str, Any]) -> dict[str, Any]:
    """Return how many of the cases were found and covered."""
    numbers = [part["numbers"] for part in parts.values()]
    return {
        "cases": len(numbers),
        "named first": sum(one["named first"] for one in numbers),
        "by the planted name": sum(one["by the planted name"] for one in numbers),
        "objective covers it": sum(one["objective covers it"] for one in numbers),
        "both": sum(one["named first"] and one["objective covers it"] for one in numbers),
    }


def main() -> None:
    """Run the cases that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=[str(cell) for cell in CASES])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/metaevo-evidence/planted"))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.cases:
        if name in record.read(CLAIM):
            continue
        began = time.monotonic()
        numbers = case(Cell.parse(name), given.folder)
        record.write(
            CLAIM, name, f"python -m tests.evidence.planted --cases {name}", [1], numbers, time.monotonic() - began
        )
        print(name, "named first:", numbers["named first"], "covered:", numbers["objective covers it"], flush=True)
    print(json.dumps(summary(record.read(CLAIM))))


if __name__ == "__main__":
    main()
