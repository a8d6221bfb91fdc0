"""Every letter of a word replaced by the next one of the alphabet: a shift cipher by one.

McCoy et al. 2023, Embers of Autoregression, arXiv:2309.13638. Letters a to j become b to k, so nothing wraps
round. Level = letters minus one.
"""

import re
from random import Random
from typing import Any

ABILITY = "other"
LEVELS = tuple(range(1, 9))
ALPHABET = "bcdefghijk"
SYSTEM = (
    "Replace every letter of the word by the next letter of the alphabet. Reply with the letters only. "
    "Example: nxt acj gives bdk."
)
_TASK = re.compile(r"nxt ([a-j]{2,9})")
_NEXT = str.maketrans("abcdefghij", ALPHABET)


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: a word of ``level`` + 1 letters."""
    return _row("".join(Random(f"{seed}/{index}/{level}").choices("abcdefghij", k=level + 1)))


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right letters, white space around them aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    return _row(found[1]) if found else None


def _row(word: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"nxt {word}"}],
        "answer": word.translate(_NEXT),
        "level": len(word) - 1,
    }


def _copies_the_input(prompt: list[dict[str, str]], **row: Any) -> str:
    return prompt[-1]["content"].removeprefix("nxt ")


def _forgets_the_last_letter(answer: str, **row: Any) -> str:
    return answer[:-1]


def _shifts_only_the_first_letter(prompt: list[dict[str, str]], answer: str, **row: Any) -> str:
    return answer[0] + prompt[-1]["content"].removeprefix("nxt ")[1:]


MISTAKES = {
    "copies the input": _copies_the_input,
    "forgets the last letter": _forgets_the_last_letter,
    "shifts only the first letter": _shifts_only_the_first_letter,
}
