"""The journal: a finished step is read and never run again; marks are checked; every step has its own stream."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo import testing
from metaevo.artifacts.bodies import SMALL
from metaevo.artifacts.store import Store
from metaevo.errors import CodeChanged, ModuleFailed, ReplayError, StoreError
from metaevo.ledger.journal import At, Journal, StepKey
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import StepRow
from metaevo.types import TrainSpec

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("metaevo")

KEY = At(3, 1).key("solutions")
ROWS = (testing.experience("42", 1.0), testing.experience("41", 0.0))
keys = st.tuples(*[st.integers(0, 40)] * 4, st.sampled_from(["tasks", "solutions", "search.ask"]), st.integers(0, 40))


class Counter:
    """A step that counts how often it was run."""

    def __init__(self, value: Any = ROWS) -> None:
        self.value, self.runs = value, 0

    def __call__(self) -> Any:
        self.runs += 1
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


@pytest.fixture
def ledger(place: Path | Postgres) -> Iterator[Ledger]:
    made = open_ledger(place, create=True)
    yield made
    made.close()


@pytest.fixture
def open_journal(ledger: Ledger, tmp_path: Path) -> Callable[..., Journal]:
    """Return a journal as a freshly started process sees it."""
    return lambda **how: Journal(ledger, Store(tmp_path / "artifacts"), 7, **how)


def row(ledger: Ledger, key: StepKey = KEY) -> StepRow:
    with ledger.read() as session:
        found = session.get(StepRow, key)
    assert found is not None
    return found


def test_a_finished_step_is_never_run_again(ledger: Ledger, open_journal: Callable[..., Journal]) -> None:
    work = Counter()
    assert [open_journal().step(KEY, "mark", work) for _ in range(3)] == [ROWS] * 3
    assert work.runs == 1
    assert row(ledger).runs == 1


def test_a_row_says_what_was_made(ledger: Ledger, open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.step(KEY, "mark", Counter(), module="solutions.direct_sampling")
    found = row(ledger)
    assert (found.mark, found.module, found.counts) == ("mark", "solutions.direct_sampling", {"rows": 2})
    assert found.closed_at is not None
    assert found.closed_at >= found.opened_at
    assert journal.digest(KEY) == found.digest
    assert len(repr(found)) < 2048


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ModuleFailed("no rows"), MemoryError()])
def test_an_unfinished_step_is_run_again_under_its_own_row(
    ledger: Ledger, open_journal: Callable[..., Journal], error: BaseException
) -> None:
    with pytest.raises(type(error)):
        open_journal().step(KEY, "mark", Counter(error))
    assert (row(ledger).digest, row(ledger).runs) == (None, 1)
    work = Counter()
    assert open_journal().step(KEY, "mark", work) == ROWS
    assert (work.runs, row(ledger).runs) == (1, 2)


def test_a_step_killed_between_its_body_and_its_row_is_run_again(open_journal: Callable[..., Journal]) -> None:
    class Killed(BaseException):
        """The process is gone."""

    def count_and_die(_value: Any) -> dict[str, int]:
        raise Killed

    with pytest.raises(Killed):
        open_journal().step(KEY, "mark", Counter(), counts=count_and_die)
    work = Counter()
    assert open_journal().step(KEY, "mark", work) == ROWS
    assert work.runs == 1


def test_another_mark_in_an_open_cycle_is_changed_code(open_journal: Callable[..., Journal]) -> None:
    open_journal().step(KEY, "mark", Counter(), module="solutions.direct_sampling")
    work = Counter()
    with pytest.raises(
        CodeChanged, match=r"step 3/1/0/0/solutions/0: solutions\.direct_sampling changed while the cycle"
    ):
        open_journal().step(KEY, "other", work, module="solutions.direct_sampling")
    assert work.runs == 0


def test_another_mark_on_an_unfinished_step_is_changed_code_too(open_journal: Callable[..., Journal]) -> None:
    with pytest.raises(ModuleFailed):
        open_journal().step(KEY, "mark", Counter(ModuleFailed("x")))
    with pytest.raises(CodeChanged, match="solutions changed while the cycle ran"):
        open_journal().step(KEY, "other", Counter())


def test_a_decided_cycle_is_only_read(open_journal: Callable[..., Journal]) -> None:
    work = Counter()
    open_journal().step(KEY, "mark", work)
    decided = open_journal(decided=True)
    assert decided.step(KEY, "mark", work) == ROWS
    with pytest.raises(ReplayError, match=r"step 3/1/0/0/solutions/0 was made by other code \(mark mark, now other\)"):
        decided.step(KEY, "other", work)
    with pytest.raises(ReplayError, match="step 3/1/0/0/update/0 is missing from a decided cycle"):
        decided.step(At(3, 1).key("update"), "mark", work)
    assert work.runs == 1


def test_an_open_row_in_a_decided_cycle_is_missing(open_journal: Callable[..., Journal]) -> None:
    with pytest.raises(ModuleFailed):
        open_journal().step(KEY, "mark", Counter(ModuleFailed("x")))
    with pytest.raises(ReplayError, match="is missing"):
        open_journal(decided=True).step(KEY, "mark", Counter())


def test_a_lost_body_is_an_error_not_a_second_run(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.step(KEY, "mark", Counter())
    journal.store.drop(journal.digest(KEY) or "")
    work = Counter()
    with pytest.raises(StoreError, match="is missing"):
        open_journal().step(KEY, "mark", work)
    assert work.runs == 0


def test_a_result_that_is_no_batch_comes_back_by_its_kind(open_journal: Callable[..., Journal]) -> None:
    big = {str(n): n for n in range(SMALL)}
    for number, (value, kind) in enumerate(
        ((TrainSpec(), TrainSpec), ({"a": 1}, dict[str, int]), ((), None), (big, dict[str, int]))
    ):
        key = At(4).key(f"step {number}")
        assert open_journal().step(key, "m", Counter(value), kind=kind) == value
        assert open_journal().step(key, "m", Counter(value), kind=kind) == value


def test_a_small_record_stands_in_its_row_and_a_damaged_one_is_an_error(
    ledger: Ledger, open_journal: Callable[..., Journal]
) -> None:
    journal = open_journal()
    journal.step(KEY, "mark", Counter({"a": 1}), kind=dict[str, int])
    assert row(ledger).body == b'{"a":1}'
    assert journal.store.digests() == set()
    with ledger.write() as session:
        found = session.get(StepRow, KEY)
        assert found is not None
        found.body = b'{"a":2}'
    with pytest.raises(StoreError, match="does not match its digest; restore a backup"):
        open_journal().step(KEY, "mark", Counter({"a": 1}), kind=dict[str, int])


def test_a_line_shares_a_shelf_and_a_resumed_one_reads_the_same(open_journal: Callable[..., Journal]) -> None:
    def line(journal: Journal) -> list[Any]:
        shelf = journal.shelf()
        attempts = tuple(row.attempt for row in ROWS)
        return [
            journal.step(At(5).key(step), "m", Counter(value), shelf=shelf)
            for step, value in (("solutions", attempts), ("feedback", ROWS), ("refinement", ROWS[:1]))
        ]

    assert line(open_journal()) == line(open_journal())


def test_steps_are_told_as_they_open_and_close(open_journal: Callable[..., Journal]) -> None:
    told: list[tuple[StepKey, bool]] = []
    journal = open_journal()
    journal.on_step = lambda key, done: told.append((key, done))
    journal.step(KEY, "mark", Counter())
    journal.step(KEY, "mark", Counter())
    assert told == [(KEY, False), (KEY, True)]


@given(st.lists(keys, min_size=2, max_size=20, unique=True))
def test_every_step_has_its_own_stream(found: list[StepKey]) -> None:
    journal = Journal(None, None, 7)  # type: ignore[arg-type]
    seeds = [journal.stream_seed(key) for key in found]
    assert len(set(seeds)) == len(found)
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = [journal.stream(key).random() for key in found]
    assert draws == [journal.stream(key).random() for key in found]
    assert len(set(draws)) == len(found)


@given(keys)
def test_another_seed_is_another_stream(key: StepKey) -> None:
    one, two = (Journal(None, None, seed).stream(key).random() for seed in (1, 2))  # type: ignore[arg-type]
    assert one != two


def test_places() -> None:
    at = At(9, 2, 1, 3)
    assert at.key("update", 4) == (9, 2, 1, 3, "update", 4)
    assert at == At(9, 2, 1, 3)
