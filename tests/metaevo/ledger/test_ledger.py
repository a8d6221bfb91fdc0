"""The ledger: a transaction is whole or not at all, wrong values are refused, wrong files are named."""

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import select

from metaevo.errors import BadInput, StoreError
from metaevo.ledger.ledger import Ledger, OldSchema, open_ledger
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import (
    OLDEST,
    OUTCOMES,
    STATUSES,
    VERSION,
    AliasRow,
    ConfirmationRow,
    CycleRow,
    EventRow,
    GenerationRow,
    Meta,
)

NOON = datetime(2027, 1, 12, 12, tzinfo=UTC)


@pytest.fixture
def ledger(place: Path | Postgres) -> Iterator[Ledger]:
    made = open_ledger(place, create=True)
    yield made
    made.close()


def generation(at: int, **changes: object) -> GenerationRow:
    facts: dict[str, object] = {"cycle": 0, "trial": 0, "place": at, "answer": [], "created_at": NOON}
    return GenerationRow(**({"id": f"g{at:06d}", "number": at} | facts | changes))  # type: ignore[arg-type]


def cycle(number: int, **changes: object) -> CycleRow:
    facts: dict[str, object] = {"parent": "g000000", "epoch": 1, "seed": 1, "commitment": "c", "runtime": "r"}
    return CycleRow(number=number, opened_at=NOON, **(facts | changes))  # type: ignore[arg-type]


def test_a_new_ledger_knows_its_version_and_is_whole(ledger: Ledger) -> None:
    assert ledger.meta("schema") == str(VERSION)
    assert ledger.meta("nothing") is None
    assert ledger.check() == "ok"


