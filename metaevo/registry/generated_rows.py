"""What a kernel is shown and what it may give back: plain rows out, bounds on what comes in.

The fields are those of `metaevo.kernels`, taken one by one, so that nothing else of a record can ever be sent: no
answer, no reference, no other split. ``same`` and ``of`` count within the batch. Attempts that are the environment's
own right answers are no kernel's business (`is_visible`).

    keep, weight, rewrite, ask of refinement, ask of feedback   row, a record of ROW; order of refinement: rows, a list
    score                                                       prompt, completion
    rewrite and ask of tasks                                    task, a record of TASK; order of tasks: a list
    choose                                                      cells, a list of CELL: the open ones alone
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from typing_extensions import TypeIs

from metaevo.history import CellState
from metaevo.kernels import CELLS_MOST, NUMBER_MOST, TEXT_CHARS, WEIGHT_MOST
from metaevo.types import Attempt, Experience
from objectives.types import JsonValue, Task
from sandbox.types import Shape

SHAPES: Mapping[str, Shape] = {
    "keep": Shape.TRUTH,
    "weight": Shape.NUMBER,
    "score": Shape.NUMBER,
    "rewrite": Shape.OBJECT,
    "order": Shape.INDICES,
    "choose": Shape.INDICES,
    "ask": Shape.TEXTS,
    "use": Shape.OBJECT,
}
"""What each function of a kernel promises to return."""

MOST_ASKS = 8
"""Questions about one row."""


def cut(text: str) -> str:
    """Return the text as long as a kernel is shown it."""
    return text[:TEXT_CHARS]


def _number(value: float | None) -> float | None:
    return None if value is None else max(-NUMBER_MOST, min(NUMBER_MOST, value))


def task_row(task: Task) -> dict[str, JsonValue]:
    """Return a task as a kernel sees it."""
    return {"id": task.id, "prompt": cut(task.text), "cell": str(task.cell), "level": task.level}


def experience_rows(rows_R: Sequence[Experience]) -> list[dict[str, JsonValue]]:
    """Return the rows of one batch as a kernel sees them."""
    of = Counter(row.attempt.task.id for row in rows_R)
    same = Counter((row.attempt.task.id, row.attempt.solution.text) for row in rows_R)
    return [
        task_row(row.attempt.task)
        | {
            "text": cut(row.attempt.solution.text),
            "score": _number(row.score),
            "tokens": row.attempt.solution.tokens,
            "tags": [cut(tag) for tag in row.tags],
            "same": same[row.attempt.task.id, row.attempt.solution.text],
            "of": of[row.attempt.task.id],
        }
        for row in rows_R
    ]


def attempt_row(attempt: Attempt) -> list[str]:
    """Return the two arguments of `score`."""
    return [cut(attempt.task.text), cut(attempt.solution.text)]


def cell_row(cell: CellState) -> dict[str, JsonValue]:
    """Return an open cell as a rule sees it."""
    return {
        "cell": str(cell.cell),
        "ability": cell.ability,
        "direction": cell.direction.value,
        "level": cell.cell.level,
        "score": cell.score,
        "low": cell.low,
        "high": cell.high,
        "n": cell.n,
        "latent": cell.latent,
        "chance": cell.chance,
        "finite": cell.finite,
        "trend": cell.trend,
        "drop": cell.drop,
        "tries": cell.tries,
        "progress": cell.progress,
        "weight": _number(cell.weight),
        "target": cell.target,
        "provable": cell.provable,
        "open": True,
    }


def is_visible(attempt: Attempt) -> bool:
    """Return whether a kernel may see an attempt: not where it is the environment's own right answer."""
    return all(turn.by != "reference" for turn in attempt.solution.turns)


