"""What a kernel is shown and what it may give back: plain rows out, bounds on what comes in.

    keep, weight, rewrite, ask   row    {id, environment, level, prompt, solution, tokens, score, weight, feedback,
                                        tags}, feedback a list of {score, verdict, source, critique}
    score                        prompt, completion
    order                        rows   a list of {id, environment, level, prompt}; a single one of them for the
                                        `rewrite` and `ask` of the slot tasks
    choose                       cells  a list of {environment, level, ability, direction, score, low, high, n, latent,
                                        chance, finite, trend, drop, tries, progress, weight, target, provable}

Fields are listed here one by one, so that nothing else of a record can ever be sent: no answer, no reference, no
other split. Attempts that are the environment's own right answers are no kernel's business (`visible`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metaevo.history import CellState
from metaevo.types import Attempt, Experience
from objectives.types import Json, Task
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

MOST_WEIGHT = 16.0
MOST_TEXT = 8000
"""Characters of a text that a kernel writes: a solution, a prompt, a question."""
MOST_ASKS = 8
"""Questions about one row."""
MOST_CELLS = 4


def plain(text: str) -> str:
    """Return the text as UTF-8 can hold it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def task_row(task: Task) -> dict[str, Json]:
    """Return a task as a kernel sees it."""
    return {"id": task.id, "environment": task.environment, "level": task.level, "prompt": plain(task.text)}


def experience_row(row: Experience) -> dict[str, Json]:
    """Return an experience as a kernel sees it."""
    said = [
        {"score": f.score, "verdict": f.verdict, "source": f.source, "critique": plain(f.critique)}
        for f in row.feedback
    ]
    return task_row(row.attempt.task) | {
        "solution": plain(row.attempt.solution.text),
        "tokens": row.attempt.solution.tokens,
        "score": row.score,
        "weight": row.weight,
        "feedback": said,
        "tags": list(row.tags),
    }


def attempt_row(attempt: Attempt) -> list[Json]:
    """Return the two arguments of `score`."""
    return [plain(attempt.task.text), plain(attempt.solution.text)]


def cell_row(cell: CellState) -> dict[str, Json]:
    """Return an open cell as a rule sees it."""
    return {
        "environment": cell.cell.environment,
        "level": cell.cell.level,
        "ability": cell.ability,
        "direction": cell.direction.value,
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
        "weight": cell.weight,
        "target": cell.target,
        "provable": cell.provable,
    }


def visible(attempt: Attempt) -> bool:
    """Return whether a kernel may see an attempt: not where it is the environment's own right answer."""
    return all(turn.by != "reference" for turn in attempt.solution.turns)


def wrong(slot: str, function: str, given: Sequence[Json], value: Json) -> str | None:
    """Return what is wrong with one value of the promised shape, None where it may be applied.

    ``given`` are the arguments it was called with.
    """
    check = _CHECKS.get(function)
    return check(slot, given, value) if check is not None else None


def _weight(slot: str, given: Sequence[Json], value: Any) -> str | None:
    return None if 0.0 <= value <= MOST_WEIGHT else f"weight {value!r:.40}: want 0 to {MOST_WEIGHT:g}"


def _score(slot: str, given: Sequence[Json], value: Any) -> str | None:
    return None if 0.0 <= value <= 1.0 else f"score {value!r:.40}: want 0 to 1"


def _order(slot: str, given: Sequence[Json], value: Any) -> str | None:
    count = len(given[0])
    if len(set(value)) != len(value):
        return "an index comes twice"
    return next((f"index {i}: there are {count} rows" for i in value if not 0 <= i < count), None)


def _choose(slot: str, given: Sequence[Json], value: Any) -> str | None:
    said = _order(slot, given, value)
    if said is not None:
        return said
    if not 1 <= len(value) <= MOST_CELLS:
        return f"{len(value)} cells: want 1 to {MOST_CELLS} of the {len(given[0])} open ones"
    kinds = {(given[0][i]["ability"], given[0][i]["direction"], given[0][i]["finite"]) for i in value}
    return None if len(kinds) == 1 else "cells of several abilities or directions, or finite ones with endless ones"


def _ask(slot: str, given: Sequence[Json], value: Any) -> str | None:
    if len(value) > MOST_ASKS:
        return f"{len(value)} questions about one row: at most {MOST_ASKS}"
    longest = max((len(text) for text in value), default=0)
    return f"a question of {longest} characters: at most {MOST_TEXT}" if longest > MOST_TEXT else None


USES: Mapping[str, Mapping[str, Callable[[str, Sequence[Json], Any], str | None]]] = {
    "refinement": {
        "keep": lambda _slot, _given, value: None if isinstance(value, bool) else "keep: want true or false",
        "weight": lambda slot, given, value: _weight(slot, given, value) if _number(value) else "weight: want a number",
        "solution": lambda _slot, _given, value: _text("solution", value),
    },
    "feedback": {
        "score": lambda slot, given, value: (
            None if value is None else _score(slot, given, value) if _number(value) else "score: want a number or null"
        ),
    },
    "tasks": {"prompt": lambda _slot, _given, value: _text("prompt", value)},
}
"""What `use` may say in a slot, by key; every key may be absent."""
REWRITES: Mapping[str, str] = {"refinement": "solution", "tasks": "prompt"}
"""The one key that `rewrite` may give back in a slot."""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(key: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"{key}: want text"
    return None if len(value) <= MOST_TEXT else f"{key} of {len(value)} characters: at most {MOST_TEXT}"


def _use(slot: str, given: Sequence[Json], value: Any) -> str | None:
    known = USES[slot]
    for key, said in value.items():
        found = known[key](slot, given, said) if key in known else f"unknown key {key!r:.40}: known: {', '.join(known)}"
        if found is not None:
            return found
    return None


def _rewrite(slot: str, given: Sequence[Json], value: Any) -> str | None:
    known = REWRITES[slot]
    if set(value) - {known}:
        return f"unknown key {next(iter(set(value) - {known}))!r:.40}: known: {known}"
    return _text(known, value[known]) if known in value else None


_CHECKS: Mapping[str, Callable[[str, Sequence[Json], Any], str | None]] = {
    "weight": _weight,
    "score": _score,
    "order": _order,
    "choose": _choose,
    "ask": _ask,
    "use": _use,
    "rewrite": _rewrite,
}
