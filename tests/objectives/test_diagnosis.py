"""Diagnosis: wrong answers become a few named weaknesses, largest loss first, with examples a person can read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.diagnosis import EXAMPLES, WrongAnswer, clustered, looks_like, plain
from objectives.types import Cell, Json

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("metaevo")

CELL = Cell("addition", 2)
texts = st.text(max_size=12)
jsons: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | texts, lambda x: st.dictionaries(texts, x, max_size=3), max_leaves=4
)


def wrong(
    given_: str, expected: Json, text: str = "add 12+34", cell: Cell = CELL, mistake: str | None = None
) -> WrongAnswer:
    return WrongAnswer(cell, text, expected, given_, mistake)


@pytest.mark.parametrize(
    ("said", "right", "name"),
    [
        ("", "46", "gives no answer"),
        ("  ", "46", "gives no answer"),
        ("it is 46", "46", "says more than the right answer"),
        ("64", "46", "answers backwards"),
        ("bac", "abc", "swaps two neighbours"),
        ("bca", "abc", "right characters, wrong order"),
        ("ab", "abcd", "stops early"),
        ("12", "46", "copies from the task"),
        ("47", "46", "last digit off by one"),
        ("56", "46", "first digit off by one"),
        ("1934", "1234", "inner digit wrong"),
        ("4x", "46", "last character wrong"),
        ("99", "46", "several characters wrong"),
        ("7", "46", "a number too small"),
        ("4,600", "46", "a number too large"),
        ("x", "abc", "too short"),
        ("wxyz", "abc", "too long"),
        ("nonsense", {"a": 1}, "is not JSON"),
        ("[1]", {"a": 1}, "is not a JSON object"),
        ('{"b": 1}', {"a": 1, "b": 1}, "leaves out 'a'"),
        ('{"a": 2, "b": 1}', {"a": 1, "b": 1}, "'a' is wrong"),
        ('{"a": 1, "c": 1}', {"a": 1}, "adds fields"),
        ("[2, 1]", [1, 2], "right characters, wrong order"),
    ],
)
def test_a_wrong_answer_is_named_by_what_it_looks_like(said: str, right: Json, name: str) -> None:
    assert looks_like(wrong(said, right)) == name


@given(texts, jsons, texts)
def test_anything_a_model_says_gets_a_name(said: str, right: Json, text: str) -> None:
    assert looks_like(wrong(said, right, text))


def test_a_model_stuck_in_brackets_gets_a_name_too() -> None:
    assert looks_like(wrong("[" * 5000, {"a": 1})) == "is not JSON"


def test_the_environment_s_own_name_for_a_mistake_comes_first() -> None:
    found = clustered([wrong("36", "46", mistake="drops the carry"), wrong("47", "46")], {CELL: 10})
    assert {weakness.name for weakness in found} == {"drops the carry", "last digit off by one"}


def test_weaknesses_are_ordered_by_what_they_cost() -> None:
    """Two errors of four answers cost more than three of thirty."""
    small, large = Cell("addition", 1), Cell("sorting", 3)
    answers = [wrong("", "46", f"q{i}", small) for i in range(2)] + [wrong("", "ab", f"r{i}", large) for i in range(3)]
    found = clustered(answers, {small: 4, large: 30})
    assert [(w.environment, w.lost, w.errors) for w in found] == [("addition", 0.5, 2), ("sorting", 0.1, 3)]
    assert [w.share for w in found] == [1.0, 1.0]


def test_levels_of_one_environment_are_one_weakness() -> None:
    answers = [wrong("", "46", f"q{level}", Cell("addition", level)) for level in (5, 3, 5)]
    (found,) = clustered(answers, {Cell("addition", 3): 10, Cell("addition", 5): 10})
    assert (found.levels, found.errors, found.lost) == ((3, 5), 3, 0.3)


def test_examples_are_few_short_and_the_simplest() -> None:
    answers = [wrong("", "46", "x" * (10 * i)) for i in range(30, 0, -1)] + [wrong("y" * 900, "46", "short")]
    by_name = {weakness.name: weakness for weakness in clustered(answers, {CELL: 50})}
    shown = by_name["gives no answer"].examples
    assert len(shown) == EXAMPLES
    assert [len(example.text) for example in shown] == [10, 20, 30]
    assert len(by_name["too long"].examples[0].given) == 200


@given(st.lists(st.tuples(texts, texts, st.integers(1, 3)), max_size=20))
def test_no_error_is_lost_or_counted_twice_and_order_does_not_matter(rows: list[tuple[str, str, int]]) -> None:
    answers = [wrong(said, "46", text, Cell("addition", level)) for said, text, level in rows]
    looked = {Cell("addition", level): 40 for level in (1, 2, 3)}
    found = clustered(answers, looked)
    assert sum(weakness.errors for weakness in found) == len(rows)
    counts = [(w.name, w.levels, w.errors, w.lost) for w in found]
    assert [(w.name, w.levels, w.errors, w.lost) for w in clustered(answers[::-1], looked)] == counts
    assert sum(weakness.share for weakness in found) == pytest.approx(1.0 if rows else 0.0)


def test_a_right_answer_is_shown_as_it_is_written() -> None:
    assert plain("46") == "46"
    assert plain({"b": "ü", "a": [1]}) == '{"a": [1], "b": "ü"}'
    assert json.loads(plain([1, None])) == [1, None]
