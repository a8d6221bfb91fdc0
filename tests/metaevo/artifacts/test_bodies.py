"""Bodies: random batches come back as they were, every record is stored once, damage is an error."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo import testing
from metaevo.artifacts.bodies import BodyStore, adapter, count, dump, parse
from metaevo.artifacts.store import Store
from metaevo.errors import StoreError
from metaevo.types import Attempt, Completion, Experience, Feedback, Solution, TrainSpec, Turn
from objectives.types import Cell, Direction, Message, Objective, Split, Task

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

texts = st.text(max_size=20)
shares = st.none() | st.floats(0.0, 1.0)
answers = (
    st.none()
    | texts
    | st.integers()
    | st.dictionaries(texts, st.lists(st.integers() | st.booleans(), max_size=2), max_size=2)
)
turns = st.builds(
    Turn,
    role=st.sampled_from(["assistant", "user", "tool"]),
    text=texts,
    by=st.none() | texts,
    trained=st.booleans(),
    tokens=st.integers(0, 10**6),
    logprob=st.none() | st.floats(max_value=0.0),
)
TASKS = st.lists(
    st.builds(
        Task,
        id=st.sampled_from([f"t{i}" for i in range(6)]),
        environment=st.sampled_from(["addition", "sorting"]),
        level=st.integers(1, 8),
        split=st.sampled_from(Split),
        prompt=st.lists(st.builds(Message, st.sampled_from(["system", "user"]), texts), min_size=1, max_size=2).map(
            tuple
        ),
        answer=answers,
        reference=st.none() | texts,
        parents=st.lists(texts, max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda task: task.id,
)
feedbacks = st.builds(
    Feedback,
    score=shares,
    verdict=st.sampled_from(["pass", "fail", "unknown"]),
    source=st.sampled_from(["environment", "model", "human"]),
    signals=st.dictionaries(texts, st.floats(allow_nan=False), max_size=2),
    critique=texts,
)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Experience, ...]:
    """Return experiences over few tasks and few solutions, pairs included; one id is one record."""
    tasks = draw(TASKS)
    made = draw(st.lists(st.lists(turns, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4))
    solutions = [Solution(f"s{i}", turn, draw(st.none() | texts)) for i, turn in enumerate(made)]
    attempts = st.builds(Attempt, st.sampled_from(tasks), st.sampled_from(solutions))
    rows = st.builds(
        Experience,
        attempt=attempts,
        feedback=st.lists(feedbacks, max_size=2).map(tuple),
        score=shares,
        rejected=st.none() | attempts,
        weight=st.floats(0.0, 10.0),
        tags=st.lists(texts, max_size=2).map(tuple),
    )
    return tuple(draw(st.lists(rows, max_size=8)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("bodies"))


def there_and_back(store: Store, *batches: Any) -> list[Any]:
    """Write the batches on one shelf, read them on a fresh one: what a resumed line sees."""
    shelf, fresh = BodyStore(store), BodyStore(store)
    return [fresh.read(digest, None) for digest in [shelf.write(batch) for batch in batches]]


@given(batches())
def test_experiences_come_back_as_they_were(store: Store, batch: tuple[Experience, ...]) -> None:
    assert there_and_back(store, batch) == [batch]


@given(batches())
def test_a_line_of_steps_comes_back_step_by_step(store: Store, batch: tuple[Experience, ...]) -> None:
    tasks = tuple({row.attempt.task.id: row.attempt.task for row in batch}.values())
    attempts = tuple(row.attempt for row in batch)
    steps = (tasks, attempts, batch, batch[::-1], tuple(replace(row, weight=2.0) for row in batch[:2]))
    assert there_and_back(store, *steps) == list(steps)


@given(batches())
def test_the_last_body_alone_finds_everything_it_refers_to(store: Store, batch: tuple[Experience, ...]) -> None:
    shelf = BodyStore(store)
    shelf.write(tuple({row.attempt.task.id: row.attempt.task for row in batch}.values()))
    shelf.write(tuple(row.attempt for row in batch))
    assert BodyStore(store).read(shelf.write(batch), None) == batch


def lines(store: Store, digest: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.get(digest).split(b"\n")]


def test_shared_tasks_and_solutions_are_stored_once(store: Store) -> None:
    batch = tuple(
        testing.experience(text, 1.0, task) for task in (testing.TASK, testing.OTHER) for text in ("1", "2", "3")
    )
    pairs = tuple(replace(row, rejected=batch[0].attempt) for row in batch[1:3])
    shelf = BodyStore(store)
    first, second, third = shelf.write(tuple(r.attempt for r in batch)), shelf.write(batch), shelf.write(pairs)
    kinds = [sorted(next(iter(line)) for line in lines(store, digest)[1:]) for digest in (first, second, third)]
    assert kinds[0] == ["A"] * 6 + ["s"] * 6 + ["t"] * 2
    assert kinds[1] == ["X"] * 6
    assert kinds[2] == ["X"] * 2
    assert lines(store, second)[0]["refs"] == [first]
    assert BodyStore(store).read(third, None) == pairs


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (TrainSpec(), TrainSpec),
        (Objective("math", Direction.SAFETY, (Cell("addition", 3),), "why", "rule"), Objective),
        ({"skeleton": "a+b", "n": 3}, dict[str, Any]),
        ((Cell("a", 1), Cell("b", 2)), tuple[Cell, ...]),
        ((), None),
        (3.5, float),
    ],
)
def test_plain_records_come_back_by_their_type(store: Store, value: Any, kind: Any) -> None:
    assert BodyStore(store).read(BodyStore(store).write(value), kind) == value


@given(st.floats(allow_nan=False))
def test_log_probabilities_survive_also_infinite_ones(value: float) -> None:
    completion = Completion("x", 1, value)
    assert parse(Completion, dump(completion)) == completion


@given(st.lists(st.text(alphabet='\n\r\0\u2028"\\{}', max_size=8), min_size=1, max_size=4))
def test_no_text_can_break_a_line(store: Store, said: list[str]) -> None:
    batch = tuple(testing.attempt(text) for text in said)
    assert there_and_back(store, batch) == [batch]


def changed(one: Attempt, what: str) -> Attempt:
    if what == "task":
        return Attempt(replace(testing.TASK, origin="made:9:9"), one.solution)
    return replace(one, solution=replace(one.solution, answer="parsed"))


@pytest.mark.parametrize("what", ["task", "solution"])
def test_two_records_with_one_id_never_change_a_row(store: Store, what: str) -> None:
    """As with replay: the same task drawn from another place, the same text with another log-probability."""
    one = testing.attempt("1")
    two = changed(one, what)
    assert there_and_back(store, (one, two)) == [(one, two)]
    assert there_and_back(store, (one,), (one, two), (two, one)) == [(one,), (one, two), (two, one)]


@pytest.mark.parametrize("what", ["task", "solution"])
def test_a_body_read_alone_finds_the_record_it_meant(store: Store, what: str) -> None:
    """Two earlier bodies hold records of one id, in either order: a resumed line reads only the last body."""
    one, other = testing.attempt("1"), testing.attempt("2", testing.OTHER)
    two = changed(one, what)
    for first, second, last in (((one, other), (two,), (two, other)), ((two, other), (one,), (one, other))):
        shelf = BodyStore(store)
        shelf.write(first)
        shelf.write(second)
        assert BodyStore(store).read(shelf.write(last), None) == last


def test_a_changed_record_in_a_later_body_is_stored_again(store: Store) -> None:
    old = testing.experience("1", 1.0)
    new = replace(old, attempt=replace(old.attempt, solution=replace(old.attempt.solution, answer="parsed")))
    assert there_and_back(store, (old,), (new,), (old,)) == [(old,), (new,), (old,)]


def test_a_missing_or_damaged_earlier_body_is_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    shelf = BodyStore(store)
    first = shelf.write((testing.attempt("1"),))
    second = shelf.write((testing.experience("1", 1.0),))
    store.drop(first)
    with pytest.raises(StoreError, match=f"artifact {first[:12]} is missing"):
        BodyStore(store).read(second, None)


def test_counts_say_rows() -> None:
    batch = (testing.attempt("abc"), testing.attempt("abcde"))
    assert count(batch) == {"rows": 2}
    assert count((testing.TASK,)) == {"rows": 1}
    assert count(()) == {"rows": 0}
    assert count(TrainSpec()) == {"rows": 1}


def test_a_record_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="tokens"):
        parse(Completion, b'{"text": "x", "tokens": "many"}')
    assert adapter(Task) is adapter(Task)
