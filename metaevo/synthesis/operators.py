"""The grammar's operators: for each its types, the Python it becomes, and what it does. All are total.

Nothing here can raise, loop for ever or grow without bound on the fields of `metaevo.kernels`: quotients are by at
least 1, products stay within NUMBER_MOST, texts within TEXT_CHARS. Only operations are used whose result is
the same in every interpreter, bit for bit: no transcendental functions, no Unicode tables, no white space classes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from metaevo.kernels import NUMBER_MOST, TEXT_CHARS, Field

DIGITS, TURNED = "0123456789", "1234567890"
LARGE = int(NUMBER_MOST)
N, B, T, L = Field.NUMBER, Field.TRUTH, Field.TEXT, Field.TEXTS


@dataclass(frozen=True, slots=True)
class Operator:
    """``code`` is a format of its operands and, where ``counted``, of ``{k}``; ``does`` computes the same."""

    gives: Field
    takes: tuple[Field, ...]
    code: str
    does: Callable[..., Any]
    commutes: bool = False
    counted: bool = False
    needs: str = ""
    """The module its code asks for."""


def _product(a: float, b: float) -> float:
    return max(-LARGE, min(LARGE, a * b))


def _turned(text: str) -> str:
    return "".join(TURNED[int(c)] if c in DIGITS else c for c in text)


OPERATORS: Mapping[str, Operator] = {
    # numbers
    "add": Operator(N, (N, N), "({0} + {1})", lambda a, b: a + b, commutes=True),
    "subtract": Operator(N, (N, N), "({0} - {1})", lambda a, b: a - b),
    "multiply": Operator(N, (N, N), f"max({-LARGE}, min({LARGE}, {{0}} * {{1}}))", _product, commutes=True),
    "divide": Operator(N, (N, N), "({0} / max(1, {1}))", lambda a, b: a / max(1, b)),
    "least": Operator(N, (N, N), "min({0}, {1})", min),
    "most": Operator(N, (N, N), "max({0}, {1})", max),
    "size": Operator(N, (N,), "abs({0})", abs),
    "root": Operator(N, (N,), "math.sqrt(abs({0}))", lambda a: math.sqrt(abs(a)), needs="math"),
    "number_if": Operator(N, (B, N, N), "({1} if {0} else {2})", lambda c, a, b: a if c else b),
    # numbers of texts
    "length": Operator(N, (T,), "len({0})", len),
    "distinct": Operator(N, (T,), "len(set({0}))", lambda t: len(set(t))),
    "pairs": Operator(N, (T,), "sum([len(set(zip(t, t[1:]))) for t in [{0}]])", lambda t: len(set(pairwise(t)))),
    "doubled": Operator(
        N,
        (T,),
        "sum([a == b for t in [{0}] for a, b in zip(t, t[1:])])",
        lambda t: sum([a == b for a, b in pairwise(t)]),
    ),
    "digits": Operator(N, (T,), f"sum([c in '{DIGITS}' for c in {{0}}])", lambda t: sum([c in DIGITS for c in t])),
    "words": Operator(N, (T,), "len({0}.split(' '))", lambda t: len(t.split(" "))),
    "count": Operator(N, (T, T), "{0}.count({1})", lambda t, u: t.count(u)),
    "place": Operator(N, (T, T), "{0}.find({1})", lambda t, u: t.find(u)),
    "shared": Operator(N, (T, T), "len(set({0}) & set({1}))", lambda t, u: len(set(t) & set(u)), commutes=True),
    "agree": Operator(
        N,
        (T, T),
        "sum([a == b for a, b in zip({0}, {1})])",
        lambda t, u: sum([a == b for a, b in zip(t, u, strict=False)]),
        commutes=True,
    ),
    "many": Operator(N, (L,), "len({0})", len),
    # truths
    "below": Operator(B, (N, N), "({0} < {1})", lambda a, b: a < b),
    "at_most": Operator(B, (N, N), "({0} <= {1})", lambda a, b: a <= b),
    "equal": Operator(B, (N, N), "({0} == {1})", lambda a, b: a == b, commutes=True),
    "and": Operator(B, (B, B), "({0} and {1})", lambda a, b: a and b, commutes=True),
    "or": Operator(B, (B, B), "({0} or {1})", lambda a, b: a or b, commutes=True),
    "not": Operator(B, (B,), "(not {0})", lambda a: not a),
    "within": Operator(B, (T, T), "({0} in {1})", lambda t, u: t in u),
    "begins": Operator(B, (T, T), "{0}.startswith({1})", lambda t, u: t.startswith(u)),
    "ends": Operator(B, (T, T), "{0}.endswith({1})", lambda t, u: t.endswith(u)),
    "alike": Operator(B, (T, T), "({0} == {1})", lambda t, u: t == u, commutes=True),
    "among": Operator(B, (T, L), "({0} in {1})", lambda t, texts: t in texts),
    # texts
    "first": Operator(T, (T,), "{0}[:{k}]", lambda t, k: t[:k], counted=True),
    "rest": Operator(T, (T,), "{0}[{k}:]", lambda t, k: t[k:], counted=True),
    "last": Operator(T, (T,), "{0}[-{k}:]", lambda t, k: t[-k:], counted=True),
    "backwards": Operator(T, (T,), "{0}[::-1]", lambda t: t[::-1]),
    "sorted": Operator(T, (T,), "''.join(sorted({0}))", lambda t: "".join(sorted(t))),
    "turned": Operator(T, (T,), f"''.join(['{TURNED}'[int(c)] if c in '{DIGITS}' else c for c in {{0}}])", _turned),
    "first_word": Operator(T, (T,), "{0}.split(' ')[0]", lambda t: t.split(" ")[0]),
    "last_word": Operator(T, (T,), "{0}.split(' ')[-1]", lambda t: t.split(" ")[-1]),
    "last_line": Operator(T, (T,), "{0}.split('\\n')[-1]", lambda t: t.split("\n")[-1]),
    "join": Operator(T, (T, T), f"({{0}} + {{1}})[:{TEXT_CHARS}]", lambda t, u: (t + u)[:TEXT_CHARS]),
    "replace": Operator(
        T,
        (T, T, T),
        f"{{0}}.replace({{1}}, {{2}})[:{TEXT_CHARS}]",
        lambda t, u, v: t.replace(u, v)[:TEXT_CHARS],
    ),
    "text_if": Operator(T, (B, T, T), "({1} if {0} else {2})", lambda c, t, u: t if c else u),
}
"""Every operator by the word it has in trees and specifications."""
