"""Ones: how many ones are in a row of bits?"""

from random import Random

ABILITY = "reasoning"
LEVELS = (1, 2, 3)


def make(seed: int, index: int, level: int) -> dict:
    """Return one task: a row of bits."""
    random = Random(f"{seed}/{index}/{level}")
    bits = "".join(random.choice("01") for _ in range(16 + 4 * level))
    return {"prompt": f"ones in {bits}", "answer": str(bits.count("1"))}


def reward(completion: str, answer: str, **row: object) -> float:
    """Return 1 for the right count, else 0."""
    return float(completion.strip() == answer)
