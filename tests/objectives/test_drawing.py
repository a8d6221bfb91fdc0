"""Drawing: only tasks of the asked split, each text once, the same again from the same place; sizes are measured."""

import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives import drawing
from objectives.drawing import CERTAIN, FINITE, MARKS, Sample, distinct, draw, groups, posed, sample, sizes
from objectives.environment import Program, Row, from_file, from_module
from objectives.finder import BUILT_IN
from objectives.splits import NEWEST
from objectives.types import Direction, Split

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

ADDITION = from_file("addition", BUILT_IN / "addition.py")


def stream(texts: int, levels: tuple[int, ...] = (1,)) -> Program:
    """An endless stream over so many distinct texts a level."""

    def make(seed: int, index: int, level: int) -> Row:
        return {"prompt": f"q{level} {Random(f'{seed}/{index}').randrange(texts)}", "answer": "a", "level": level}

    return Program("e", "other", Direction.PERFORMANCE, levels, lambda _completion, **_row: 1.0, "v", make=make)


def table(*levels: int, text: Callable[[int], str] = lambda i: f"question {i}") -> Program:
    """A data set with one row per entry, of that level."""
    rows = tuple({"prompt": text(i), "answer": "a", "level": level} for i, level in enumerate(levels))
    return Program(
        "d", "other", Direction.PERFORMANCE, tuple(sorted(set(levels))), lambda _completion, **_row: 1.0, "v", rows=rows
    )


@pytest.mark.parametrize("split", list(Split))
def test_only_the_split_asked_for_and_each_text_once(split: Split) -> None:
    drawn = draw(ADDITION, 3, split, seed=5, start=0, n=60)
    texts = [task.text for task in drawn.tasks]
    assert len(set(texts)) == 60
    assert not drawn.dry
    assert {task.split for task in drawn.tasks} == {split}
    assert all(NEWEST.split("addition", text) is split for text in texts)


@given(st.integers(0, 50), st.integers(1, 30))
def test_drawing_goes_on_where_it_stopped(first: int, second: int) -> None:
    whole = draw(ADDITION, 5, Split.DEV, 1, 0, first + second + 1)
    one = draw(ADDITION, 5, Split.DEV, 1, 0, first + 1)
    two = draw(ADDITION, 5, Split.DEV, 1, one.next, second)
    assert (*one.tasks, *two.tasks) == whole.tasks


def test_the_same_seed_gives_the_same_tasks_and_another_one_others() -> None:
    assert draw(ADDITION, 6, Split.GATE, 3, 0, 40) == draw(ADDITION, 6, Split.GATE, 3, 0, 40)
    one, two = (draw(ADDITION, 6, Split.GATE, seed, 0, 40).tasks for seed in (3, 4))
    assert not {task.id for task in one} & {task.id for task in two}


def test_origin_leads_back_to_the_row() -> None:
    for program, level in ((ADDITION, 4), (table(*[1] * 300), 1)):
        for task in draw(program, level, Split.TRAIN, 2, 0, 20).tasks:
            row = program.row(task.origin, level, task.text)
            assert (row["answer"], row["level"]) == (task.answer, level)


def test_a_small_stream_runs_dry_with_all_its_texts() -> None:
    program = stream(50)
    drawn = {split: draw(program, 1, split, 1, 0, 1000) for split in Split}
    assert all(found.dry for found in drawn.values())
    assert sum(len(found.tasks) for found in drawn.values()) == 50


def test_a_data_set_gives_every_row_once_whatever_the_seed() -> None:
    program = table(*([1, 2] * 200))
    for level in (1, 2):
        for seed in (0, 9):
            drawn = [draw(program, level, split, seed, 0, 1000).tasks for split in Split]
            texts = sorted(task.text for part in drawn for task in part)
            assert texts == sorted(f"question {i}" for i in range(level - 1, 400, 2))


def test_a_sorted_data_set_is_not_dry_at_its_later_levels() -> None:
    program = table(*[1] * 9000, *[2] * 400)
    found = sum(len(draw(program, 2, split, 0, 0, 1000).tasks) for split in Split)
    assert found == 400


def test_repeated_rows_are_one_task() -> None:
    program = table(*[1] * 40, text=lambda i: f" question  {i % 20} ")
    texts = [task.id for split in Split for task in draw(program, 1, split, 0, 0, 100).tasks]
    assert len(texts) == len(set(texts)) == 20
    assert sizes(program) == {1: 20}


