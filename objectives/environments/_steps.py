"""The steps that small programs are chained of: words, Python text, and their meaning as a function of our own."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

LETTERS = tuple("abcdeiost")
_NUMBERS = tuple(range(1, 21))


@dataclass(frozen=True, slots=True)
class Step:
    """One step with its number or letter filled in. ``kind`` is what its words are without it."""

    words: str
    code: str
    call: Callable[[Any, Any], Any]
    takes: str
    gives: str
    grade: int
    kind: str
    given: int | str | None


_Kind = tuple[int, str, str, Callable[[Any, Any], Any]]
_TABLE: dict[tuple[str, str], tuple[_Kind, ...]] = {  # (takes, gives): (grade, words, code, meaning)
    ("number", "number"): (
        (1, "add {n}", "x + {n}", lambda x, n: x + n),
        (1, "subtract {n}", "x - {n}", lambda x, n: x - n),
        (1, "multiply by {n}", "x * {n}", lambda x, n: x * n),
        (1, "modulo {n}", "x % {n}", lambda x, n: x % n),
        (1, "divide by {n}, round down", "x // {n}", lambda x, n: x // n),
        (1, "subtract it from {n}", "{n} - x", lambda x, n: n - x),
        (1, "raise to at least {n}", "max(x, {n})", max),
        (1, "cut to at most {n}", "min(x, {n})", min),
        (1, "distance to {n}", "abs(x - {n})", lambda x, n: abs(x - n)),
        (1, "square", "x * x", lambda x, _: x * x),
        (1, "negate", "-x", lambda x, _: -x),
    ),
    ("number", "list"): (
        (3, "its digits", "[int(c) for c in str(abs(x))]", lambda x, _: [int(c) for c in str(abs(x))]),
        (
            3,
            "its multiples up to {n} times",
            "[x * i for i in range(1, {n} + 1)]",
            lambda x, n: [x * i for i in _to(n)],
        ),
    ),
    ("list", "list"): (
        (2, "add {n} to each", "[v + {n} for v in x]", lambda x, n: [v + n for v in x]),
        (2, "multiply each by {n}", "[v * {n} for v in x]", lambda x, n: [v * n for v in x]),
        (2, "negate each", "[-v for v in x]", lambda x, _: [-v for v in x]),
        (2, "keep the even ones", "[v for v in x if v % 2 == 0]", lambda x, _: [v for v in x if v % 2 == 0]),
        (2, "keep the odd ones", "[v for v in x if v % 2 == 1]", lambda x, _: [v for v in x if v % 2 == 1]),
        (2, "keep those above {n}", "[v for v in x if v > {n}]", lambda x, n: [v for v in x if v > n]),
        (2, "keep those below {n}", "[v for v in x if v < {n}]", lambda x, n: [v for v in x if v < n]),
        (2, "reverse", "x[::-1]", lambda x, _: x[::-1]),
        (2, "sort", "sorted(x)", lambda x, _: sorted(x)),
        (2, "first {n}", "x[:{n}]", lambda x, n: x[:n]),
        (2, "last {n}", "x[-{n}:]", lambda x, n: x[-n:]),
        (2, "drop the first {n}", "x[{n}:]", lambda x, n: x[n:]),
        (2, "every second one", "x[::2]", lambda x, _: x[::2]),
        (3, "square each", "[v * v for v in x]", lambda x, _: [v * v for v in x]),
        (3, "each modulo {n}", "[v % {n} for v in x]", lambda x, n: [v % n for v in x]),
        (3, "keep the multiples of {n}", "[v for v in x if v % {n} == 0]", lambda x, n: [v for v in x if v % n == 0]),
        (3, "sort, largest first", "sorted(x, reverse=True)", lambda x, _: sorted(x, reverse=True)),
        (3, "drop repeats", "list(dict.fromkeys(x))", lambda x, _: list(dict.fromkeys(x))),
        (3, "running sums", "[sum(x[:i + 1]) for i in range(len(x))]", lambda x, _: list(accumulate(x))),
        (3, "differences", "[b - a for a, b in zip(x, x[1:])]", lambda x, _: [b - a for a, b in pairwise(x)]),
        (3, "larger of each neighbours", "[max(p) for p in zip(x, x[1:])]", lambda x, _: [max(p) for p in pairwise(x)]),
        (
            3,
            "keep what rises",
            "[b for a, b in zip(x, x[1:]) if b > a]",
            lambda x, _: [b for a, b in pairwise(x) if b > a],
        ),
        (3, "add its place to each", "[v + i for i, v in enumerate(x)]", lambda x, _: [v + i for i, v in enumerate(x)]),
        (3, "append the sum", "x + [sum(x)]", lambda x, _: [*x, sum(x)]),
    ),
    ("list", "number"): (
        (2, "sum", "sum(x)", lambda x, _: sum(x)),
        (2, "count", "len(x)", lambda x, _: len(x)),
        (2, "largest, or 0", "max(x, default=0)", lambda x, _: max(x, default=0)),
        (2, "smallest, or 0", "min(x, default=0)", lambda x, _: min(x, default=0)),
        (3, "last, or 0", "x[-1] if x else 0", lambda x, _: x[-1] if x else 0),
        (3, "count those above {n}", "len([v for v in x if v > {n}])", lambda x, n: len([v for v in x if v > n])),
        (3, "sum of squares", "sum([v * v for v in x])", lambda x, _: sum(v * v for v in x)),
        (3, "count different ones", "len(set(x))", lambda x, _: len(set(x))),
        (3, "alternating sum", "sum(x[::2]) - sum(x[1::2])", lambda x, _: sum(x[::2]) - sum(x[1::2])),
    ),
    ("word", "word"): (
        (2, "reverse", "x[::-1]", lambda x, _: x[::-1]),
        (2, "first {n} letters", "x[:{n}]", lambda x, n: x[:n]),
        (2, "last {n} letters", "x[-{n}:]", lambda x, n: x[-n:]),
        (2, "drop the first {n} letters", "x[{n}:]", lambda x, n: x[n:]),
        (2, "repeat {n} times", "x * {n}", lambda x, n: x * n),
        (2, "remove every {c}", "x.replace('{c}', '')", lambda x, c: x.replace(c, "")),
        (2, "append {c}", "x + '{c}'", lambda x, c: x + c),
        (2, "upper case", "x.upper()", lambda x, _: x.upper()),
        (3, "double every {c}", "x.replace('{c}', '{c}{c}')", lambda x, c: x.replace(c, c + c)),
        (3, "every second letter", "x[::2]", lambda x, _: x[::2]),
        (3, "sort the letters", "''.join(sorted(x))", lambda x, _: "".join(sorted(x))),
        (3, "drop repeated letters", "''.join(dict.fromkeys(x))", lambda x, _: "".join(dict.fromkeys(x))),
        (3, "remove vowels", "''.join([c for c in x if c not in 'aeiou'])", lambda x, _: re.sub("[aeiou]", "", x)),
        (3, "append its mirror image", "x + x[::-1]", lambda x, _: x + x[::-1]),
    ),
    ("word", "number"): (
        (2, "length", "len(x)", lambda x, _: len(x)),
        (2, "count the letter {c}", "x.count('{c}')", lambda x, c: x.count(c)),
        (3, "count vowels", "len([c for c in x if c in 'aeiou'])", lambda x, _: len(re.findall("[aeiou]", x))),
        (3, "count different letters", "len(set(x))", lambda x, _: len(set(x))),
    ),
    ("word", "list"): (
        (3, "places in the alphabet", "[ord(c) - 96 for c in x]", lambda x, _: [ord(c) - 96 for c in x]),
    ),
}


def _to(n: int) -> range:
    return range(1, n + 1)


def _filled() -> Iterator[Step]:
    for (takes, gives), kinds in _TABLE.items():
        for grade, words, code, call in kinds:
            for given in _NUMBERS if "{n}" in words else LETTERS if "{c}" in words else (None,):
                said, text = (part.format(n=given, c=given) for part in (words, code))
                yield Step(said, text, call, takes, gives, grade, words, given)


STEPS: dict[tuple[str, str], Step] = {(step.takes, step.words): step for step in _filled()}
KINDS: dict[str, dict[str, list[Step]]] = {takes: {} for takes, _ in _TABLE}
for _step in STEPS.values():
    KINDS[_step.takes].setdefault(_step.kind, []).append(_step)


def others(step: Step) -> tuple[list[Step], list[Step]]:
    """Return the steps of the same types that differ by one in their number or letter, and those of another kind."""
    alike = [other for kind in KINDS[step.takes].values() for other in kind if other.gives == step.gives]
    near = [other for other in alike if other.kind == step.kind and abs(_place(other) - _place(step)) == 1]
    return near, [other for other in alike if other.kind != step.kind and other.given == step.given]


def _place(step: Step) -> int:
    return LETTERS.index(step.given) if isinstance(step.given, str) else step.given or 0
