"""Measure a tiny checkpoint on texts it has never seen and print README.md's tables: `python -m metaevo.tiny.measure`.

All items come from the probe split. A cell with few texts is measured on those it has; the tables say how many.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from metaevo.tiny import CHECKPOINT
from metaevo.tiny.corpus import PLAN, WITH_WORKING, dialects, marks, programs, text_of, truth
from objectives.environment import Program, Row, own_answer
from objectives.splits import split_of
from objectives.types import Cell, Split

K = 8
SEED = 20_000
CHUNK = 256


@dataclass(frozen=True, slots=True)
class Item:
    """One unseen task."""

    cell: Cell
    row: Row


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer the model gave at temperature 1, and what it said of it afterwards."""

    item: Item
    answer: str
    right: bool
    critique: str
    repaired: bool

    @property
    def score(self) -> float:
        """Return the share of marks that say "right"."""
        return self.critique.count("=") / max(1, len(self.critique))

    @property
    def criticised(self) -> bool:
        """Return whether the critique is anything but a row of "right"."""
        return set(self.critique) != {"="}

    @property
    def placed(self) -> bool:
        """Return whether the critique's first wrong place is the first wrong place."""
        return _first_wrong(self.critique) == _first_wrong(marks(self.answer, truth(self.item.row, self.answer)))


class Speaker:
    """The checkpoint, spoken to through its chat template in left-padded batches of like length."""

    def __init__(self, folder: Path) -> None:
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def say(self, prompts: Sequence[str], temperature: float = 0.0) -> list[str]:
        """Return one answer a prompt; temperature 0 is greedy."""
        chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
        texts = self._tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        answers = [""] * len(texts)
        how = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        for start in range(0, len(order), CHUNK):
            places = order[start : start + CHUNK]
            batch = self._tokenizer(
                [texts[place] for place in places], return_tensors="pt", padding=True, add_special_tokens=False
            )
            with torch.inference_mode():
                tokens = self._model.generate(**batch, max_new_tokens=28, **how)[:, batch["input_ids"].shape[1] :]
            for place, text in zip(places, self._tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True):
                answers[place] = text
        return answers


def items_of(known: Mapping[str, Program], count: int) -> list[Item]:
    """Return at most ``count`` different probe items of every cell."""
    found: list[Item] = []
    for name, program in known.items():
        assert program.make is not None, "built-in environments are endless"
        for level in program.levels:
            rows: dict[str, Row] = {}
            for index in range(40 * count):
                row = program.make(SEED, index, level)
                if len(rows) < count and split_of(name, text_of(row)) is Split.PROBE:
                    rows[text_of(row)] = row
            found += [Item(Cell(name, level), row) for row in rows.values()]
    return found


def passes(program: Program, row: Row, answer: str) -> bool:
    """Return whether the environment's own reward accepts the answer."""
    return (program.score(row, answer) or 0.0) >= program.pass_mark


def judge(speaker: Speaker, known: Mapping[str, Program], items: Sequence[Item]) -> list[Judged]:
    """Return one sampled answer an item, with the model's critique of it and whether its repair is right."""
    forms, tasks = dialects(), [text_of(item.row) for item in items]
    answers = speaker.say(tasks, temperature=1.0)
    pairs = list(zip(tasks, answers, strict=True))
    critiques = speaker.say([forms["critique"].format(task=task, answer=answer) for task, answer in pairs])
    repairs = speaker.say(
        [
            forms["refine"].format(task=task, answer=answer, critique=critique)
            for (task, answer), critique in zip(pairs, critiques, strict=True)
        ]
    )
    return [
        Judged(item, answer, passes(known[item.cell.environment], item.row, answer), critique, _fixed(known, item, fix))
        for item, answer, critique, fix in zip(items, answers, critiques, repairs, strict=True)
    ]


def _fixed(known: Mapping[str, Program], item: Item, answer: str) -> bool:
    return passes(known[item.cell.environment], item.row, answer)


def _first_wrong(critique: str) -> int:
    return next((place for place, mark in enumerate(critique) if mark != "="), -1)


def _auc(judged: Sequence[Judged]) -> str:
    right = [one.score for one in judged if one.right]
    wrong = [one.score for one in judged if not one.right]
    if not right or not wrong:
        return "-"
    return f"{sum((r > w) + 0.5 * (r == w) for r in right for w in wrong) / (len(right) * len(wrong)):.2f}"


def _share(hits: Iterable[bool]) -> str:
    found = list(hits)
    return f"{sum(found) / len(found):.2f}" if found else "-"


