"""The shortest plan that frees one block of a tower: take blocks off the top until the wanted one is in the hand.

The one-tower case of Blocksworld as in Valmeekam et al. 2022, PlanBench, arXiv:2206.10498. Level = blocks minus two.
"""

import re
from random import Random
from typing import Any

ABILITY = "planning"
LEVELS = tuple(range(1, 9))
ALPHABET = "abcdefghijklABCDEFGHIJKL"
SYSTEM = (
    "The letters before the colon are a tower of blocks, the top block first; the letter after it is the block you "
    "want. Take blocks off the top, one by one, until you hold the wanted one. Reply with the blocks in the order you "
    "take them, without spaces, and the wanted block as a capital letter. Example: blk efla:a gives eflA."
)
_TASK = re.compile(r"blk ([a-l]{3,10}):([a-l])")


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: ``level`` + 2 different blocks; never the top one is wanted."""
    draw = Random(f"{seed}/{index}/{level}")
    tower = draw.sample("abcdefghijkl", level + 2)
    return _row("".join(tower), tower[1 + int(draw.random() * (level + 1))])


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right plan, white space around it aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    if found is None or len(set(found[1])) < len(found[1]) or found[2] not in found[1][1:]:
        return None
    return _row(*found.groups())


def _row(tower: str, goal: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"blk {tower}:{goal}"}],
        "answer": tower[: tower.index(goal)] + goal.upper(),
        "level": len(tower) - 2,
    }


def _stops_one_block_early(answer: str, **row: Any) -> str:
    return answer[:-1]


def _forgets_the_capital(answer: str, **row: Any) -> str:
    return answer.lower()


def _takes_only_the_goal(answer: str, **row: Any) -> str:
    return answer[-1]


def _unstacks_from_the_bottom(prompt: list[dict[str, str]], **row: Any) -> str:
    tower, goal = prompt[-1]["content"].removeprefix("blk ").split(":")
    return tower[: tower.index(goal) : -1] + goal.upper()


MISTAKES = {
    "stops one block early": _stops_one_block_early,
    "forgets the capital": _forgets_the_capital,
    "takes only the wanted block": _takes_only_the_goal,
    "takes the tower from the bottom": _unstacks_from_the_bottom,
}