def test_posed_texts_become_train_tasks_with_their_answers_or_nothing() -> None:
    texts = [f"add {i}3+{i}4" for i in range(100, 400)]
    found = {text: posed(ADDITION, text) for text in texts}
    for text, task in found.items():
        assert (task is not None) == (NEWEST.split("addition", text) is Split.TRAIN)
        if task is not None:
            assert (task.split, task.level, task.origin) == (Split.TRAIN, len(text.split()[1].split("+")[0]), "posed")
            assert ADDITION.score(ADDITION.row("posed", task.level, task.text), str(task.answer)) == 1.0
    assert posed(ADDITION, "what is love?") is None
    assert posed(table(1), "question 0") is None


def test_a_posed_text_of_a_level_that_is_not_used_is_nothing() -> None:
    narrow = Program("addition", "math", Direction.PERFORMANCE, (1,), ADDITION.reward, "v", read=ADDITION.read)
    texts = [f"add {i}3+{i}4" for i in range(100, 200)]
    assert {posed(narrow, text) for text in texts} == {None}


@pytest.mark.parametrize("texts", [10, 200, 3_000, 15_000])
def test_sizes_of_small_cells_are_estimated(texts: int) -> None:
    found = sizes(stream(texts))[1]
    assert found is not None
    assert 0.7 * texts <= found <= 1.4 * texts


@pytest.mark.parametrize("texts", [100_000, 10**12])
def test_large_cells_are_endless(texts: int) -> None:
    assert sizes(stream(texts)) == {1: None}


@pytest.mark.parametrize("texts", [1_000, 10**12])
def test_what_a_cell_is_does_not_depend_on_how_slow_its_generator_is(texts: int) -> None:
    fast = stream(texts)
    assert fast.make is not None
    made = fast.make

    def slow(seed: int, index: int, level: int) -> Row:
        if index % 300 == 0:
            time.sleep(0.05)
        return made(seed, index, level)

    assert sample(replace(fast, make=slow), 1) == sample(fast, 1)


def test_a_fixed_number_of_looks_decides() -> None:
    calls: list[int] = []

    def make(seed: int, index: int, level: int) -> Row:
        calls.append(index)
        return {"prompt": str(index % 1_000 if level == 1 else index), "level": level}

    program = Program("e", "other", Direction.PERFORMANCE, (1, 2), lambda _c, **_r: 1.0, "v", make=make)
    assert sample(program, 2) == Sample(None)
    assert len(calls) == CERTAIN
    assert sample(program, 1).texts is not None or len(calls) == CERTAIN + CERTAIN


def test_a_sample_is_known_under_another_name_and_with_a_few_rows_more() -> None:
    first = table(*[1] * 90)
    known = sample(first, 1)
    assert len(known.marks) == MARKS
    assert sample(replace(first, name="copy", version="w"), 1) == known
    assert set(sample(table(*[1] * 95), 1).marks) & set(known.marks)
    assert not set(sample(table(*[1] * 90, text=lambda i: f"other {i}"), 1).marks) & set(known.marks)


@given(st.integers(2, 5000), st.data())
def test_distinct_is_at_least_what_was_seen_and_grows_with_it(looked: int, data: st.DataObject) -> None:
    different = data.draw(st.integers(1, looked - 1))
    size = distinct(looked, different)
    assert size is not None
    assert size >= different
    more = distinct(looked, different + 1)
    assert more is None or more >= size
    assert distinct(looked, looked) is None


def test_a_finite_cell_is_one_whose_gate_share_is_small() -> None:
    assert FINITE * drawing.share(Split.GATE) == 2_000


def test_groups_are_counted_where_rows_name_them() -> None:
    rows = [{"prompt": f"q{i}", "answer": "1", "level": 1 + i % 2, "group": f"g{i // 4}"} for i in range(16)]
    rows += [{"prompt": "alone", "answer": "1", "level": 1}, {"prompt": "third", "answer": "1", "level": 3}]
    program = from_module("file", SimpleNamespace(rows=rows, reward=lambda completion, **row: 1.0), "v")  # type: ignore[arg-type]
    assert groups(program) == {1: 5, 2: 4}
