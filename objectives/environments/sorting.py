"""The letters of a word in alphabetical order, repeated ones kept.

Zhou et al. 2023, What Algorithms can Transformers Learn?, arXiv:2310.16028. Level = letters minus one.
"""

import re
from random import Random
from typing import Any

ABILITY = "other"
LEVELS = tuple(range(1, 9))
ALPHABET = "abcdefghij"
SYSTEM = (
    "Put the letters of the word into alphabetical order and keep repeated letters. Reply with the letters only. "
    "Example: srt fjf gives ffj."
)
_TASK = re.compile(r"srt ([a-j]{2,9})")


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
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"srt {word}"}],
        "answer": "".join(sorted(word)),
        "level": len(word) - 1,
    }


def _swaps_the_last_two(answer: str, **row: Any) -> str:
    return answer[:-2] + answer[:-3:-1]


def _sorts_backwards(answer: str, **row: Any) -> str:
    return answer[::-1]


def _drops_repeated_letters(answer: str, **row: Any) -> str:
    return "".join(dict.fromkeys(answer))


def _copies_the_input(prompt: list[dict[str, str]], **row: Any) -> str:
    return prompt[-1]["content"].removeprefix("srt ")


MISTAKES = {
    "swaps the last two letters": _swaps_the_last_two,
    "sorts from the last letter of the alphabet to the first": _sorts_backwards,
    "drops repeated letters": _drops_repeated_letters,
    "copies the input": _copies_the_input,
}
