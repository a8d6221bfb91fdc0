"""How often a letter occurs in a word: counting, which a language model cannot do by looking at one place.

Counting as a limit of transformers: Yehudai et al. 2024, When Can Transformers Count to n?, arXiv:2407.15160.
Level = letters of the word minus two.
"""

import re
from itertools import groupby
from random import Random
from typing import Any

ABILITY = "reasoning"
LEVELS = tuple(range(1, 9))
ALPHABET = "0123456789"
SYSTEM = (
    "Count how often the single letter occurs in the word after it. Reply with the number only, in digits. "
    "Example: cnt a abba gives 2."
)
_TASK = re.compile(r"cnt ([abc]) ([abc]{3,10})")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: a letter and a word of ``level`` + 2 letters, all of a, b, c."""
    letter, *word = Random(f"{seed}/{index}/{level}").choices("abc", k=level + 3)
    return _row(letter, "".join(word))


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right number, white space around it aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    return _row(*found.groups()) if found else None


def _row(letter: str, word: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"cnt {letter} {word}"}],
        "answer": str(word.count(letter)),
        "level": len(word) - 2,
    }


def _parts(prompt: list[dict[str, str]]) -> list[str]:
    return prompt[-1]["content"].split(" ")[1:]


def _misses_the_last_letter(prompt: list[dict[str, str]], **row: Any) -> str:
    letter, word = _parts(prompt)
    return str(word[:-1].count(letter))


def _counts_a_run_once(prompt: list[dict[str, str]], **row: Any) -> str:
    letter, word = _parts(prompt)
    return str(sum(key == letter for key, _ in groupby(word)))


def _counts_the_others(prompt: list[dict[str, str]], **row: Any) -> str:
    letter, word = _parts(prompt)
    return str(len(word) - word.count(letter))


MISTAKES = {
    "misses the last letter": _misses_the_last_letter,
    "counts letters in a row as one": _counts_a_run_once,
    "counts the other letters": _counts_the_others,
}
