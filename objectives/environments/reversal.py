"""A word written backwards: the plainest test of looking up a place by its distance from the end.

Zhou et al. 2023, What Algorithms can Transformers Learn?, arXiv:2310.16028. Level = letters minus one.
"""

import re
from random import Random
from typing import Any

ABILITY = "other"
LEVELS = tuple(range(1, 9))
ALPHABET = "abcdefghij"
SYSTEM = "Write the word backwards. Reply with the letters only. Example: rev abc gives cba."
_TASK = re.compile(r"rev ([a-j]{2,9})")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: a word of ``level`` + 1 letters."""
    return _row("".join(Random(f"{seed}/{index}/{level}").choices(ALPHABET, k=level + 1)))


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right letters, white space around them aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    return _row(found[1]) if found else None


def _row(word: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"rev {word}"}],
        "answer": word[::-1],
        "level": len(word) - 1,
    }


def _copies_the_input(answer: str, **row: Any) -> str:
    return answer[::-1]


def _forgets_the_last_letter(answer: str, **row: Any) -> str:
    return answer[:-1]


def _swaps_the_last_two(answer: str, **row: Any) -> str:
    return answer[:-2] + answer[:-3:-1]


MISTAKES = {
    "copies the input": _copies_the_input,
    "forgets the last letter": _forgets_the_last_letter,
    "swaps the last two letters": _swaps_the_last_two,
}
