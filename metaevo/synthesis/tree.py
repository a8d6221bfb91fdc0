"""Typed trees: a kernel as data. What a tree does, the Python it becomes, and the one form of equal trees.

A tree's root is the kind of kernel; below it stand operators, constants and the fields that the kind's contract gives.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from metaevo.errors import BadInput
from metaevo.kernels import CELLS_MOST, CONTRACTS, NUMBER_MOST, TEXT_CHARS, WEIGHT_MOST, Contract, Field
from metaevo.synthesis.operators import OPERATORS, B, N, Operator, T
from objectives.types import Json, JsonValue

NODES_MOST, DEPTH_MOST = 40, 12
CONSTANT_CHARS = 40
"""The longest text constant, in characters."""
FOLDED = {"and": False, "or": True}
"""What one side decides alone."""

ROOTS: Mapping[str, Operator] = {
    "keep": Operator(B, (B,), "{0}", lambda a: a),
    "weight": Operator(N, (N,), f"max(0, min({WEIGHT_MOST:g}, {{0}}))", lambda a: max(0, min(int(WEIGHT_MOST), a))),
    "score": Operator(N, (N,), "max(0, min(1, {0}))", lambda a: max(0, min(1, a))),
    "order": Operator(N, (N,), "sorted(range(len(rows)), key=lambda i: {0})", lambda a: a),
    "choose": Operator(
        N,
        (B, N),
        "[i for i in sorted(range(len(cells)), key=lambda i: {1}) if {0}][:{k}]",
        lambda a, b, k: (a, b),
        counted=True,
    ),
    "rewrite": Operator(T, (T,), "{{'prompt': {0}}}", lambda a: {"prompt": a}),
}
"""What stands at the top of a kernel of each kind: the least number comes first where one is sorted by."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One node: an operator with its operands, or a leaf. ``value`` is a constant, a field's name or a count."""

    op: str
    value: Json = None
    kids: "tuple[Tree, ...]" = ()

    def __iter__(self) -> "Iterator[Tree]":
        """Yield this node and all below it, from the top, left to right."""
        yield self
        for kid in self.kids:
            yield from kid

    @property
    def size(self) -> int:
        """Return the number of nodes."""
        return sum(1 for _ in self)

    @property
    def depth(self) -> int:
        """Return the number of nodes on the longest way down."""
        return 1 + max((kid.depth for kid in self.kids), default=0)

    @property
    def constant(self) -> bool:
        """Return whether no field decides its value."""
        return not any(node.op in ("field", "given", "known") for node in self)


def operands(tree: Tree) -> tuple[Field, ...]:
    """Return the types of a node's operands."""
    if tree.op == "given":
        return (N,)
    known = ROOTS.get(tree.op) or OPERATORS.get(tree.op)
    return known.takes if known else ()


def type_of(tree: Tree, fields: Mapping[str, Field]) -> Field:
    """Return the type of a node that is not the root."""
    leaves = {"number": N, "text": T, "given": N, "known": B}
    if tree.op == "field":
        return fields[tree.value]
    return leaves[tree.op] if tree.op in leaves else OPERATORS[tree.op].gives


def to_json(tree: Tree) -> Json:
    """Return the tree as nested lists ``[op, value, kid, ...]``."""
    return [tree.op, tree.value, *(to_json(kid) for kid in tree.kids)]


def from_json(value: Json) -> Tree:
    """Return the tree that `to_json` wrote.

    Raises:
        BadInput: It is not a tree of the grammar, too large, or ill typed.
    """
    nodes = [0]

    def read(item: Json, depth: int) -> Tree:
        nodes[0] += 1
        if nodes[0] > NODES_MOST or depth > DEPTH_MOST:
            raise BadInput("kernel tree", f"more than {NODES_MOST} nodes or {DEPTH_MOST} deep", "write a smaller one")
        if not isinstance(item, list) or len(item) < 2 or not isinstance(item[0], str):
            raise BadInput("kernel tree", f"{str(item)[:60]!r} is not a node", "write [op, value, kid, ...]")
        return Tree(item[0], item[1], tuple(read(kid, depth + 1) for kid in item[2:]))

    tree = read(value, 1)
    if tree.op not in ROOTS:
        raise BadInput("kernel tree", f"{tree.op[:40]!r} is not a kind of kernel", f"one of {', '.join(sorted(ROOTS))}")
    _checked(tree, CONTRACTS[tree.op].fields)
    return tree


def _checked(tree: Tree, fields: Mapping[str, Field]) -> None:
    if not _sound(tree, fields):
        said = f"{tree.op[:40]!r} with {str(tree.value)[:40]!r} means nothing in this kind"
        raise BadInput("kernel tree", said, "take a word of its grammar")
    wanted = operands(tree)
    if len(tree.kids) != len(wanted):
        raise BadInput("kernel tree", f"{tree.op!r} has {len(tree.kids)} operands, wants {len(wanted)}", "give so many")
    for kid, want in zip(tree.kids, wanted, strict=True):
        if kid.op in ROOTS:
            raise BadInput("kernel tree", f"{kid.op!r} stands below the top", "a kind of kernel is only the root")
        _checked(kid, fields)
        if type_of(kid, fields) is not want:
            raise BadInput(
                "kernel tree", f"{kid.op!r} under {tree.op!r} is not a {want}", f"put what gives a {want} there"
            )


