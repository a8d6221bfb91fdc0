"""Where a walk on a three by three grid ends, with walls around it: an agent that must keep track of itself.

A text-only, answer-only relative of BabyAI (Chevalier-Boisvert et al. 2018, arXiv:1810.08272). Level = moves.
"""

import re
from random import Random
from typing import Any

ABILITY = "embodied_control"
LEVELS = tuple(range(1, 9))
ALPHABET = "012"
SYSTEM = (
    "You stand on a 3 by 3 grid. A position is two digits, column then row, each from 0 to 2. R adds one to the "
    "column, L takes one away, U adds one to the row, D takes one away; a move off the grid changes nothing. "
    "Start at the given position, make the moves from left to right, and reply with the two digits of the final "
    "position only. Example: nav 21 RL gives 11."
)
_TASK = re.compile(r"nav ([012]{2}) ([RLUD]{1,8})")
_STEPS = {"R": (1, 0), "L": (-1, 0), "U": (0, 1), "D": (0, -1)}


def make(seed: int, index: int, level: int) -> dict[str, Any]:
    """Return the row number ``index`` of a level: a start and ``level`` moves."""
    draw = Random(f"{seed}/{index}/{level}")
    return _row("".join(draw.choices(ALPHABET, k=2)), "".join(draw.choices("RLUD", k=level)))


def reward(completion: str, answer: str, **row: Any) -> float:
    """Return 1.0 for the right position, white space around it aside."""
    return float(completion.strip() == answer)


def read(text: str) -> dict[str, Any] | None:
    """Return the row of a posed text, or None where it is no task of this environment."""
    found = _TASK.fullmatch(text)
    return _row(*found.groups()) if found else None


def _row(start: str, moves: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"nav {start} {moves}"}],
        "answer": _walk(start, moves),
        "level": len(moves),
    }


def _walk(start: str, moves: str) -> str:
    column, row = int(start[0]), int(start[1])
    for move in moves:
        right, up = _STEPS[move]
        column, row = min(2, max(0, column + right)), min(2, max(0, row + up))
    return f"{column}{row}"


def _parts(prompt: list[dict[str, str]]) -> list[str]:
    return prompt[-1]["content"].split(" ")[1:]


def _second_one_too_far(answer: str, **row: Any) -> str:
    return answer[0] + str((int(answer[1]) + 1) % 3)


def _swaps_the_coordinates(answer: str, **row: Any) -> str:
    return answer[::-1]


def _forgets_the_last_move(prompt: list[dict[str, str]], **row: Any) -> str:
    start, moves = _parts(prompt)
    return _walk(start, moves[:-1])


def _walks_through_walls(prompt: list[dict[str, str]], **row: Any) -> str:
    start, moves = _parts(prompt)
    column = int(start[0]) + moves.count("R") - moves.count("L")
    return f"{column % 3}{(int(start[1]) + moves.count('U') - moves.count('D')) % 3}"


MISTAKES = {
    "second coordinate one too far": _second_one_too_far,
    "swaps the two coordinates": _swaps_the_coordinates,
    "forgets the last move": _forgets_the_last_move,
    "walks through a wall to the other side": _walks_through_walls,
}
