"""The grammar's own ways to write kernels: at random, by changing one, by crossing two. All typed, all small.

Genetic programming with types: Montana 1995, Strongly Typed Genetic Programming. Randomness comes from the caller.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random

from metaevo.kernels import CELLS_MOST, CONTRACTS, Field
from metaevo.synthesis.operators import OPERATORS, B, N, T
from metaevo.synthesis.tree import DEPTH_MOST, NODES_MOST, ROOTS, Tree, canonical, operands, source, type_of

KINDS = tuple(sorted(ROOTS))
NUMBERS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32, 64, 100, 0.1, 0.2, 0.25, 0.5, 0.75, 0.9, -1)
TEXTS = ("0", "1", "5", "9", "a", "e", "z", "A", " ", "\n", ".", ",", ":", "+", "-", "=", ">", "?", "the", "so", "is")
LABELS = ("rehearsed", "replayed", "rationalized", "meta_skill")
"""Tags that rows carry today; another text among the tags is simply never true."""
COUNTS = (1, 2, 3, 4, 5, 6, 8, 12, 16)
OFTEN = {"below": 3, "at_most": 3, "and": 3, "or": 2, "length": 3, "subtract": 2, "divide": 2}
"""Operators that are drawn more often than others: comparisons and what joins them."""
GROWN_DEPTH = 5
TRIES = 50
UNSEEN = frozenset({"id"})
"""Fields the grammar does not look at: what is true of a task's name is true of nothing else."""

Place = tuple[int, ...]
"""The way from the root to a node: which operand at each step."""


def grow(kind: str, rng: Random, depth: int = GROWN_DEPTH) -> Tree:
    """Return a random kernel tree of a kind, at most ``depth`` nodes deep below its root; it looks at some field."""
    root, fields = ROOTS[kind], CONTRACTS[kind].fields

    def drawn() -> Tree:
        kids = tuple(_grown(want, fields, rng, rng.randint(2, depth)) for want in root.takes)
        return Tree(kind, rng.randint(1, CELLS_MOST) if root.counted else None, kids)

    return _first(drawn, lambda: _plainest(kind))


def mutate(tree: Tree, rng: Random) -> Tree:
    """Return the tree with one change: another constant, field or operator, a part grown anew, lifted or wrapped."""
    way = rng.choice((_jiggled, _jiggled, _swapped, _regrown, _regrown, _lifted, _wrapped))

    def changed() -> Tree:
        made = way(tree, rng)
        return made if made != tree else _regrown(tree, rng)

    return _first(changed, lambda: grow(tree.op, rng))


def cross(left: Tree, right: Tree, rng: Random) -> Tree:
    """Return ``left`` with one part replaced by a part of ``right`` of the same type; both are of one kind."""
    fields = CONTRACTS[left.op].fields

    def crossed() -> Tree:
        place = rng.choice(_places(left))
        want = _wanted(left, place)
        parts = [_at(right, other) for other in _places(right)]
        fitting = [part for part in parts if type_of(part, fields) is want]
        return _put(left, place, rng.choice(fitting)) if fitting else left

    return _first(crossed, lambda: mutate(left, rng))


def specification(kind: str, words: tuple[str, ...] = ()) -> str:
    """Return the line a small model is asked with: the kind's first line and the words its kernel should use."""
    return f"{CONTRACTS[kind].signature.removeprefix('def ')}: {' '.join(words)}".rstrip(": ")


def words(tree: Tree) -> tuple[str, ...]:
    """Return the operators and fields of a tree, each once, in the order they stand in."""
    named = (str(node.value) if node.op in ("field", "given", "known") else node.op for node in tree)
    return tuple(dict.fromkeys(word for word in named if word not in ("number", "text", tree.op)))


