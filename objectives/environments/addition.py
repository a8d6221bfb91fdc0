"""Addition with every number written least significant digit first, the order in which small models learn to carry.

Lee et al. 2023, Teaching Arithmetic to Small Transformers, arXiv:2307.03381. Level = digits of each operand.
"""

import re
from random import Random
from typing import Any

ABILITY = "math"
LEVELS = tuple(range(1, 9))
ALPHABET = "0123456789"
SYSTEM = (
    "Numbers are written backwards here, least significant digit first: 47 means seventy-four. "
    "Add the two numbers and reply with the digits of the sum only, written backwards as well. "
    "Example: add 47+85 gives 231, because 74 + 58 = 132."
)
_TASK = re.compile(r"add ([0-9]{1,8})\+([0-9]{1,8})")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: two numbers of ``level`` digits without leading zeros."""
    draw = Random(f"{seed}/{index}/{level}")
    low, high = (10 ** (level - 1) if level > 1 else 0), 10**level
    return _row(str(low + int(draw.random() * (high - low)))[::-1], str(low + int(draw.random() * (high - low)))[::-1])


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right digits, white space around them aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    if found is None:
        return None
    left, right = found.groups()
    if len(left) != len(right) or (len(left) > 1 and "0" in (left[-1], right[-1])):
        return None
    return _row(left, right)


def _row(left: str, right: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"add {left}+{right}"}],
        "answer": str(int(left[::-1]) + int(right[::-1]))[::-1],
        "level": len(left),
    }


def _operands(prompt: list[dict[str, str]]) -> list[str]:
    return prompt[-1]["content"].removeprefix("add ").split("+")


def _drops_the_carry(prompt: list[dict[str, str]], **row: Any) -> str:
    left, right = _operands(prompt)
    return "".join(str((int(a) + int(b)) % 10) for a, b in zip(left, right, strict=True))


def _forgets_the_last_carry(answer: str, level: int, **row: Any) -> str:
    return answer[:level]


def _reads_most_significant_first(prompt: list[dict[str, str]], **row: Any) -> str:
    left, right = _operands(prompt)
    return str(int(left) + int(right))


def _writes_most_significant_first(answer: str, **row: Any) -> str:
    return answer[::-1]


MISTAKES = {
    "drops the carry": _drops_the_carry,
    "forgets the last carry": _forgets_the_last_carry,
    "reads the numbers most significant digit first": _reads_most_significant_first,
    "writes the sum most significant digit first": _writes_most_significant_first,
}
