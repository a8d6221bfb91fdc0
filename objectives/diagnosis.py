"""What is wrong with the answers: errors clustered into named weaknesses with examples, the largest first.

A wrong answer is named by the environment's own table of well-known wrong procedures where one gives exactly that
answer ("drops the carry"), and by what it looks like beside the right one otherwise ("swaps two neighbours").
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from objectives.types import Cell, Json

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """One wrong answer: ``mistake`` is the environment's name for it, None where it has none."""

    cell: Cell
    text: str
    expected: Json
    given: str
    mistake: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A task, what was answered and what is right."""

    text: str
    given: str
    expected: str


@dataclass(frozen=True, slots=True)
class Weakness:
    """One named way to be wrong in one environment. ``lost`` is in points: what the cells' mean scores lose by it."""

    environment: str
    name: str
    levels: tuple[int, ...]
    share: float
    """Of the environment's wrong answers."""
    errors: int
    lost: float
    examples: tuple[Example, ...]


def clustered(wrong: Sequence[WrongAnswer], looked_at: dict[Cell, int]) -> tuple[Weakness, ...]:
    """Return the weaknesses behind wrong answers, most points lost first.

    ``looked_at`` says how many answers of each cell were looked at, right ones included.
    """
    groups: dict[tuple[str, str], list[WrongAnswer]] = defaultdict(list)
    totals: Counter[str] = Counter()
    for answer in wrong:
        groups[answer.cell.environment, answer.mistake or looks_like(answer)].append(answer)
        totals[answer.cell.environment] += 1
    found = []
    for (environment, name), answers in groups.items():
        per_cell = Counter(answer.cell for answer in answers)
        lost = sum(count / max(1, looked_at.get(cell, count)) for cell, count in per_cell.items())
        chosen = sorted(answers, key=lambda a: (len(a.text), a.text))[:EXAMPLES]
        shown = tuple(Example(a.text[:200], a.given[:200], plain(a.expected)[:200]) for a in chosen)
        levels = tuple(sorted({cell.level for cell in per_cell}))
        share = len(answers) / totals[environment]
        found.append(
            Weakness(
                environment=environment,
                name=name,
                levels=levels,
                share=share,
                errors=len(answers),
                lost=round(lost, 4),
                examples=shown,
            )
        )
    return tuple(sorted(found, key=lambda w: (-w.lost, w.environment, w.name)))


def plain(expected: Json) -> str:
    """Return a right answer as text."""
    return expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False, sort_keys=True)


LOOKS: tuple[tuple[str, Callable[[str, str, str], bool]], ...] = (
    ("gives no answer", lambda given, _right, _text: not given),
    ("says more than the right answer", lambda given, right, _text: bool(right) and right in given),
    ("answers backwards", lambda given, right, _text: given == right[::-1]),
    ("swaps two neighbours", lambda given, right, _text: _neighbours(given, right)),
    ("right characters, wrong order", lambda given, right, _text: sorted(given) == sorted(right)),
    ("stops early", lambda given, right, _text: right.startswith(given)),
    ("copies from the task", lambda given, _right, text: given in text),
)
"""What a wrong answer may look like beside the right one; the first that fits names it."""


def looks_like(answer: WrongAnswer) -> str:
    """Return what a wrong answer looks like beside the right one."""
    given, right = answer.given.strip(), plain(answer.expected).strip()
    if isinstance(answer.expected, dict) and given:
        return _fields(given, answer.expected)
    for name, fits in LOOKS:
        if fits(given, right, answer.text):
            return name
    if len(given) == len(right):
        return _same_length(given, right)
    size, want = _number(given), _number(right)
    if size is not None and want is not None:
        return "a number too small" if size < want else "a number too large"
    return "too short" if len(given) < len(right) else "too long"


def _fields(given: str, expected: dict[str, Json]) -> str:
    try:
        found = json.loads(given)
    except (ValueError, RecursionError):
        return "is not JSON"
    if not isinstance(found, dict):
        return "is not a JSON object"
    missing = sorted(set(expected) - set(found))
    if missing:
        return f"leaves out {missing[0]!r}"
    wrong = sorted(key for key in expected if found.get(key) != expected[key])
    return f"{wrong[0]!r} is wrong" if wrong else "adds fields"


def _neighbours(given: str, expected: str) -> bool:
    if sorted(given) != sorted(expected):
        return False
    places = [i for i, (a, b) in enumerate(zip(given, expected, strict=True)) if a != b]
    return len(places) == 2 and places[1] == places[0] + 1


def _same_length(given: str, expected: str) -> str:
    places = [i for i, (a, b) in enumerate(zip(given, expected, strict=True)) if a != b]
    if len(places) > 1:
        return "several characters wrong"
    a, b = given[places[0]], expected[places[0]]
    kind = "digit" if a.isdigit() and b.isdigit() else "character"
    near = abs(ord(a) - ord(b)) == 1 and kind == "digit"
    where = "first" if places[0] == 0 else "last" if places[0] == len(given) - 1 else "inner"
    return f"{where} {kind} {'off by one' if near else 'wrong'}"


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
