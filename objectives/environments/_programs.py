"""Small programs as chains of steps, for the environments that ask for code.

A chain says what f(x) does to a number, a list of numbers or a word. Its tests are a pure function of its words: the
shown ones stand in the prompt, the hidden ones are made by the reward, so they are in no task, no answer and no
program's reach. What a chain should return is computed here, by the steps' own meaning; text is never executed.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Any

from objectives.environments._steps import KINDS, LETTERS, STEPS, Step
from objectives.running import Run

Chain = tuple[Step, ...]

LEVELS = tuple(range(1, 9))
HIDDEN = 12
LONGEST = 2000
"""Characters a program may have: the longest right answer has under 400."""
MOST = 10**6
"""The largest number and ten times the greatest length that a chain may reach."""
_FENCED = re.compile(r"```(?:python|py)?\n(.*?)\n?```", re.DOTALL)


def level_of(chain: Chain) -> int:
    """Return the level: one step on a number, one on a list or word, two easy ones, two, then one more each."""
    grade = max(step.grade for step in chain)
    return {1: 1 if grade == 1 else 2, 2: 3 if grade < 3 else 4}.get(len(chain), len(chain) + 2)


def chain_of(words: str) -> Chain | None:
    """Return the chain that ``TYPE: step; step`` names, None where it names none that is worth asking for."""
    takes, colon, rest = words.partition(": ")
    chain: list[Step] = []
    for part in rest.split("; ") if colon else ():
        step = STEPS.get((takes, part))
        if step is None or len(chain) == 6:
            return None
        chain.append(step)
        takes = step.gives
    return tuple(chain) if chain and worthy(tuple(chain)) else None


def words_of(chain: Chain) -> str:
    """Return ``TYPE: step; step``."""
    return f"{chain[0].takes}: " + "; ".join(step.words for step in chain)


def code_of(chain: Chain) -> str:
    """Return the chain as a program of one line; none at all gives back what it gets."""
    *before, last = [step.code for step in chain] or ["x"]
    return "def f(x): " + "".join(f"x = {code}; " for code in before) + f"return {last}"


def result(chain: Chain, x: Any) -> Any:
    """Return what a chain makes of one input.

    Raises:
        OverflowError: It becomes too large to ask for.
    """
    for step in chain:
        x = step.call(x, step.given)
        size = abs(x) if isinstance(x, int) else 10_000 * len(x)
        if isinstance(x, list) and x:
            size = max(size, *x, -min(x))
        if size > MOST:
            raise OverflowError(f"{step.words}: larger than {MOST}")
    return x


def drawn(random: Random, level: int) -> Chain:
    """Return a chain of a level."""
    count = level - 2 if level > 4 else 1 if level < 3 else 2
    while True:
        takes = "number" if level == 1 else random.choice(("list", "word", "number")[: 2 if level < 4 else 3])
        chain: list[Step] = []
        for _ in range(count):
            kind = random.choice(list(KINDS[takes]))
            chain.append(random.choice(KINDS[takes][kind]))
            takes = chain[-1].gives
        if level_of(tuple(chain)) == level and worthy(tuple(chain)):
            return tuple(chain)


def some(random: Random, takes: str) -> Any:
    """Return one input of a type."""
    if takes == "number":
        return random.randint(-20, 40)
    if takes == "list":
        return [random.randint(-9, 20) for _ in range(random.randint(3, 8))]
    return "".join(random.choices(LETTERS, k=random.randint(3, 8)))


def examples(random: Random, chain: Chain, count: int) -> list[Any]:
    """Return different inputs to show, none of them a hidden one, for which the chain stays small.

    Raises:
        OverflowError: There are none.
    """
    found: list[Any] = []
    secret = hidden(words_of(chain))
    for _ in range(50 * count):
        x = some(random, chain[0].takes)
        if x not in found and x not in secret and _small(chain, x):
            found.append(x)
            if len(found) == count:
                return found
    raise OverflowError(f"{words_of(chain)}: no small examples")


def _small(chain: Chain, x: Any) -> bool:
    try:
        result(chain, x)
    except OverflowError:
        return False
    return True


@lru_cache(4096)
def hidden(words: str) -> tuple[Any, ...]:
    """Return the inputs of the hidden tests: the empty ones, and random ones that depend on the words alone."""
    takes, random = words.partition(":")[0], Random(f"hidden/{words}")
    edges: dict[str, list[Any]] = {"number": [0, 1, -1], "list": [[], [3], [-2]], "word": ["", "a", "t"]}
    return (*edges[takes], *(some(random, takes) for _ in range(HIDDEN - 3)))


@lru_cache(4096)
def worthy(chain: Chain) -> bool:
    """Return whether a chain can be asked for: small numbers, varied results, and every step matters."""
    inputs = hidden(words_of(chain))
    try:
        results = [result(chain, x) for x in inputs]
        if len(set(map(repr, results))) < 4:
            return False
        pairs = list(zip(inputs, results, strict=True))[::-1]  # the empty ones tell least: last
        return not any(all(result(less, x) == right for x, right in pairs) for less in _shorter(chain))
    except OverflowError:
        return False


def _shorter(chain: Chain) -> list[Chain]:
    """Return the chain without some steps in a row, or without all, wherever what is left fits together."""
    spans = [(i, j) for i in range(len(chain)) for j in range(i + 1, len(chain) + 1)]
    return [chain[:i] + chain[j:] for i, j in spans if chain[i].takes == chain[j - 1].gives]


def shown(chain: Chain, x: Any) -> str:
    """Return one example as the prompt writes it."""
    return f"{json.dumps(x)} -> {json.dumps(result(chain, x))}"


def source_of(completion: str) -> str:
    """Return the program an answer is: all of it, or its one fenced block where that is all; empty where too long."""
    text = completion.strip()
    fenced = _FENCED.fullmatch(text)
    text = fenced[1] if fenced else text
    return text if len(text) <= LONGEST and re.search(r"\bf\b", text) else ""


def passes(words: str, completion: str, run: Run) -> float:
    """Return 1.0 where the program gives what the chain gives on every hidden test, of the same type; else 0.0."""
    source, chain = source_of(completion), chain_of(words)
    if not source or chain is None:
        return 0.0
    inputs = hidden(words)
    ran = run(source, "f", [[x] for x in inputs])
    wanted = [result(chain, x) for x in inputs]
    return float(ran.values is not None and json.dumps(list(ran.values)) == json.dumps(wanted))


def row_of(chain: Chain, system: str, user: str, **more: Any) -> dict[str, Any]:
    """Return a row: what is asked, the program that answers it, and the chain's words for the reward."""
    prompt = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return {"prompt": prompt, "answer": code_of(chain), "level": level_of(chain), "words": words_of(chain), **more}


def different(chain: Chain, other: Chain, inputs: Sequence[Any]) -> list[Any]:
    """Return the inputs on which two chains disagree.

    Raises:
        OverflowError: One of them becomes too large.
    """
    return [x for x in inputs if json.dumps(result(chain, x)) != json.dumps(result(other, x))]


def forgets_the_last_step(words: str, **row: Any) -> str:
    """Return the program of all steps but the last: a mistake."""
    return code_of((chain_of(words) or ())[:-1])


def returns_the_example(prompt: list[dict[str, str]], **row: Any) -> str:
    """Return a program that gives the first example's result whatever comes in: a mistake."""
    return "def f(x): return " + prompt[-1]["content"].split(" | ")[1].partition(" -> ")[2]
