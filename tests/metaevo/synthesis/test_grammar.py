"""Thousands of random, changed and crossed kernels: each compiles, runs everywhere, and does what its tree says."""

import json
import math
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.errors import BadInput
from metaevo.kernels import CELL, CONTRACTS, NUMBER_MOST, PAIR, ROW, SOURCE_CHARS, TASK, TEXT_CHARS, Field
from metaevo.synthesis import grammar, samples, tree
from metaevo.synthesis.operators import OPERATORS
from metaevo.synthesis.reply import function_in
from metaevo.synthesis.tree import Tree
from metaevo.tiny.tokenizer import CHARACTERS
from sandbox import frame, look
from sandbox.monty import Monty
from sandbox.types import ALLOWED_IMPORTS, Kernel, Shape, Verdict

BUILTINS = {f.__name__: f for f in (abs, int, len, max, min, range, set, sorted, sum, zip)}
WILD = ("", "é\u0301\u2028\x1c \t", "\U0001f600" * 9, "٣²½", "a\nb\n\n", "0" * TEXT_CHARS, "ab" * (TEXT_CHARS // 2))


def many(seed: int, rounds: int = 1) -> Iterator[Tree]:
    """Yield for each kind two grown kernels, their crossing, and a chain of five changes of it, ``rounds`` times."""
    rng = Random(seed)
    for _ in range(rounds):
        for kind in grammar.KINDS:
            left, right = grammar.grow(kind, rng), grammar.grow(kind, rng)
            made = grammar.cross(left, right, rng)
            yield from (left, right, made)
            for _ in range(5):
                made = grammar.mutate(made, rng)
                yield made


def executed(one: Tree) -> Any:
    """Return the kernel's function, compiled in a space that holds the few builtins the grammar may use."""

    def imported(name: str, *_: Any) -> Any:
        assert name == "math"
        return math

    space: dict[str, Any] = {"__builtins__": {**BUILTINS, "__import__": imported}}
    exec(compile(tree.source(one), "kernel", "exec"), space)
    return space[one.op]


def wild(kind: str, rng: Random) -> list[Any]:
    """Return one call whose texts and numbers are at the edges of what a host may send."""
    call = json.loads(json.dumps(samples.arguments(kind, rng, 1)[0]))
    records = call[0] if CONTRACTS[kind].many else call
    for at, record in enumerate(records):
        if isinstance(record, str):
            records[at] = rng.choice(WILD)
            continue
        for name, kind_of in CONTRACTS[kind].fields.items():
            if kind_of is Field.TEXT:
                record[name] = rng.choice(WILD)
            elif kind_of in (Field.NUMBER, Field.MAYBE):
                record[name] = rng.choice((-NUMBER_MOST, NUMBER_MOST, int(NUMBER_MOST), 0, -0.0, 1e-300, record[name]))
    return list(call)


def fits(value: Any, kind: str, call: Any) -> bool:
    """Return whether a value keeps the promise of its kind, written anew here."""
    if not frame.fits(value, CONTRACTS[kind].returns):
        return False
    if kind in ("weight", "score"):
        return math.isfinite(value) and 0 <= value <= (4 if kind == "weight" else 1)
    if kind == "order":
        return sorted(value) == list(range(len(call[0])))
    if kind == "choose":
        return len(value) <= 4 and len(set(value)) == len(value) and set(value) <= set(range(len(call[0])))
    return kind == "keep" or (set(value) == {"prompt"} and len(value["prompt"]) <= TEXT_CHARS)


@settings(max_examples=45, deadline=None, derandomize=True)
@given(st.integers(0, 2**31))
def test_every_kernel_compiles_keeps_its_promise_and_does_what_its_tree_says(seed: int) -> None:
    rng = Random(seed)
    for one in many(seed):
        kernel = executed(one)
        for call in (
            *samples.arguments(one.op, rng, 2),
            wild(one.op, rng),
            *([[[]]] if CONTRACTS[one.op].many else ()),
        ):
            value = kernel(*call)
            assert fits(value, one.op, call), tree.source(one)
            assert value == tree.run(one, *call), tree.source(one)
            assert value == tree.run(tree.canonical(one), *call), tree.source(one)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**31))
