"""No sentence decides: code reads an error's parts and an ending's code, never the words meant for people."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture import tree

PACKAGES = ("metaevo", "objectives", "sandbox", "services")
FILES = [
    path
    for name in PACKAGES
    for path in sorted((tree.ROOT / name).rglob("*.py"))
    if "migrations" not in path.parts  # ledgers before schema 3 kept sentences alone: they are read once, there
]
READS = ("startswith", "endswith", "removeprefix", "removesuffix", "find", "index", "partition", "replace")
TOLD = {"error", "why", "failure", "sentence", "reason"}
"""Names under which a text for people goes."""
ALLOWED = {
    "metaevo/errors.py: os.strerror(code) in str(error)": "Rust libraries say in text alone that a disk is full",
    "metaevo/engines/transformers.py: 'allocate memory' not in str(error)": "torch on a CPU has no type for it",
    "metaevo/learning/model.py: 'allocate memory' in str(error)": "torch on a CPU has no type for it",
    "metaevo/learning/training.py: 'allocate memory' not in str(error)": "torch on a CPU has no type for it",
    "metaevo/learning/training.py: 'probability tensor contains' in str(error)": "torch has no type for it",
}
"""What other people's libraries say in text alone, with the reason."""


def told(node: ast.expr) -> bool:
    """Return whether an expression is a text meant for people: an error as text, or a name of such a text."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("str", "repr"):
        return bool(node.args) and told(node.args[0])
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in TOLD


def decisions(parsed: ast.AST) -> Iterator[ast.expr]:
    """Yield every place that reads in such a text."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READS:
            joined = [ast.unparse(given) for given in node.args[:1]] == [repr("\n")]  # lines of a text made one
            if told(node.func.value) and not joined:
                yield node
        elif isinstance(node, ast.Compare):
            sides = itertools.pairwise((node.left, *node.comparators))
            for (_, right), op in zip(sides, node.ops, strict=True):
                if isinstance(op, ast.In | ast.NotIn) and told(right):
                    yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(tree.ROOT)))
def test_no_text_for_people_decides_anything(path: Path) -> None:
    found = [f"{tree.place(path)}: {ast.unparse(node)}" for node in decisions(ast.parse(path.read_text("utf-8")))]
    assert [line for line in found if line not in ALLOWED] == []


def test_what_is_allowed_is_still_there() -> None:
    found = {
        f"{tree.place(path)}: {ast.unparse(node)}"
        for path in FILES
        for node in decisions(ast.parse(path.read_text("utf-8")))
    }
    assert set(ALLOWED) <= found


def test_the_look_finds_what_it_should() -> None:
    bad = ("why.startswith('x')", "'x' in row.why", "str(error).removeprefix('x: ')", "'x' not in str(error)")
    good = ("name.startswith('x')", "key in rows", "error.place == 'x'", "made.ending is CycleEnd.CONVERGED")
    assert all(list(decisions(ast.parse(text))) for text in bad)
    assert not any(list(decisions(ast.parse(text))) for text in good)


POSITIONALS = 5
"""More of them are names nobody remembers at the call."""


def test_no_call_of_our_own_classes_has_more_than_five_positional_arguments() -> None:
    parsed = {path: ast.parse(path.read_text("utf-8")) for path in FILES}
    classes = {node.name for tree_ in parsed.values() for node in ast.walk(tree_) if isinstance(node, ast.ClassDef)}
    many = [
        f"{tree.place(path)}:{node.lineno} {ast.unparse(node.func)}"
        for path, tree_ in parsed.items()
        if "objectives/environments/" not in tree.place(path)  # their bytes are part of every home's evaluator
        for node in ast.walk(tree_)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in classes
        and len(node.args) > POSITIONALS
    ]
    assert many == []