def cells_table(speaker: Speaker, known: Mapping[str, Program], items: Sequence[Item]) -> Iterable[str]:
    """Yield the capability table: greedy accuracy, then pass@8 at temperature 1."""
    tasks = [text_of(item.row) for item in items]
    greedy = speaker.say(tasks)
    samples = speaker.say([task for task in tasks for _ in range(K)], temperature=1.0)
    once: dict[Cell, list[bool]] = {}
    ever: dict[Cell, list[bool]] = {}
    for place, item in enumerate(items):
        program = known[item.cell.environment]
        once.setdefault(item.cell, []).append(passes(program, item.row, greedy[place]))
        tries = samples[place * K : (place + 1) * K]
        ever.setdefault(item.cell, []).append(any(passes(program, item.row, one) for one in tries))
    yield "| environment | " + " | ".join(f"level {level}" for level in range(1, 9)) + " |"
    yield "|---" * 9 + "|"
    for name in known:
        cells = [Cell(name, level) for level in range(1, 9)]
        shown = (
            f"{_share(once[cell])} / {_share(ever[cell])} ({len(once[cell])})" if cell in once else "-"
            for cell in cells
        )
        yield f"| {name} | " + " | ".join(shown) + " |"
    scores = {cell: sum(hits) / len(hits) for cell, hits in once.items()}
    open_ = [score for score in scores.values() if 0.05 <= score <= 0.90]
    yield ""
    yield f"{len(scores)} cells measured, mean greedy accuracy {sum(scores.values()) / len(scores):.3f}."
    yield f"Open (.05 to .90): {len(open_)}, their mean {sum(open_) / max(1, len(open_)):.3f}."
    yield f"Mastered (.85 and above): {sum(score >= 0.85 for score in scores.values())}."
    yield f"Impossible (below .05): {sum(score < 0.05 for score in scores.values())}."


def dialect_table(speaker: Speaker, known: Mapping[str, Program], items: Sequence[Item]) -> Iterable[str]:
    """Yield what the model knows of its own answers: judge, place of the first mistake, repair."""
    every = judge(speaker, known, [item for item in items if item.cell.level in PLAN[item.cell.environment].weights])
    yield "| environment | right at T = 1 | judge AUC | first wrong place found | repaired always | if criticised |"
    yield "|---" * 6 + "|"
    for name in [*known, "all"]:
        some = [one for one in every if name in ("all", one.item.cell.environment)]
        kept = (one.repaired if one.criticised else one.right for one in some)
        found = _share(one.placed for one in some if not one.right)
        right, repaired = _share(one.right for one in some), _share(one.repaired for one in some)
        yield f"| {name} | {right} | {_auc(some)} | {found} | {repaired} | {_share(kept)} |"


def pose_table(speaker: Speaker, known: Mapping[str, Program]) -> Iterable[str]:
    """Yield how many of the tasks the model poses can be read and have the level that was asked for."""
    form = dialects()["pose"]
    asked = [(name, level) for name, plan in PLAN.items() for level in plan.weights for _ in range(K)]
    tags = {name: text_of(program.make(0, 0, 1)).split(" ")[0] for name, program in known.items() if program.make}
    for temperature in (1.0, 0.7):
        texts = speaker.say([form.format(tag=tags[name], level=level) for name, level in asked], temperature)
        good: dict[str, list[bool]] = {}
        for (name, level), text in zip(asked, texts, strict=True):
            read = known[name].read
            row = read(text) if read is not None else None
            good.setdefault(name, []).append(row is not None and row["level"] == level)
        shown = ", ".join(f"{name} {_share(hits)}" for name, hits in good.items())
        total = _share(hit for hits in good.values() for hit in hits)
        yield f"Posed tasks that are valid and of the level asked, T = {temperature}: {total} ({shown});"
        yield f"different ones {len(set(texts)) / len(texts):.2f}."
        yield ""


def working_table(speaker: Speaker, known: Mapping[str, Program], items: Sequence[Item]) -> Iterable[str]:
    """Yield how often the right working comes, given the answer, and how often working is shown unasked and is right.

    A rationale may pass, because it ends in the answer it was given, and still be no right working.
    """
    form, program = dialects()["rationalize"], known[WITH_WORKING]
    yield f"| {WITH_WORKING} | given the answer: passes | right working | unasked, T = 1: shown | right where shown |"
    yield "|---" * 5 + "|"
    for level in program.levels[1:]:
        rows = [item.row for item in items if item.cell == Cell(WITH_WORKING, level)]
        hinted = speaker.say([form.format(task=text_of(row), answer=row["answer"]) for row in rows])
        passing = _share(passes(program, row, said) for row, said in zip(rows, hinted, strict=True))
        exact = _share(said == own_answer(row) for row, said in zip(rows, hinted, strict=True))
        sampled = list(zip(rows * K, speaker.say([text_of(row) for row in rows] * K, temperature=1.0), strict=True))
        shown = [(row, said) for row, said in sampled if len(said) > 1]
        right = _share(passes(program, row, said) for row, said in shown)
        yield f"| level {level} | {passing} | {exact} | {len(shown) / len(sampled):.2f} | {right} |"


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(SEED)
    speaker, known = Speaker(given.checkpoint), programs()
    items = items_of(known, given.items)
    for part in (
        cells_table(speaker, known, items),
        dialect_table(speaker, known, items),
        pose_table(speaker, known),
        working_table(speaker, known, items),
    ):
        sys.stdout.write("\n".join(part) + "\n\n")


if __name__ == "__main__":
    main()