def test_what_one_block_writes_is_there_together(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(Meta(key="a", value="1"))
        session.add(Meta(key="b", value="2"))
    assert (ledger.meta("a"), ledger.meta("b")) == ("1", "2")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_writes_nothing(ledger: Ledger, error: type[BaseException]) -> None:
    def half() -> None:
        with ledger.write() as session:
            session.add(Meta(key="a", value="1"))
            session.flush()
            raise error("half way")

    with pytest.raises(error, match="half way"):
        half()
    assert ledger.meta("a") is None
    ledger.set_meta("a", "2")
    assert ledger.meta("a") == "2"


@pytest.mark.parametrize("status", ["banana", "Champion", ""])
def test_a_status_outside_the_list_is_refused(ledger: Ledger, status: str) -> None:
    with pytest.raises(StoreError, match=r"(?i)check constraint"), ledger.write() as session:
        session.add(generation(1, status=status))
    with ledger.read() as session:
        assert session.exec(select(GenerationRow)).all() == []


def test_every_status_and_outcome_of_the_lists_is_taken(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add_all([generation(i, status=status) for i, status in enumerate(STATUSES)])
        session.add_all([cycle(i, outcome=outcome) for i, outcome in enumerate(OUTCOMES, 1)])
    with ledger.read() as session:
        assert [row.status for row in session.exec(select(GenerationRow))] == list(STATUSES)
        assert [row.outcome for row in session.exec(select(CycleRow))] == list(OUTCOMES)


def test_an_outcome_outside_the_list_is_refused(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match=r"(?i)check constraint"), ledger.write() as session:
        session.add(cycle(1, outcome="maybe"))


def test_ids_numbers_and_places_are_unique(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(generation(1))
    for clash in (generation(1), generation(2, place=1), generation(3, number=1)):
        with pytest.raises(StoreError, match=r"(?i)unique constraint"), ledger.write() as session:
            session.add(clash)


def confirmation(cycle: int, candidate: str) -> ConfirmationRow:
    return ConfirmationRow(
        budget=1,
        k=1,
        epoch=1,
        cycle=cycle,
        candidate=candidate,
        parent="g000000",
        cells=["sorting/1"],
        weights=[1.0],
        level=0.025,
        promotions=0,
        at=NOON,
    )


def test_the_error_ledger_has_one_row_per_confirmation(ledger: Ledger) -> None:
    with ledger.write() as session:
        session.add(confirmation(cycle=1, candidate="g000001"))
    with pytest.raises(StoreError, match=r"(?i)unique constraint"), ledger.write() as session:
        session.add(confirmation(cycle=2, candidate="g000002"))


@pytest.mark.parametrize("part", ["cycle", "trial", "stage", "round", "step", "position"])
def test_a_step_s_key_has_no_unknown_part(ledger: Ledger, part: str) -> None:
    key = {"cycle": 1, "trial": 0, "stage": 0, "round": 0, "step": "tasks", "position": 0} | {part: None}
    row = key | {"module": "", "mark": "m", "counts": "{}", "runs": 1, "opened_at": "2027-01-12"}
    line = f"insert into step ({', '.join(row)}) values (:{', :'.join(row)})"
    said = f'(NOT NULL constraint failed: step.{part}|null value in column "{part}")'
    with pytest.raises(StoreError, match=said), ledger.write() as session:
        session.connection().execute(text(line), row)


def test_json_columns_and_times_come_back(ledger: Ledger, place: Path | Postgres) -> None:
    data = {"cells": ["addition/3"], "n": 3, "share": 0.25, "none": None, "ü": [True]}
    with ledger.write() as session:
        session.add(cycle(1, objective=data))
    ledger.event("decided", "cycle 1: promote", 1, outcome="promote", **{"n": 3})
    ledger.close()
    again = open_ledger(place)
    with again.read() as session:
        row = session.get(CycleRow, 1)
        event = session.exec(select(EventRow)).one()
    assert row is not None
    assert (row.objective, row.opened_at.replace(tzinfo=UTC)) == (data, NOON)
    assert (event.code, event.cycle, event.data) == ("decided", 1, {"outcome": "promote", "n": 3})
    assert event.seq == 1


def test_rows_stay_usable_after_their_block(ledger: Ledger) -> None:
    with ledger.write() as session:
        row = AliasRow(name="champion", generation="g000000")
        session.add(row)
    assert row.generation == "g000000"


@pytest.mark.parametrize("inner", ["read", "write"])
def test_a_block_inside_a_write_is_refused_instead_of_losing_it(ledger: Ledger, inner: str) -> None:
    with ledger.write() as session:
        session.add(Meta(key="outer", value="kept"))
        with pytest.raises(RuntimeError, match="inside a write"), getattr(ledger, inner)():
            pass
    assert ledger.meta("outer") == "kept"
    with ledger.read(), ledger.read():
        assert ledger.meta("outer") == "kept"


def test_threads_take_turns(ledger: Ledger) -> None:
    ledger.set_meta("n", "0")

    def add() -> None:
        for _ in range(10):
            with ledger.write() as session:
                row = session.get(Meta, "n")
                assert row is not None
                row.value = str(int(row.value) + 1)
                session.add(row)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.meta("n") == "40"


def test_a_reader_sees_what_was_committed_and_cannot_write(ledger: Ledger, place: Path | Postgres) -> None:
    reader = open_ledger(place, read_only=True)
    ledger.set_meta("a", "1")
    assert reader.meta("a") == "1"
    with pytest.raises(StoreError, match=r"the ledger cannot be written: .*read-?only"):
        reader.set_meta("a", "2")
    assert ledger.meta("a") == "1"
    reader.close()


def test_durability_is_asked_of_the_database(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "metaevo.db", create=True).read() as session:
        asked = {
            pragma: session.connection().exec_driver_sql(f"PRAGMA {pragma}").scalar()
            for pragma in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_missing_ledger_is_not_made_by_accident(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"metaevo\.db: no ledger here; create a home with `metaevo init`"):
        open_ledger(tmp_path / "metaevo.db")
    assert not (tmp_path / "metaevo.db").exists()


@pytest.mark.parametrize("data", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\0" * 500])
def test_a_file_that_is_no_ledger_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "metaevo.db"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"metaevo\.db: (cannot be opened as a ledger|schema None)"):
        open_ledger(path)


def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table thing (a int)")
    with pytest.raises(BadInput, match="cannot be opened as a ledger"):
        open_ledger(path, create=True)


@pytest.mark.parametrize("other", [OLDEST - 1, VERSION + 1])
def test_a_ledger_of_another_version_is_refused(ledger: Ledger, place: Path | Postgres, other: int) -> None:
    ledger.set_meta("schema", str(other))
    ledger.close()
    with pytest.raises(BadInput, match=rf"schema {other}, this metaevo knows {VERSION}; use the metaevo that wrote"):
        open_ledger(place)


@pytest.mark.parametrize("older", range(OLDEST, VERSION))
def test_an_older_ledger_says_that_it_can_be_migrated(ledger: Ledger, place: Path | Postgres, older: int) -> None:
    ledger.set_meta("schema", str(older))
    ledger.close()
    with pytest.raises(OldSchema, match=rf"schema {older}, this metaevo knows {VERSION}; any command on its home"):
        open_ledger(place)


def test_a_version_that_is_no_number_is_refused(ledger: Ledger, place: Path | Postgres) -> None:
    ledger.set_meta("schema", "one")
    ledger.close()
    with pytest.raises(BadInput, match="schema one, this metaevo knows"):
        open_ledger(place)


@pytest.mark.parametrize("name", ["plain", "with space", "ünï", "a;b&c", "new\nline", "50%20", "a#b", "a?b"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "metaevo.db"
    path.parent.mkdir()
    made = open_ledger(path, create=True)
    made.set_meta("a", "1")
    made.close()
    assert path.is_file()
    assert open_ledger(path, read_only=True).meta("a") == "1"
