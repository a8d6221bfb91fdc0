"""The host's part between the slots: references as attempts, several feedback steps as one score."""

from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo import testing
from metaevo.runtime.feedback import combine, reference_attempts
from metaevo.runtime.host import TaskTable
from metaevo.types import Attempt, Experience, Experiences, Feedback
from objectives.types import Message, Split, Task

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=80)
settings.load_profile("metaevo")

shares = st.floats(0.0, 1.0)
HOW = {
    "all": min,
    "first": lambda scores: scores[0],
    "mean": fmean,
    "product": lambda scores: scores[0] * scores[1] * scores[2],
}


def said(number: int, task: Task = testing.TASK) -> Attempt:
    return testing.attempt(f"answer {number}", task)


def judged(attempts: tuple[Attempt, ...], *scores: float | None) -> Experiences:
    rows = zip(attempts, scores, strict=True)
    return tuple(Experience(attempt, (Feedback(score),), score) for attempt, score in rows)


@pytest.mark.parametrize("how", HOW)
@given(st.lists(st.tuples(shares, shares, shares), min_size=1, max_size=6))
def test_scores_are_combined_as_the_stage_says(how: str, table: list[tuple[float, float, float]]) -> None:
    attempts = tuple(said(i) for i in range(len(table)))
    each = [judged(attempts, *column) for column in zip(*table, strict=True)]
    found = combine(attempts, each, how)
    assert [row.attempt for row in found] == list(attempts)
    assert [row.score for row in found] == pytest.approx([HOW[how](scores) for scores in table])  # type: ignore[operator]
    assert [tuple(f.score for f in row.feedback) for row in found] == table


@pytest.mark.parametrize("how", HOW)
def test_one_cannot_say_drops_the_row_and_no_other(how: str) -> None:
    attempts = tuple(said(i) for i in range(3))
    each = [judged(attempts, 1.0, 1.0, 0.0), judged(attempts, 0.5, None, 0.0), judged(attempts, 1.0, 1.0, 1.0)]
    assert [row.attempt for row in combine(attempts, each, how)] == [attempts[0], attempts[2]]


def test_a_none_is_never_a_zero() -> None:
    attempts = (said(0), said(1))
    found = combine(attempts, [judged(attempts, None, 0.0)], "all")
    assert [(row.attempt, row.score) for row in found] == [(attempts[1], 0.0)]


def test_a_row_a_feedback_step_left_out_is_dropped() -> None:
    attempts = (said(0), said(1))
    assert [r.attempt for r in combine(attempts, [judged(attempts[:1], 1.0)], "all")] == [attempts[0]]
    assert combine(attempts, [()], "all") == ()


def test_without_feedback_every_row_stays_without_a_score() -> None:
    attempts = (said(0), said(1))
    assert combine(attempts, [], "all") == (Experience(attempts[0]), Experience(attempts[1]))
    assert combine((), [], "all") == ()


@given(st.permutations(range(6)))
def test_feedback_is_matched_by_ids_never_by_position(order: list[int]) -> None:
    attempts = tuple(said(i % 3, testing.TASK if i < 3 else testing.OTHER) for i in range(6))
    rows = judged(attempts, *(i / 10 for i in range(6)))
    shuffled = tuple(rows[i] for i in order)
    assert [row.score for row in combine(attempts, [shuffled, rows], "all")] == [i / 10 for i in range(6)]


def test_references_are_the_tasks_own_answers() -> None:
    def task(id_: str, reference: str | None) -> Task:
        return Task(id_, "addition", 1, Split.TRAIN, (Message("user", id_),), reference=reference)

    table = TaskTable()
    table.add([task("t1", "42"), task("t2", None), task("t3", "")])
    asked = tuple(task(id_, None) for id_ in ("t3", "t1", "t2", "t9"))
    found = reference_attempts(table, asked)
    assert [(a.task, a.solution.text, a.solution.turns[0].by) for a in found] == [
        (asked[0], "", "reference"),
        (asked[1], "42", "reference"),
    ]
