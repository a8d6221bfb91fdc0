"""A small Python function from its description, checked by hidden tests: program synthesis.

Chen et al. 2021, Evaluating Large Language Models Trained on Code, arXiv:2107.03374. Chains of steps over numbers,
lists and words; level = steps, from one to six. The program runs in the sandbox on inputs that no prompt shows.
"""

import re
from random import Random
from typing import Any

from objectives.environments import _programs as programs
from objectives.environments._programs import Chain, chain_of, code_of
from objectives.environments._steps import others
from objectives.running import Run

ABILITY = "coding"
LEVELS = programs.LEVELS
SYSTEM = (
    "Write a Python function f(x) that does these steps one after the other and returns the last result. x is an int "
    "(number), a list of ints (list) or a str (word). Reply with the program only, without imports. Example: "
    "prog list: keep the even ones; sum | [1, 2, 4] -> 6 | [3] -> 0 asks for "
    "def f(x): x = [v for v in x if v % 2 == 0]; return sum(x)"
)
_TASK = re.compile(r"prog ([^|]{1,300}) \| [^|]{1,300} \| [^|]{1,300}")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: a chain of steps and two examples, which follow from it."""
    return _row(programs.drawn(Random(f"{seed}/{index}/{level}"), level))


def reward(completion: str, words: str, run: Run, **row: Any) -> float:
    """Return 1.0 where the program passes every hidden test, else 0.0."""
    return programs.passes(words, completion, run)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    chain = chain_of(found[1]) if found else None
    row = _row(chain) if chain is not None else None
    return row if row is not None and row["prompt"][-1]["content"] == text else None


def _row(chain: Chain) -> dict[str, Any]:
    words = programs.words_of(chain)
    one, *rest = programs.examples(Random(f"shown/{words}"), chain, 8)
    two = next((x for x in rest if programs.result(chain, x) != programs.result(chain, one)), rest[0])
    text = f"prog {words} | {programs.shown(chain, one)} | {programs.shown(chain, two)}"
    return programs.row_of(chain, SYSTEM, text)


def _first_step_only(words: str, **row: Any) -> str:
    return code_of((chain_of(words) or ())[:1])


def _one_too_many(words: str, **row: Any) -> str:
    chain = chain_of(words) or ()
    more = ((i, near[-1]) for i, step in enumerate(chain) if (near := others(step)[0]))
    at, other = next(more, (0, chain[0]))
    return code_of((*chain[:at], other, *chain[at + 1 :]))


MISTAKES = {
    "forgets the last step": programs.forgets_the_last_step,
    "does the first step only": _first_step_only,
    "takes the next number or letter": _one_too_many,
    "returns the example's result": programs.returns_the_example,
}