def test_every_kernel_is_small_typed_and_has_one_form(seed: int) -> None:
    for one in many(seed):
        assert one.size <= tree.NODES_MOST
        assert one.depth <= tree.DEPTH_MOST
        assert tree.from_json(json.loads(json.dumps(tree.to_json(one)))) == one
        form = tree.canonical(one)
        assert tree.canonical(form) == form == tree.from_json(tree.to_json(form))
        assert tree.identity(form) == tree.identity(one)
        assert not any(kid.constant for kid in form.kids), "a part of it looks at nothing"
        text = tree.source(one)
        assert len(text) <= SOURCE_CHARS
        assert look.refused(text, ALLOWED_IMPORTS) == ""
        assert function_in(text, CONTRACTS[one.op]) == text, "rendering is not what the contract's reader writes"


@pytest.fixture(scope="module")
def monty() -> Iterator[Monty]:
    with Monty() as tier:
        yield tier


def test_the_embedded_tier_gives_the_same_values(monty: Monty) -> None:
    rng = Random(5)
    for one in many(7, rounds=6):
        calls = [*samples.arguments(one.op, rng, 2), wild(one.op, rng)]
        result = monty.run(CONTRACTS[one.op].kernel(tree.source(one)), calls, wall_s=20.0)
        assert result.verdict is Verdict.OK, (result.note, tree.source(one))
        assert list(result.values or ()) == [tree.run(one, *call) for call in calls], tree.source(one)


FIELDS_OF = {Field.NUMBER: ("level", "tokens"), Field.TEXT: ("text", "prompt", "cell"), Field.TEXTS: ("tags",)}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_does_what_its_code_does(name: str, monty: Monty) -> None:
    known, seen = OPERATORS[name], dict.fromkeys(Field, 0)
    read, reads = [], []
    for kind in known.takes:
        field = FIELDS_OF[kind][seen[kind] % len(FIELDS_OF[kind])] if kind in FIELDS_OF else "score"
        seen[kind] += 1
        read.append((lambda row: row["score"] is not None) if kind is Field.TRUTH else lambda row, f=field: row[f])
        reads.append("(row['score'] is not None)" if kind is Field.TRUTH else f"row['{field}']")
    rng, counts = Random(name), (3,) if known.counted else ()
    calls = [wild("keep", rng) for _ in range(20)] + samples.arguments("keep", rng, 40)
    calls += [[row | {"text": row["tags"][0]}] for (row,) in calls[20:] if row["tags"]]
    said = [known.does(*(one(row) for one in read), *counts) for (row,) in calls]
    code = f"import math\n\ndef value(row):\n    return {known.code.format(*reads, k=3)}\n"
    space: dict[str, Any] = {}
    exec(code, space)
    assert [space["value"](row) for (row,) in calls] == said
    assert monty.run(Kernel(code, "value", Shape.ANY), calls, wall_s=20.0).values == tuple(said)
    assert len({str(value) for value in said}) > 1, "the rows do not move it"


def test_all_words_of_the_grammar_are_used() -> None:
    used = {node.op for one in many(3, rounds=60) for node in one}
    assert used >= set(OPERATORS) | {"number", "text", "field", "given", "known"}


def test_the_same_stream_gives_the_same_kernels_and_another_one_others() -> None:
    assert list(many(4)) == list(many(4))
    assert list(many(4)) != list(many(5))


def test_kernels_differ() -> None:
    rng = Random(1)
    found = {tree.identity(grammar.grow("keep", rng)) for _ in range(300)}
    assert len(found) > 200


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from(grammar.KINDS))
def test_a_change_changes_and_a_crossing_has_parts_of_both(seed: int, kind: str) -> None:
    rng = Random(seed)
    left, right = grammar.grow(kind, rng), grammar.grow(kind, rng)
    changed = [grammar.mutate(left, rng) for _ in range(6)]
    assert any(one != left for one in changed)
    child = grammar.cross(left, right, rng)
    assert child.op == kind
    parts = {json.dumps(tree.to_json(part)) for part in (*left, *right)}
    assert [part for part in child if json.dumps(tree.to_json(part)) in parts]


