"""`use = "reasoning_gym:NAME"`: the procedural tasks of reasoning-gym (Stojanovski et al. 2025, arXiv:2505.24760).

What its scorers do and we do not let through (measured on 0.1.25): nine run the answer through `eval` or
`parse_expr`, so their answers must match a pattern of plain symbols first; two pay for anything and are refused;
partial credit for padding counts as wrong (a score below 0.99 is 0).
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from importlib.metadata import version
from itertools import count
from typing import Any

from objectives.environment import BadEnvironment, Program, Row
from objectives.types import Direction, JsonValue

BROKEN = {
    "game_of_life_halting": "its scorer pays 1.0 for any non-empty answer",
    "coin_flip": "its scorer pays 1.0 for the constant 0 in 95 % of items",
    "composite": "it is a mixture of others; name them one by one",
}
ARITHMETIC = re.compile(r"(?!.*\*\*)[0-9+\-*/(). ]*")
CELLS = re.compile(r"[0-9A-Z_\[\], \n]*")
POWER = r"(?:\*\*|\^)"
EXPONENT = r"(?:[-+]?\d{1,3}(?:\.\d{1,3})?|\([-+]?\d{1,3}(?:/\d{1,3})?\))(?![\d.])"
OF_E = rf"(?:[xyzX]\b|\((?:(?!{POWER})[^()])*\))"
TOWER = rf"(?:(?<!\bE){POWER}(?!\s*{EXPONENT}(?!\s*{POWER}))|\bE{POWER}(?!\s*(?:{EXPONENT}|{OF_E})(?!\s*{POWER})))"
FORMULA = re.compile(
    rf"(?!.*{TOWER})(?:[0-9+\-*/^(). ]|\b(?:x|y|z|X|C|sin|cos|tan|exp|log|sqrt|pi|E|asin|acos|atan)\b)*"
)
"""Sums of functions and powers; an exponent is a small number (or any power-free term, of E), never a power again."""
LETTERS = re.compile(r"[A-Za-z\[\]', ]*")
EXECUTES: Mapping[str, re.Pattern[str]] = {
    "countdown": ARITHMETIC,
    "puzzle24": ARITHMETIC,
    "binary_matrix": CELLS,
    "spiral_matrix": CELLS,
    "n_queens": CELLS,
    "polynomial_multiplication": FORMULA,
    "simple_integration": FORMULA,
    "intermediate_integration": FORMULA,
    "string_insertion": LETTERS,
}
ABILITIES: Mapping[str, str] = {
    "algebra": "math",
    "arithmetic": "math",
    "geometry": "math",
    "probability": "math",
    "code": "coding",
    "logic": "reasoning",
    "graphs": "reasoning",
    "induction": "reasoning",
    "cognition": "reasoning",
    "arc": "reasoning",
    "games": "planning",
    "algorithmic": "other",
}
LEVELS = (1, 2, 3, 4, 5)
STRIDE = 10_000_000
"""Between two seeds: item i is drawn from Random(seed + i), so nearby seeds share items."""


def _refuse_broken(name: str, dataset: str, known: Collection[str]) -> None:
    if dataset in BROKEN:
        raise BadEnvironment(f"environments.{name}", f"reasoning_gym:{dataset} is refused: {BROKEN[dataset]}")
    if dataset not in known:
        raise BadEnvironment(f"environments.{name}", f"reasoning_gym has no data set {dataset!r}")


def load(name: str, dataset: str) -> Program:
    """Return reasoning-gym's data set of that name; call it in a grader process only.

    Raises:
        BadEnvironment: There is none of that name, or its scorer is known to be broken.
    """
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    _refuse_broken(name, dataset, DATASETS)
    category = DATASETS[dataset][0].__module__.split(".")[1]
    curriculum = _levels(dataset)

    @lru_cache(maxsize=64)
    def items(seed: int, level: int) -> Any:
        config = curriculum[min(level, len(curriculum)) - 1]
        return reasoning_gym.create_dataset(dataset, seed=seed * STRIDE % 2**31, size=STRIDE, **config)

    def fits(answer: str) -> bool:
        return dataset not in EXECUTES or EXECUTES[dataset].fullmatch(answer) is not None

    def make(seed: int, index: int, level: int) -> Row:
        """Return the first item from ``index`` on whose own answer is one: some only repeat the integral asked for."""
        entry = next(item for item in map(items(seed, level).__getitem__, count(index)) if fits(item["answer"]))
        return {"prompt": entry["question"], "answer": entry["answer"], "level": level, "entry": entry}

    def reward(completion: str, entry: object, level: int, **_row: object) -> float:
        answer = final(completion)
        return float(fits(answer) and items(1, level).score_answer(answer, entry) >= 0.99)

    return Program(
        name=name,
        ability=ABILITIES.get(category, "other"),
        direction=Direction.PERFORMANCE,
        levels=LEVELS[: len(curriculum)],
        reward=reward,
        version=f"reasoning_gym {version('reasoning_gym')} {dataset}",
        make=make,
    )


def final(completion: str) -> str:
    """Return the final answer of a completion: between answer tags, else after the last "answer:", else all."""
    tagged = re.findall(r"<answer>(.*?)</answer>", completion, re.DOTALL)
    if tagged:
        return str(tagged[-1]).strip()
    said = re.split(r"(?i)\banswer\s*:\s*", completion)
    return said[-1].strip()


def _levels(dataset: str) -> list[dict[str, JsonValue]]:
    """Return one configuration per level: the curriculum's easiest, then every attribute raised step by step."""
    from reasoning_gym.factory import create_curriculum

    try:
        curriculum = create_curriculum(dataset)
    except (ValueError, KeyError):
        return [{}]
    found: list[dict[str, JsonValue]] = []
    for _ in LEVELS:
        config = curriculum.generate_configuration()
        fields = {k: v for k, v in vars(config).items() if k not in ("seed", "size")}
        if fields in found:
            break
        found.append(fields)
        for attribute in curriculum.attributes:
            curriculum.increment_attr_level(attribute)
    return [fields for fields in found if _valid(dataset, fields)] or [{}]


def _valid(dataset: str, config: dict[str, JsonValue]) -> bool:
    """Return whether the data set takes a configuration of its own curriculum: five of them refuse some."""
    import reasoning_gym

    try:
        reasoning_gym.create_dataset(dataset, seed=1, size=1, **config)
    except (AssertionError, ValueError):
        return False
    return True