def _sound(tree: Tree, fields: Mapping[str, Field]) -> bool:
    """Return whether a node's word is known and its value is one that the word can have."""
    value = tree.value
    if tree.op == "number":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and -NUMBER_MOST <= value <= NUMBER_MOST
    if tree.op == "text":
        return isinstance(value, str) and len(value) <= CONSTANT_CHARS
    if tree.op in ("field", "given", "known"):
        found = fields.get(value) if isinstance(value, str) else None
        return found is not None and (found is Field.MAYBE) == (tree.op != "field")
    known = ROOTS.get(tree.op) or OPERATORS.get(tree.op)
    if known is None or not known.counted:
        return known is not None and value is None
    return type(value) is int and 1 <= value <= (CELLS_MOST if tree.op in ROOTS else TEXT_CHARS)


def evaluate(tree: Tree, given: Mapping[str, JsonValue]) -> Any:
    """Return what a node that is not the root is worth, given one record's fields."""
    if tree.op in ("number", "text"):
        return tree.value
    if tree.op == "field":
        return given[tree.value]
    if tree.op == "known":
        return given[tree.value] is not None
    values = [evaluate(kid, given) for kid in tree.kids]
    if tree.op == "given":
        return values[0] if given[tree.value] is None else given[tree.value]
    known = OPERATORS[tree.op]
    return known.does(*values, tree.value) if known.counted else known.does(*values)


def run(tree: Tree, *arguments: Any) -> Any:
    """Return what the kernel returns: the tree's own interpreter, for tests and for nothing that is trusted."""
    contract = CONTRACTS[tree.op]
    if not contract.many:
        given = arguments[0] if len(arguments) == 1 else dict(zip(contract.takes, arguments, strict=True))
        return ROOTS[tree.op].does(*(evaluate(kid, given) for kid in tree.kids))
    records = arguments[0]
    places = sorted(range(len(records)), key=lambda i: evaluate(tree.kids[-1], records[i]))
    if tree.op == "order":
        return places
    return [i for i in places if evaluate(tree.kids[0], records[i])][: tree.value]


def source(tree: Tree) -> str:
    """Return the kernel as Python: one function, its one line, and at most one import."""
    contract = CONTRACTS[tree.op]
    needs = sorted({OPERATORS[node.op].needs for node in tree if node.op in OPERATORS} - {""})
    lines = [f"import {name}" for name in needs]
    lines += [f"{contract.signature}:", f"    return {_code(tree, contract)}"]
    return ast.unparse(ast.parse("\n".join(lines))) + "\n"


def _code(tree: Tree, contract: Contract) -> str:
    if tree.op in ("number", "text"):
        return repr(tree.value)
    name = str(tree.value)
    if name not in contract.takes:
        name = f"{contract.takes[0]}{'[i]' if contract.many else ''}[{tree.value!r}]"
    if tree.op == "field":
        return name
    if tree.op == "known":
        return f"({name} is not None)"
    parts = [_code(kid, contract) for kid in tree.kids]
    if tree.op == "given":
        return f"({parts[0]} if {name} is None else {name})"
    return (ROOTS.get(tree.op) or OPERATORS[tree.op]).code.format(*parts, k=tree.value)


def canonical(tree: Tree) -> Tree:
    """Return the one form of trees that are equal by rules alone: constants folded, operands of a kind in order.

    It gives the same value on every record. Trees that are equal for other reasons keep different forms.
    """
    tree = replace(tree, kids=tuple(canonical(kid) for kid in tree.kids))
    if tree.op not in OPERATORS:
        return tree
    known, kids = OPERATORS[tree.op], tree.kids
    if known.commutes:
        tree = replace(tree, kids=tuple(sorted(kids, key=lambda kid: json.dumps(to_json(kid)))))
    if tree.op == "not" and kids[0].op == "not":
        return kids[0].kids[0]
    if tree.op in (*FOLDED, "least", "most") and kids[0] == kids[1]:
        return kids[0]
    if tree.op in (*FOLDED, "number_if", "text_if"):
        return _decided(tree)
    return _folded(tree, known) if tree.constant else tree


def _decided(tree: Tree) -> Tree:
    """Return an and, an or, an if without what a constant in it decides."""
    if tree.op not in FOLDED:
        condition, then, otherwise = tree.kids
        if condition.constant:
            return then if evaluate(condition, {}) else otherwise
        return then if then == otherwise else tree
    for kid, other in (tree.kids, tree.kids[::-1]):
        if kid.constant:
            return kid if evaluate(kid, {}) is FOLDED[tree.op] else other
    return tree


def _folded(tree: Tree, known: Operator) -> Tree:
    """Return a constant number or text as a leaf, where it may be one."""
    if known.gives is B:
        return tree
    leaf = Tree("number" if known.gives is N else "text", evaluate(tree, {}))
    return leaf if _sound(leaf, {}) else tree


def identity(tree: Tree) -> str:
    """Return 16 hex digits that equal trees share."""
    return hashlib.sha256(json.dumps(to_json(canonical(tree))).encode()).hexdigest()[:16]