def examples(rng: Random, most_chars: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield (specification line, source of a kernel that fits it) without end, for training a small model.

    ``most_chars`` leaves out pairs that are longer together; two thirds of the lines name words, the rest only a kind.
    """
    while True:
        tree = canonical(grow(rng.choice(KINDS), rng, rng.randint(2, GROWN_DEPTH)))
        named = words(tree) if rng.random() < 2 / 3 else ()
        pair = specification(tree.op, named), source(tree)
        if most_chars is None or len(pair[0]) + len(pair[1]) <= most_chars:
            yield pair


def _first(make: Callable[[], Tree], otherwise: Callable[[], Tree]) -> Tree:
    """Return the first tree made that is small enough and whose canonical form looks at some field in every part."""
    for _ in range(TRIES):
        tree = make()
        fits = tree.size <= NODES_MOST and tree.depth <= DEPTH_MOST
        if fits and not any(kid.constant for kid in canonical(tree).kids):
            return tree
    return otherwise()


def _plainest(kind: str) -> Tree:
    """Return a kernel of a kind that needs no luck to be found."""
    number, text = _leaf(N, kind), _leaf(T, kind)
    parts = {B: Tree("below", None, (number, Tree("number", 1))), N: number, T: text}
    root = ROOTS[kind]
    return Tree(kind, 1 if root.counted else None, tuple(parts[want] for want in root.takes))


def _leaf(want: Field, kind: str) -> Tree:
    fields = CONTRACTS[kind].fields
    name = next((name for name, found in fields.items() if found is want and name not in UNSEEN), None)
    if name is not None:
        return Tree("field", name)
    return Tree("length", None, (_leaf(T, kind),))


def _grown(want: Field, fields: Mapping[str, Field], rng: Random, depth: int) -> Tree:
    leaves = _leaves(want, fields)
    inner = [name for name in _inner(want, fields) if depth > 2 or _shallow(name, fields)] if depth > 1 else []
    if not inner or (leaves and rng.random() < 0.3):
        return _drawn_leaf(want, leaves, fields, rng, depth)
    name = rng.choices(inner, [OFTEN.get(name, 1) for name in inner])[0]
    known = OPERATORS[name]
    kids = tuple(_grown(kid, fields, rng, depth - 1) for kid in known.takes)
    return Tree(name, rng.choice(COUNTS) if known.counted else None, kids)


def _drawn_leaf(want: Field, leaves: list[Tree], fields: Mapping[str, Field], rng: Random, depth: int) -> Tree:
    """Return a leaf: a field twice as often as a constant. A truth has no leaf in some kinds: then a comparison."""
    if want is B and (not leaves or depth > 1):
        return Tree(rng.choice(("below", "at_most")), None, _sides(fields, rng))
    if leaves and (want is Field.TEXTS or want is B or rng.random() < 2 / 3):
        leaf = rng.choice(leaves)
        return replace(leaf, kids=(_constant(N, rng),)) if leaf.op == "given" else leaf
    return _constant(want, rng)


def _sides(fields: Mapping[str, Field], rng: Random) -> tuple[Tree, Tree]:
    """Return a number and a constant, in either order."""
    pair = _grown(N, fields, rng, 2), _constant(N, rng)
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def _constant(want: Field, rng: Random) -> Tree:
    return Tree("number", rng.choice(NUMBERS)) if want is N else Tree("text", rng.choice(TEXTS + LABELS))


def _named(want: Field, fields: Mapping[str, Field]) -> list[str]:
    return [name for name, found in fields.items() if found is want and name not in UNSEEN]


def _leaves(want: Field, fields: Mapping[str, Field]) -> list[Tree]:
    found = [Tree("field", name) for name in _named(want, fields)]
    maybe = {B: "known", N: "given"}.get(want)
    return found + ([Tree(maybe, name) for name in _named(Field.MAYBE, fields)] if maybe else [])


def _inner(want: Field, fields: Mapping[str, Field]) -> list[str]:
    """Return the operators that give a type and whose operands can be had in this kind."""
    lists = bool(_named(Field.TEXTS, fields))
    return [name for name, op in OPERATORS.items() if op.gives is want and (lists or Field.TEXTS not in op.takes)]


def _shallow(name: str, fields: Mapping[str, Field]) -> bool:
    """Return whether an operator can stand above leaves."""
    return all(want is not B or _leaves(B, fields) for want in OPERATORS[name].takes)


def _places(tree: Tree) -> list[Place]:
    """Return the way to every node below the root."""
    found: list[Place] = []

    def walk(node: Tree, place: Place) -> None:
        for number, kid in enumerate(node.kids):
            found.append((*place, number))
            walk(kid, (*place, number))

    walk(tree, ())
    return found


def _at(tree: Tree, place: Place) -> Tree:
    for number in place:
        tree = tree.kids[number]
    return tree


def _put(tree: Tree, place: Place, part: Tree) -> Tree:
    if not place:
        return part
    number, kids = place[0], tree.kids
    return replace(tree, kids=(*kids[:number], _put(kids[number], place[1:], part), *kids[number + 1 :]))


def _wanted(tree: Tree, place: Place) -> Field:
    return operands(_at(tree, place[:-1]))[place[-1]]


def _regrown(tree: Tree, rng: Random) -> Tree:
    place = rng.choice(_places(tree))
    return _put(tree, place, _grown(_wanted(tree, place), CONTRACTS[tree.op].fields, rng, rng.randint(1, 3)))


def _jiggled(tree: Tree, rng: Random) -> Tree:
    """Change a constant or a count: a number by a step or a factor, a text for another."""
    counted = [place for place in ((), *_places(tree)) if isinstance(_at(tree, place).value, int | float)]
    texts = [place for place in _places(tree) if _at(tree, place).op == "text"]
    if not counted and not texts:
        return tree
    place = rng.choice(counted + texts)
    node = _at(tree, place)
    if node.op == "text":
        return _put(tree, place, _constant(T, rng))
    if node.op != "number":
        most = CELLS_MOST if node.op in ROOTS else COUNTS[-1]
        return _put(tree, place, replace(node, value=min(most, max(1, node.value + rng.choice((-2, -1, 1, 2))))))
    steps = (node.value + 1, node.value - 1, node.value * 2, round(node.value * 0.5, 4), round(node.value * 1.2, 4))
    moved = rng.choice((*steps, rng.choice(NUMBERS)))
    return _put(tree, place, replace(node, value=max(-1000, min(1000, moved))))


def _swapped(tree: Tree, rng: Random) -> Tree:
    """Change an operator or a field for another of the same types."""
    fields = CONTRACTS[tree.op].fields
    place = rng.choice(_places(tree))
    node = _at(tree, place)
    if node.op in OPERATORS:
        mine = OPERATORS[node.op]
        like = [
            name
            for name, op in OPERATORS.items()
            if (op.takes, op.gives, op.counted) == (mine.takes, mine.gives, mine.counted)
        ]
        return _put(tree, place, replace(node, op=rng.choice(like)))
    if node.op not in ("field", "given", "known"):
        return _jiggled(tree, rng)
    return _put(tree, place, replace(node, value=rng.choice(_named(fields[node.value], fields) or [node.value])))


def _lifted(tree: Tree, rng: Random) -> Tree:
    """Replace a part by a part of its own of the same type: the tree gets smaller."""
    fields = CONTRACTS[tree.op].fields
    place = rng.choice(_places(tree))
    node = _at(tree, place)
    inner = [part for part in node if part is not node and type_of(part, fields) is _wanted(tree, place)]
    return _put(tree, place, rng.choice(inner)) if inner else tree


def _wrapped(tree: Tree, rng: Random) -> Tree:
    """Put a part under a new operator that takes and gives its type; the other operands are grown."""
    fields = CONTRACTS[tree.op].fields
    place = rng.choice(_places(tree))
    want = _wanted(tree, place)
    fitting = [name for name in _inner(want, fields) if want in OPERATORS[name].takes]
    if not fitting:
        return tree
    name = rng.choices(fitting, [OFTEN.get(name, 1) for name in fitting])[0]
    known = OPERATORS[name]
    seat = rng.choice([number for number, kind in enumerate(known.takes) if kind is want])
    kids = tuple(
        _at(tree, place) if number == seat else _grown(kind, fields, rng, 2) for number, kind in enumerate(known.takes)
    )
    return _put(tree, place, Tree(name, rng.choice(COUNTS) if known.counted else None, kids))