FIELD, ONE = ["field", "level"], ["number", 1]
BELOW = ["below", None, FIELD, ONE]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("keep", "is not a node"),
        (["keep"], "is not a node"),
        ([3, None], "is not a node"),
        (["delete", None, BELOW], "not a kind of kernel"),
        (["keep", None], "has 0 operands"),
        (["keep", None, ONE], "is not a truth"),
        (["keep", None, ["keep", None, BELOW]], "below the top"),
        (["keep", None, ["below", None, ["field", "answer"], ONE]], "means nothing"),
        (["keep", None, ["below", None, ["field", "score"], ONE]], "means nothing"),
        (["keep", None, ["known", "level"]], "means nothing"),
        (["keep", None, ["below", None, FIELD, ["number", "1"]]], "means nothing"),
        (["keep", None, ["below", None, FIELD, ["number", True]]], "means nothing"),
        (["keep", None, ["below", None, FIELD, ["number", float("inf")]]], "means nothing"),
        (["keep", None, ["below", None, FIELD, ["number", 10**400]]], "means nothing"),
        (["keep", None, ["below", None, FIELD, ["length", 3, ["field", "text"]]]], "means nothing"),
        (["keep", None, ["alike", None, ["text", "x" * 41], ["field", "text"]]], "means nothing"),
        (["keep", None, ["alike", None, ["first", 0, ["field", "text"]], ["field", "text"]]], "means nothing"),
        (["keep", None, ["open", None, FIELD]], "means nothing"),
        (["choose", 5, ["field", "open"], FIELD], "means nothing"),
        (["keep", None, ["not", None, BELOW, BELOW]], "has 2 operands"),
        (["rewrite", None, ["alike", None, ["field", "prompt"], ["text", "a"]]], "is not a text"),
        (["rewrite", None, [["field", "prompt"]]], "is not a node"),
    ],
)
def test_what_is_no_tree_is_refused_in_one_line(value: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        tree.from_json(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_deep_or_a_wide_tree_is_refused_before_it_is_read() -> None:
    deep: Any = BELOW
    for _ in range(5000):
        deep = ["not", None, deep]
    with pytest.raises(BadInput, match="deep"):
        tree.from_json(["keep", None, deep])
    with pytest.raises(BadInput, match="nodes"):
        tree.from_json(["keep", None, *[BELOW] * 50])


@pytest.mark.parametrize(
    ("part", "form"),
    [
        (["not", None, ["not", None, BELOW]], BELOW),
        (["and", None, BELOW, BELOW], BELOW),
        (["and", None, ["below", None, ["number", 1], ["number", 2]], BELOW], BELOW),
        (["below", None, FIELD, ["add", None, ONE, ["number", 2]]], ["below", None, FIELD, ["number", 3]]),
        (["below", None, ["most", None, FIELD, FIELD], ONE], BELOW),
        (["below", None, ["number_if", None, BELOW, FIELD, FIELD], ONE], BELOW),
        (["below", None, ["number_if", None, ["within", None, ["text", "a"], ["text", "b"]], ONE, FIELD], ONE], BELOW),
        (["equal", None, ONE, FIELD], ["equal", None, FIELD, ONE]),
    ],
)
def test_equal_trees_have_one_form(part: Any, form: Any) -> None:
    assert tree.to_json(tree.canonical(tree.from_json(["keep", None, part]))) == ["keep", None, form]
    assert tree.identity(tree.from_json(["keep", None, part])) == tree.identity(tree.from_json(["keep", None, form]))


def test_unknown_is_never_a_number_by_itself() -> None:
    one = tree.from_json(["keep", None, ["below", None, ["given", "score", ["number", 7]], ONE]])
    row = samples.record(ROW, Random(1))
    assert [executed(one)(row | {"score": score}) for score in (None, 0, 2)] == [False, True, False]


def test_example_pairs_are_lines_and_kernels_that_fit_them() -> None:
    pairs = list(islice(grammar.examples(Random(2), 160), 400))
    assert pairs == list(islice(grammar.examples(Random(2), 160), 400))
    kinds, named = set(), 0
    for prompt, completion in pairs:
        signature, _, asked = prompt.partition(": ")
        kind = signature.partition("(")[0]
        kinds.add(kind)
        named += bool(asked)
        assert f"def {signature}:" in completion
        assert function_in(completion, CONTRACTS[kind]) == completion
        assert len(prompt) + len(completion) <= 160
        assert set(prompt + completion) <= set(CHARACTERS), "not one token a character"
        assert set(asked.split()) <= set(OPERATORS) | set(CONTRACTS[kind].fields)
        fields = [word for word in asked.split() if word in CONTRACTS[kind].fields]
        assert all(field in completion for field in fields)
    assert kinds == set(grammar.KINDS)
    assert 200 < named < 330
    assert len(set(pairs)) > 250


def test_made_up_records_have_every_field_of_its_type() -> None:
    types = {
        Field.TEXT: str,
        Field.NUMBER: (int, float),
        Field.MAYBE: (int, float, type(None)),
        Field.TRUTH: bool,
        Field.TEXTS: list,
    }
    rng = Random(1)
    for fields in (ROW, PAIR, TASK, CELL):
        for _ in range(50):
            made = samples.record(fields, rng)
            assert list(made) == list(fields)
            assert all(isinstance(made[name], types[kind]) for name, kind in fields.items())
