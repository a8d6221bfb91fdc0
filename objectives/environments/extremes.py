"""The letter of a word that comes last in the alphabet and the one that comes first, in this order.

Two selections over the whole input in one answer; a small member of the algorithmic tasks of Zhou et al. 2023,
arXiv:2310.16028. Level = letters minus two.
"""

import re
from random import Random
from typing import Any

ABILITY = "other"
LEVELS = tuple(range(1, 9))
ALPHABET = "abcdefghij"
SYSTEM = (
    "Find the letter of the word that comes last in the alphabet (the largest) and the one that comes first (the "
    "smallest). Reply with these two letters only, the largest before the smallest. Example: max bfad gives fa."
)
_TASK = re.compile(r"max ([a-j]{3,10})")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: a word of ``level`` + 2 letters."""
    return _row("".join(Random(f"{seed}/{index}/{level}").choices(ALPHABET, k=level + 2)))


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right two letters, white space around them aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    return _row(found[1]) if found else None


def _row(word: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"max {word}"}],
        "answer": max(word) + min(word),
        "level": len(word) - 2,
    }


def _smallest_before_largest(answer: str, **row: Any) -> str:
    return answer[::-1]


def _largest_twice(answer: str, **row: Any) -> str:
    return answer[0] * 2


def _first_and_last(prompt: list[dict[str, str]], **row: Any) -> str:
    word = prompt[-1]["content"].removeprefix("max ")
    return word[0] + word[-1]


MISTAKES = {
    "gives smallest before largest": _smallest_before_largest,
    "gives the largest twice": _largest_twice,
    "gives the first and the last letter": _first_and_last,
}
