"""Records made up for kernels: a fixed set on which behaviour is described, and fresh ones from any stream.

Nothing here comes from an environment: what is measured on these rows may be shown to anybody.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from metaevo.kernels import CELLS_MOST, CONTRACTS, WEIGHT_MOST, Contract, Field
from sandbox.types import Json, Row

ROWS = 24
"""Records in the fixed set, and in each list that a kernel of lists gets."""
LISTS = 4
"""Lists in the fixed set of a kernel of lists."""
LETTERS = "abcdeorst0123456789 +=.\n"
COUNTED = {"tokens": 64, "level": 8, "n": 512, "tries": 5, "same": 8, "of": 8}
"""Fields that count something, with the largest count made up."""
TAGS = ("rehearsed", "replayed", "rationalized")


def text(rng: Random) -> str:
    """Return a made-up text: most are short, a few are empty or long, some repeat themselves."""
    length = rng.choice((0, 1, 2, 3, 4, 6, 8, 8, 12, 16, 24, 40, 120))
    unit = "".join(rng.choice(LETTERS) for _ in range(max(1, length // rng.choice((1, 1, 1, 3)))))
    return (unit * (length // len(unit) + 1))[:length]


def record(fields: Mapping[str, Field], rng: Random) -> dict[str, Json]:
    """Return one made-up record with every field of the list, each of its type."""
    made: dict[str, Json] = {}
    for name, kind in fields.items():
        if kind is Field.TEXT:
            made[name] = f"made/{rng.randint(1, 8)}" if name == "cell" else text(rng)
        elif kind is Field.TEXTS:
            made[name] = rng.sample(TAGS, rng.randint(0, 2))
        elif kind is Field.TRUTH:
            made[name] = rng.random() < 0.5
        elif name in COUNTED:
            made[name] = rng.randint(1, COUNTED[name])
        else:
            made[name] = None if kind is Field.MAYBE and rng.random() < 0.15 else round(rng.random(), 3)
    if "same" in made:
        made["same"] = min(made["same"], made["of"])
    return made


def arguments(kind: str, rng: Random, count: int) -> list[Row]:
    """Return ``count`` made-up calls of a kernel: a record each, or a list of up to ROWS records."""
    contract = CONTRACTS[kind]
    if contract.many:
        return [[[record(contract.fields, rng) for _ in range(ROWS - at % 3)]] for at in range(count)]
    made = [record(contract.fields, rng) for _ in range(count)]
    return [[one[name] for name in contract.takes] if _spread(contract) else [one] for one in made]


def fixed_calls(kind: str) -> list[Row]:
    """Return the calls on which the behaviour of every kernel of a kind is described, always the same ones."""
    return arguments(kind, Random(f"behaviour of {kind}"), LISTS if CONTRACTS[kind].many else 2 * ROWS)


def describe(kind: str, calls: Sequence[Row], values: Sequence[Any]) -> tuple[float, float]:
    """Return two numbers in [0, 1] that say how a kernel behaved on these calls, given what it returned.

    keep: share kept, share kept of the rows with a score of at least one half. weight, score: mean, share of
    different values. order: pairs in the order of their scores, of their lengths. choose: cells taken of those
    it might, their mean score. rewrite: share changed, length beside twice the old one.
    """
    pairs = list(zip(calls, values, strict=True))
    if kind == "keep":
        good = [value for (row,), value in pairs if (row["score"] or 0) >= 0.5]
        return _mean([bool(value) for value in values]), _mean([bool(value) for value in good])
    if kind in ("weight", "score"):
        most = WEIGHT_MOST if kind == "weight" else 1.0
        different = (len(set(values)) - 1) / max(1, len(values) - 1)
        return _mean([min(1.0, max(0.0, value / most)) for value in values]), max(0.0, different)
    if kind == "order":
        ordered = [[rows[i] for i in places if 0 <= i < len(rows)] for (rows,), places in pairs]
        by_score = [_rising([row["score"] for row in rows if row["score"] is not None]) for rows in ordered]
        return _mean(by_score), _mean([_rising([len(row["text"]) for row in rows]) for rows in ordered])
    if kind == "choose":
        taken = [cells[i] for (cells,), places in pairs for i in places[:CELLS_MOST] if 0 <= i < len(cells)]
        share = len(taken) / max(1, CELLS_MOST * len(pairs))
        return min(1.0, share), _mean([cell["score"] for cell in taken if cell["score"] is not None])
    texts = [(task["prompt"], str(value.get("prompt", task["prompt"]))) for (task,), value in pairs]
    longer = [min(1.0, len(new) / max(1, 2 * len(old))) for old, new in texts]
    return _mean([old != new for old, new in texts]), _mean(longer)


def _spread(contract: Contract) -> bool:
    """Return whether the fields are the arguments themselves."""
    return set(contract.takes) == set(contract.fields)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _rising(numbers: Sequence[float]) -> float:
    """Return the share of pairs that do not fall, a tie counting one half."""
    pairs = [(a, b) for at, a in enumerate(numbers) for b in numbers[at + 1 :]]
    return _mean([0.5 if a == b else float(a < b) for a, b in pairs])
