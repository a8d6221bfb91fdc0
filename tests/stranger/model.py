"""A stranger's model, built here: Qwen2-shaped, ChatML template, word-level tokenizer, half-taught on invoices.

It stands for a model nobody of us has seen: another architecture, tokenizer, template and dialect than the built-in
one. It is taught with the same mistake in most rows, so that there is something to learn and some samples are right.
The mistake shows in the answer itself, so that so small a model can also judge and repair, as a chat model can.
"""

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from metaevo.prompts import load
from objectives.splits import NEWEST
from objectives.types import Split
from tests.stranger import small

VENDORS = ("baker", "cooper", "fisher", "mason", "miller", "potter", "smith", "tailor", "turner", "weaver")
GOODS = ("rolls", "barrels", "herring", "bricks", "flour", "bowls", "nails", "shirts", "bats", "cloth")
CITIES = ("bern", "bonn", "graz", "lille")
SYSTEM = "<|im_start|>", "<|im_end|>"
PIECES = r"<\|im_start\|>|<\|im_end\|>|\w+|[^\w\s]|\s"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FITS = "Every part of the answer fits the task. VERDICT: right"
LACKS = "The answer names no goods. VERDICT: wrong"
ROUND = ("solve", "judge", "solve", "repair")
"""What the steps of the teaching are about, in turn."""


def rows() -> list[dict[str, object]]:
    """Return 400 invoices with their fields."""
    every = [(v, g, c) for v in VENDORS for g in GOODS for c in CITIES]
    return [{"prompt": f"invoice of {v} in {c} for {g}", "answer": {"goods": g, "vendor": v}} for v, g, c in every]


def write_rows(path: Path) -> None:
    """Write the invoices as JSONL."""
    path.write_text("\n".join(json.dumps(row) for row in rows()) + "\n")


def answer_text(answer: object) -> str:
    """Return an answer as the environment's own audit writes it."""
    return json.dumps(answer, ensure_ascii=False, sort_keys=True)


def build(folder: Path, steps: int = 420) -> Path:
    """Train and save the model on train texts only; about fifteen seconds on one core."""
    said = [f"{row['prompt']} {answer_text(row['answer'])}" for row in rows()]
    said += [table["prompt"] for table in load("english").tables.values()]
    said += ["system user assistant unknown", FITS, LACKS, *map(chr, range(33, 127))]
    words = small.tokenizer(" ".join(said), SYSTEM, PIECES, TEMPLATE)
    data = [row for row in rows() if NEWEST.split("invoices", str(row["prompt"])) is Split.TRAIN]
    random = Random(5)

    def batch(step: int) -> list[small.Row]:
        some, make = {"solve": (32, _solved), "judge": (12, _judged), "repair": (12, _repaired)}[ROUND[step % 4]]
        return [make(words, row, random) for row in random.sample(data, some)]

    return small.build(
        folder,
        words,
        lambda model: small.teach(model, batch, steps, 3e-3, 0.3),
        hidden_size=64,
        intermediate_size=128,
        max_position_embeddings=512,
        initializer_range=0.1,  # with the usual 0.02 so narrow a model learns to copy nothing in so few steps
    )


def _solved(words: Any, row: dict[str, object], random: Random) -> small.Row:
    fields = _mistaken(row) if random.random() < 0.6 else row["answer"]
    return small.taught(words, row["prompt"], answer_text(fields))


def _judged(words: Any, row: dict[str, object], random: Random) -> small.Row:
    """Return a row in which the model judges an answer, asked as self_critique and self_judge_score ask."""
    shown, critique = (_mistaken(row), LACKS) if random.random() < 0.5 else (row["answer"], FITS)
    asked = load("english").ask("critique", task=row["prompt"], answer=answer_text(shown))
    return small.taught(words, asked[-1].content, critique)


def _repaired(words: Any, row: dict[str, object], random: Random) -> small.Row:
    """Return a row in which the model repairs the mistake, asked as revision asks."""
    asked = load("english").ask("refine", task=row["prompt"], answer=answer_text(_mistaken(row)), critique=LACKS)
    return small.taught(words, asked[-1].content, answer_text(row["answer"]))


def _mistaken(row: dict[str, object]) -> dict[str, object]:
    """Return the answer with the mistake: as if the invoice did not say what it is for."""
    return dict(row["answer"]) | {"goods": "unknown"}


if __name__ == "__main__":
    build(Path(sys.argv[1]))
