"""The newcomer's walk: from ``metaevo run`` to a promoted generation, each stop with the line where it begins."""

import ast
from dataclasses import dataclass
from pathlib import Path

from tests.architecture import tree

MOST_FILES = 8


@dataclass(frozen=True, slots=True)
class Stop:
    """One function of the walk, and what a reader learns there."""

    path: str
    function: str
    """A function, or ``Class.method``."""
    says: str


WALK = (
    Stop("services/operations/evolution.py", "run", "the verb; its signature is the command and its options."),
    Stop("services/actions/run.py", "run_cycles", "opens the home, asks what may still be spent, drives evolution."),
    Stop("metaevo/evolution/loop.py", "Evolution.run", "one cycle after the other until the budget or the work ends."),
    Stop("metaevo/evolution/loop.py", "Evolution.one", "what one cycle starts from, the cycle, and `advance`."),
    Stop("metaevo/evolution/cycle.py", "run", "the straight line: diagnose, objective, synthesis, search, examine."),
    Stop("metaevo/search/run.py", "Search.run", "which recipes are tried for the objective, and which trial is best."),
    Stop("metaevo/trial.py", "run", "one recipe, step by step, to a new generation: each step is journalled."),
    Stop(
        "metaevo/gate/decision.py", "decide", "screen, confirmation, protection, guards: the verdict and its reasons."
    ),
    Stop("metaevo/ledger/cycles.py", "close_cycle", "one transaction: the verdict, the scores, the new champion."),
)


def found(source: str, function: str) -> ast.FunctionDef | None:
    """Return the definition of a function or ``Class.method``, None where the file has none of that name."""
    body: list[ast.stmt] = ast.parse(source).body
    *outer, name = function.split(".")
    for part in outer:
        body = next((node.body for node in body if isinstance(node, ast.ClassDef) and node.name == part), [])
    return next((node for node in body if isinstance(node, ast.FunctionDef) and node.name == name), None)


def line(stop: Stop, root: Path = tree.ROOT) -> int:
    """Return the line where a stop's function begins.

    Raises:
        ValueError: The file has no such function.
    """
    node = found((root / stop.path).read_text("utf-8"), stop.function)
    if node is None:
        raise ValueError(f"tests/architecture/walk.py: {stop.path} has no {stop.function}; say where it is now")
    return node.lineno


def calls(source: str) -> set[str]:
    """Return the names that a file calls, the last part of each."""
    called = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {name for func in called if (name := getattr(func, "id", None) or getattr(func, "attr", None))}


def walk() -> str:
    """Return the walk as a numbered list, for metaevo/README.md."""
    return "\n".join(
        f"{number}. [`{stop.path}:{line(stop)}`](../{stop.path}) `{stop.function}`: {stop.says}"
        for number, stop in enumerate(WALK, 1)
    )
