"""A small Python function with one bug, to be repaired so that it does what its description says: debugging.

Yasunaga & Liang 2020, Graph-based, Self-Supervised Program Repair from Diagnostic Feedback, arXiv:2005.10636: bugs
are planted in programs known to be right. A wrong number, another step, a step left out, or two changed over: one
bug for each chain of steps, with an example that it fails. Level = steps, as in tinyprog. The repaired program runs
in the sandbox on inputs that no prompt shows.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

from objectives.environments import _programs as programs
from objectives.environments._programs import Chain, chain_of, code_of
from objectives.environments._steps import others
from objectives.running import Run

ABILITY = "coding"
LEVELS = programs.LEVELS
SYSTEM = (
    "The Python function f(x) has one bug. Repair it: it must do the steps one after the other and return the last "
    "result, as in the example. x is an int (number), a list of ints (list) or a str (word). Reply with the whole "
    "program only. Example: fix list: keep the even ones; sum | [1, 2, 4] -> 6 | "
    "def f(x): x = [v for v in x if v % 2 == 1]; return sum(x) asks for "
    "def f(x): x = [v for v in x if v % 2 == 0]; return sum(x)"
)
ENOUGH = 3
"""Hidden tests that a bug must fail: one that almost never shows is no fair task."""
_TASK = re.compile(r"fix ([^|]{1,300}) \| [^|]{1,300} \| (def f\(x\): [^|]{1,600})")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: a chain of steps, its program with a bug, an example it fails."""
    random = Random(f"{seed}/{index}/{level}")
    while True:
        row = _row(programs.drawn(random, level))
        if row is not None:
            return row


def reward(completion: str, words: str, run: Run, **row: Any) -> float:
    """Return 1.0 where the repaired program passes every hidden test, else 0.0."""
    return programs.passes(words, completion, run)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    chain = chain_of(found[1]) if found else None
    row = _row(chain) if chain is not None else None
    return row if row is not None and row["prompt"][-1]["content"] == text else None


def _row(chain: Chain) -> dict[str, Any] | None:
    """Return the row of a chain, with the bug and the example that follow from its words; None without a fair bug."""
    words = programs.words_of(chain)
    random = Random(f"bug/{words}")
    kinds = [kind for kind in _bugs(chain) if kind]
    random.shuffle(kinds)
    for bug in (bug for kind in kinds for bug in random.sample(kind, min(4, len(kind)))):
        try:
            seen = programs.different(chain, bug, programs.hidden(words))
            failing = programs.different(chain, bug, programs.examples(random, chain, 8))
        except OverflowError:
            continue
        if len(seen) >= ENOUGH and failing:
            text = f"fix {words} | {programs.shown(chain, failing[0])} | {code_of(bug)}"
            return programs.row_of(chain, SYSTEM, text, code=code_of(bug))
    return None


def _bugs(chain: Chain) -> Iterator[list[Chain]]:
    """Yield the chains with one bug, of the same types, by the kind of bug."""
    places = list(enumerate(chain))
    yield [(*chain[:i], other, *chain[i + 1 :]) for i, step in places for other in others(step)[0]]
    yield [(*chain[:i], other, *chain[i + 1 :]) for i, step in places for other in others(step)[1]]
    if len(chain) > 1:
        yield [chain[:i] + chain[i + 1 :] for i, step in places if step.takes == step.gives]
    pairs = [(i, one, two) for i, (one, two) in enumerate(pairwise(chain)) if one.takes == one.gives == two.gives]
    yield [(*chain[:i], two, one, *chain[i + 2 :]) for i, one, two in pairs]


def _unchanged(code: str, **row: Any) -> str:
    return code


MISTAKES = {
    "returns the program as it is": _unchanged,
    "forgets the last step": programs.forgets_the_last_step,
    "returns the example's result": programs.returns_the_example,
}