def fault_of(slot: str, function: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    """Return what is wrong with one value of the promised shape, None where it may be applied.

    ``given`` are the arguments it was called with.
    """
    check = _CHECKS.get(function)
    return check(slot, given, value) if check is not None else None


def _weight(slot: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    return (
        None if is_number(value) and 0.0 <= value <= WEIGHT_MOST else f"weight {value!r:.40}: want 0 to {WEIGHT_MOST:g}"
    )


def _score(slot: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    return None if is_number(value) and 0.0 <= value <= 1.0 else f"score {value!r:.40}: want 0 to 1"


def _order(slot: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    if not _are_indices(value):
        return "want a list of whole numbers"
    count = _count(given)
    said = _places(count, value)
    if said is None and slot == "refinement" and len(value) != count:
        return f"{len(value)} of {count} rows: want every one"
    return said


def _choose(slot: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    if not _are_indices(value):
        return "want a list of whole numbers"
    count = _count(given)
    said = _places(count, value)
    if said is None and not 1 <= len(value) <= CELLS_MOST:
        return f"{len(value)} cells: want 1 to {CELLS_MOST} of the {count} open ones"
    return said


def _count(given: Sequence[JsonValue]) -> int:
    """Return how many rows or cells a call was given as its first argument."""
    first = given[0]
    return len(first) if isinstance(first, Sequence) else 0


def _places(count: int, value: Sequence[int]) -> str | None:
    if len(set(value)) != len(value):
        return "an index comes twice"
    return next((f"index {i}: there are {count}" for i in value if not 0 <= i < count), None)


def _ask(slot: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    if not _are_texts(value):
        return "want a list of texts"
    if len(value) > MOST_ASKS:
        return f"{len(value)} questions about one row: at most {MOST_ASKS}"
    longest = max((len(text) for text in value), default=0)
    return f"a question of {longest} characters: at most {TEXT_CHARS}" if longest > TEXT_CHARS else None


Check: TypeAlias = Callable[[str, Sequence[JsonValue], JsonValue], str | None]

USES: Mapping[str, Mapping[str, Check]] = {
    "refinement": {
        "keep": lambda _slot, _given, value: None if isinstance(value, bool) else "keep: want true or false",
        "weight": lambda slot, given, value: (
            _weight(slot, given, value) if is_number(value) else "weight: want a number"
        ),
        "text": lambda _slot, _given, value: _text("text", value),
    },
    "feedback": {
        "score": lambda slot, given, value: (
            None
            if value is None
            else _score(slot, given, value)
            if is_number(value)
            else "score: want a number or null"
        ),
    },
    "tasks": {"prompt": lambda _slot, _given, value: _text("prompt", value)},
}
"""What `use` may say in a slot, by key; every key may be absent."""
REWRITES: Mapping[str, str] = {"refinement": "text", "tasks": "prompt"}
"""The one key that `rewrite` may give back in a slot."""


def is_number(value: JsonValue) -> TypeIs[int | float]:
    """Return whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_indices(value: JsonValue) -> TypeIs[Sequence[int]]:
    return isinstance(value, Sequence) and all(isinstance(item, int) for item in value)


def _are_texts(value: JsonValue) -> TypeIs[Sequence[str]]:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, str) for item in value)


def _text(key: str, value: JsonValue) -> str | None:
    if not isinstance(value, str):
        return f"{key}: want text"
    return None if len(value) <= TEXT_CHARS else f"{key} of {len(value)} characters: at most {TEXT_CHARS}"


def _use(slot: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    if not isinstance(value, Mapping):
        return "want an object"
    known = USES[slot]
    for key, said in value.items():
        found = known[key](slot, given, said) if key in known else f"unknown key {key!r:.40}: known: {', '.join(known)}"
        if found is not None:
            return found
    return None


def _rewrite(slot: str, given: Sequence[JsonValue], value: JsonValue) -> str | None:
    if not isinstance(value, Mapping):
        return "want an object"
    known = REWRITES[slot]
    if set(value) - {known}:
        return f"unknown key {next(iter(set(value) - {known}))!r:.40}: known: {known}"
    return _text(known, value[known]) if known in value else None


_CHECKS: Mapping[str, Check] = {
    "weight": _weight,
    "score": _score,
    "order": _order,
    "choose": _choose,
    "ask": _ask,
    "use": _use,
    "rewrite": _rewrite,
}
