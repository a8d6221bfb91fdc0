"""What a lawful proposal must be beside running: a pure function of its row, that does something, and no cheat.

Each check raises `Rejected` with its own reason, or returns what it measured.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from metaevo.registry.generated_rows import REWRITES, is_number
from metaevo.synthesis.bench import Bench, add_decoys, variant
from metaevo.synthesis.refusals import Rejected, RejectReason
from objectives.statistics import interval, rank_correlation
from objectives.types import JsonValue
from sandbox.types import Row, Verdict

SEEDED = "import random as metaevo_random\nmetaevo_random.seed({seed})\n"
AGAIN = "\n# once more\n"
"""Makes another kernel of the same source: it is given another interpreter."""
PART = slice(5, 12)
"""The rows that are given alone: other neighbours, another place."""
Values: TypeAlias = Sequence[JsonValue]


def check_pure(bench: Bench, function: str, rows: Sequence[Row], values: Values) -> None:
    """Refuse what is not a function of its row alone: random, unrepeatable, or with a memory of other rows.

    Raises:
        Rejected: With how many rows' values changed.
    """
    one, two = (variant(bench, SEEDED.format(seed=seed)).run(function, rows) for seed in (1, 2))
    if one.verdict is two.verdict is Verdict.OK and one.values != two.values:
        repeated = _values(variant(bench, SEEDED.format(seed=1), AGAIN), function, rows)
        _same(RejectReason.NOT_REPEATABLE, one.values or (), repeated, "when it was called again with the same seed")
        _same(RejectReason.RANDOM, one.values or (), two.values or (), "with two states of the random generator")
    _same(
        RejectReason.NOT_REPEATABLE,
        values,
        _values(variant(bench, tail=AGAIN), function, rows),
        "when it was called again",
    )
    back = list(reversed(rows))
    _same(RejectReason.STATE, list(reversed(values)), _values(bench, function, back), "with the rows in another order")
    _same(RejectReason.STATE, values[PART], _values(bench, function, rows[PART]), "in another batch")


def _values(bench: Bench, function: str, rows: Sequence[Row]) -> Values:
    """Return the values of one more call, whatever their bounds; raise its end where it has none."""
    result = bench.run(function, rows)
    if result.values is None:
        raise bench.ended(function, rows, result)
    return result.values


def _same(reason: RejectReason, one: Values, two: Values, how: str) -> None:
    """Raise where two calls gave different values."""
    changed = sum(a != b for a, b in zip(one, two, strict=True))
    if changed:
        raise Rejected(reason, f"{changed} of {len(one)} values differ {how}", {"changed": changed, "rows": len(one)})


def check_blind(bench: Bench, function: str, rows: Sequence[Row], values: Values) -> None:
    """Refuse what looks for answers: its values change when rows have fields named like one.

    Raises:
        Rejected: With how many values changed.
    """
    for right in (True, False):
        result = bench.run(function, add_decoys(rows, right))
        if result.verdict in (Verdict.TIMEOUT, Verdict.OOM):  # a little more to read made it too much
            raise bench.ended(function, rows, result)
        found = result.values
        changed = len(rows) if found is None else sum(a != b for a, b in zip(values, found, strict=True))
        if changed:
            said = f"{changed} of {len(rows)} values change when a row has a field such as 'answer'"
            raise Rejected(RejectReason.LOOKS_FOR_ANSWERS, said, {"changed": changed, "rows": len(rows)})


def idle_reason(slot: str, function: str, rows: Sequence[Row], values: Values) -> tuple[RejectReason, str] | None:
    """Return why values do nothing, None where they do something."""
    n = len(values)
    if function == "keep":
        return _kept([bool(value) for value in values])
    if function in ("weight", "score"):
        return (RejectReason.CONSTANT, f"{values[0]!r} for all {n} rows") if len(set(values)) == 1 else None
    if function == "order":
        if not any(values):
            return RejectReason.KEEPS_NOTHING, f"no row of {n} lists"
        whole = all(value == list(range(len(row[0]))) for row, value in zip(rows, values, strict=True))
        return (RejectReason.CHANGES_NOTHING, f"{n} lists stay as they were") if whole else None
    if function == "rewrite":
        key = REWRITES[slot]
        changed = any(_written(key, row, value) for row, value in zip(rows, _objects(values), strict=True))
        return None if changed else (RejectReason.CHANGES_NOTHING, f"every {key} of {n} rows stays as it was")
    return _idle_use(slot, rows, _objects(values)) if function == "use" else None


def _objects(values: Values) -> list[Mapping[str, JsonValue]]:
    """Return the values of a function that promises objects."""
    return [value for value in values if isinstance(value, Mapping)]


def _written(key: str, row: Row, value: Mapping[str, JsonValue]) -> bool:
    """Return whether a value has a text that is another than the row's."""
    return str(value.get(key, "")).strip() not in ("", row[0][key].strip())


