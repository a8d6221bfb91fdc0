"""The last digit of a sum of digits, answered at once or with the working shown: the running sums, one digit each.

Showing the working (Nye et al. 2021, Show Your Work, arXiv:2112.00114) turns one hard step into easy ones; models can
learn to do so from their own samples (Zelikman et al. 2022, STaR, arXiv:2203.14465). Level = numbers minus one.
"""

import re
from itertools import accumulate
from random import Random
from typing import Any

ABILITY = "math"
LEVELS = tuple(range(1, 9))
ALPHABET = "0123456789"
SYSTEM = (
    "Add up the digits, which are separated by dashes, and keep only the last digit of the sum. Reply with that digit "
    "only, or show your working: the last digit of every running sum, from the first number on, without spaces. "
    "Example: mod 3-4-4 gives 1, or with the working 371, because 3, 3 + 4 = 7, 7 + 4 = 11."
)
_TASK = re.compile(r"mod ([0-9](?:-[0-9]){1,8})")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: ``level`` + 1 digits."""
    return _row(Random(f"{seed}/{index}/{level}").choices(ALPHABET, k=level + 1))


def reward(completion: str, answer: str, level: int, **row: Any) -> float:
    """Return 1.0 where the last character is right and nothing but digits, at most one a number, comes before it."""
    text = completion.strip()
    return float(0 < len(text) <= level + 1 and set(text) <= set(ALPHABET) and text[-1] == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    return _row(found[1].split("-")) if found else None


def _row(digits: list[str]) -> dict[str, Any]:
    working = "".join(str(total % 10) for total in accumulate(map(int, digits)))
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "mod " + "-".join(digits)}],
        "answer": working[-1],
        "reference": working,
        "level": len(digits) - 1,
    }


def _digits(prompt: list[dict[str, str]]) -> list[int]:
    return [int(digit) for digit in prompt[-1]["content"].removeprefix("mod ").split("-")]


def _copies_the_first_number(prompt: list[dict[str, str]], **row: Any) -> str:
    return str(_digits(prompt)[0])


def _copies_the_last_number(prompt: list[dict[str, str]], **row: Any) -> str:
    return str(_digits(prompt)[-1])


def _forgets_the_last_number(prompt: list[dict[str, str]], **row: Any) -> str:
    return str(sum(_digits(prompt)[:-1]) % 10)


def _subtracts(prompt: list[dict[str, str]], **row: Any) -> str:
    first, *others = _digits(prompt)
    return str((first - sum(others)) % 10)


MISTAKES = {
    "copies the first number": _copies_the_first_number,
    "copies the last number": _copies_the_last_number,
    "forgets the last number": _forgets_the_last_number,
    "reads the dashes as minus signs": _subtracts,
}
