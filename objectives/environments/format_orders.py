"""Stacked formatting orders, carried out on a word one after the other and checked by code.

After the verifiable instructions of Zhou et al. 2023, IFEval, arXiv:2311.07911, as letters. Levels 1 to 4 stack that
many orders on three letters, levels 5 to 8 one to four orders on five letters.
"""

import re
from random import Random
from typing import Any

ABILITY = "instruction_following"
LEVELS = tuple(range(1, 9))
ALPHABET = "abcdefghijABCDEFGHIJ"
SYSTEM = (
    "Carry out the orders before the colon, from left to right, on the word after it. u: write it in capitals. "
    "r: reverse it. d: double its last letter. b: move its first letter to the back. "
    "Reply with the resulting word only. Example: fmt db:jga gives gaaj."
)
_TASK = re.compile(r"fmt ([urdb]{1,4}):([a-j]{3}|[a-j]{5})")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: one to four orders and a word of three or five letters."""
    draw = Random(f"{seed}/{index}/{level}")
    orders = draw.choices("urdb", k=(level - 1) % 4 + 1)
    return _row("".join(orders), "".join(draw.choices("abcdefghij", k=3 if level <= 4 else 5)))


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right word, capitals included, white space around it aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    return _row(*found.groups()) if found else None


def _row(orders: str, word: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"fmt {orders}:{word}"}],
        "answer": _obey(orders, word),
        "level": len(orders) + (4 if len(word) == 5 else 0),
    }


def _obey(orders: str, word: str) -> str:
    for order in orders:
        if order == "u":
            word = word.upper()
        elif order == "r":
            word = word[::-1]
        elif order == "d":
            word += word[-1]
        else:
            word = word[1:] + word[0]
    return word


def _parts(prompt: list[dict[str, str]]) -> list[str]:
    return prompt[-1]["content"].removeprefix("fmt ").split(":")


def _ignores_the_last_order(prompt: list[dict[str, str]], **row: Any) -> str:
    orders, word = _parts(prompt)
    return _obey(orders[:-1], word)


def _reads_right_to_left(prompt: list[dict[str, str]], **row: Any) -> str:
    orders, word = _parts(prompt)
    return _obey(orders[::-1], word)


def _forgets_the_capitals(answer: str, **row: Any) -> str:
    return answer.lower()


MISTAKES = {
    "ignores the last order": _ignores_the_last_order,
    "reads the orders right to left instead of left to right": _reads_right_to_left,
    "forgets the capitals": _forgets_the_capitals,
}