def _kept(kept: Sequence[bool]) -> tuple[RejectReason, str] | None:
    if all(kept):
        return RejectReason.KEEPS_ALL, f"all {len(kept)} rows"
    return None if any(kept) else (RejectReason.KEEPS_NOTHING, f"none of {len(kept)} rows")


def _idle_use(
    slot: str, rows: Sequence[Row], values: Sequence[Mapping[str, JsonValue]]
) -> tuple[RejectReason, str] | None:
    n = len(values)
    if slot == "feedback":
        scores = {value.get("score") for value in values}
        return (RejectReason.CONSTANT, f"{scores.pop()!r} for all {n} rows") if len(scores) == 1 else None
    key = REWRITES[slot]
    if not any(value.get("keep", True) for value in values):
        return RejectReason.KEEPS_NOTHING, f"none of {n} rows"

    def acts(row: Row, value: Mapping[str, JsonValue]) -> bool:
        return not value.get("keep", True) or value.get("weight", 1) != 1 or _written(key, row, value)

    done = any(acts(row, value) for row, value in zip(rows, values, strict=True))
    return None if done else (RejectReason.CHANGES_NOTHING, f"{n} rows stay as they were")


def score_agreement(rows: Sequence[Row], values: Values, truth: Sequence[float]) -> dict[str, float]:
    """Return how a score agrees with the truth: ``agreement`` is the mean share of (right, wrong) pairs of one task in
    which the right answer scores higher, ties half, with its interval; both correlations are of ranks.

    Raises:
        Rejected: It scores the prompt alone, or wrong answers higher than right ones.
    """
    by_task: dict[str, list[tuple[float, float]]] = defaultdict(list)
    scores = [float(value) for value in values if is_number(value)]
    for row, score, right in zip(rows, scores, truth, strict=True):
        by_task[row[0]].append((score, right))
    numbers = {
        "with_prompt_length": rank_correlation([len(row[0]) for row in rows], scores) or 0.0,
        "with_completion_length": rank_correlation([len(row[1]) for row in rows], scores) or 0.0,
    }
    several = [pairs for pairs in by_task.values() if len(pairs) > 1]
    if several and all(len({value for value, _ in pairs}) == 1 for pairs in several):
        said = f"one score for all completions of each of {len(several)} prompts"
        raise Rejected(RejectReason.PROMPT_ONLY, said, numbers | {"prompts": len(several)})
    agreed = interval([share for pairs in several if (share := _agreement(pairs)) is not None])
    numbers |= {"agreement": agreed.mean, "low": agreed.low, "high": agreed.high, "tasks": agreed.n}
    numbers = {name: round(number, 4) for name, number in numbers.items()}
    if agreed.n and agreed.high < 0.5:
        said = f"right above wrong in {agreed.mean:.2f} ({agreed.low:.2f}…{agreed.high:.2f}, n {agreed.n}) of the pairs"
        raise Rejected(RejectReason.ANTI_CORRELATED, said, numbers)
    return numbers


def _agreement(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return the share of (right, wrong) pairs in which the right one scores higher; None without such a pair."""
    right = [value for value, true in pairs if true >= 1]
    wrong = [value for value, true in pairs if true < 1]
    if not right or not wrong:
        return None
    return fmean((a > b) + 0.5 * (a == b) for a in right for b in wrong)


def filter_purity(values: Values, truth: Sequence[float]) -> dict[str, float]:
    """Return what a filter keeps, and the share of right answers before and after it."""
    kept = [right for value, right in zip(values, truth, strict=True) if value]
    return {
        "kept": round(len(kept) / len(values), 4),
        "right_before": round(fmean(truth), 4),
        "right_kept": round(fmean(kept), 4),
    }
