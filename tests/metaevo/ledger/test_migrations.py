"""Migrations: the revisions lead to today's tables, fill what is new from what was there, and keep a copy."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from metaevo.errors import BadInput, Busy, StoreError
from metaevo.ledger.ledger import Ledger, OldSchema, database_of, open_ledger
from metaevo.ledger.migrate import migrate
from metaevo.ledger.migrations.apply import apply, revise
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import VERSION
from services.home.home import Home
from tests.backends import old
from tests.faults.cli import BASE

Place = Path | Postgres


@pytest.fixture
def older(place: Place) -> Place:
    old.write_schema_2(place)
    return place


@pytest.fixture
def migrated(older: Place, tmp_path: Path) -> Iterator[Ledger]:
    apply(older, tmp_path)
    made = open_ledger(older)
    yield made
    made.close()


def asked(ledger: Ledger, question: str) -> list[tuple[Any, ...]]:
    with ledger.look() as connection:
        return [tuple(row) for row in connection.execute(text(question))]


def test_the_revisions_lead_to_the_tables_of_today(places: Callable[[], Place]) -> None:
    born, made = places(), places()
    open_ledger(born, create=True).close()
    database = database_of(made)
    engine = database.engine()
    with engine.connect() as connection, connection.begin():
        database.begin(connection, forced=True)
        revise(connection)
    engine.dispose()
    assert old.shape(made) == old.shape(born)


def test_a_migrated_ledger_has_the_tables_of_today(places: Callable[[], Place], tmp_path: Path) -> None:
    born, made = places(), places()
    open_ledger(born, create=True).close()
    old.write_schema_2(made)
    done = apply(made, tmp_path)
    assert (done.found, done.now) == (2, VERSION)
    assert old.shape(made) == old.shape(born)


def test_cycles_get_codes_for_their_sentences(migrated: Ledger) -> None:
    found = asked(migrated, "select number, ending, pinned, wall_s from cycle order by number")
    assert found == [(n, *new, 90.5 if outcome != "open" else 0.0) for n, outcome, _why, _fixed, *new in old.CYCLES]


def test_trials_get_codes_and_the_name_of_their_combination(migrated: Ledger) -> None:
    found = asked(migrated, "select number, ending, skeleton from trial order by number")
    assert found == [(n, ending, f"star{n}" if n > 1 else "") for n, _failure, ending in old.TRIALS]


def test_the_base_gets_a_name_and_the_move_that_goes_with_it(migrated: Ledger) -> None:
    assert asked(migrated, "select generation from alias where name = 'base'") == [("g000000",)]
    moves = asked(migrated, "select seq, before, after, who, why from move where alias = 'base'")
    assert moves == [(3, None, "g000000", "metaevo", "the base model")]


def test_kept_values_are_what_the_champion_s_line_and_the_confirmations_say(migrated: Ledger) -> None:
    assert asked(migrated, "select * from best_anchor") == [(1, "sorting", 4, 32, 0.5)]
    cells = asked(migrated, "select budget, cell, k, cycle from confirmed_cell order by cell")
    assert cells == [(1, "sorting/4", 1, 1), (1, "sorting/5", 1, 1)]


def test_confirmations_keep_their_levels_and_get_one_count_and_what_they_were_about(migrated: Ledger) -> None:
    columns = "budget, k, epoch, cycle, candidate, parent, level, promotions, outcome, place, log_e"
    found = asked(migrated, f"select {columns} from confirmation order by k")
    assert found == [(1, 1, 1, 1, "g000001", "g000000", 0.025, 0, "unproven", None, None)]
    assert asked(migrated, "select count(*) from budget") == [(0,)]


def test_what_was_there_is_there_still(place: Place, tmp_path: Path) -> None:
    old.write_schema_2(place)
    before = old.rows(place)
    apply(place, tmp_path)
    after = old.rows(place)
    assert before.keys() < after.keys()
    for table in ("step", "score", "generation", "hold", "epoch"):
        assert after[table] == before[table]
    assert len(after["cycle"]) == len(old.CYCLES)


def test_the_child_says_what_it_did_and_a_second_one_finds_nothing_to_do(older: Place, tmp_path: Path) -> None:
    done = migrate(older, tmp_path)
    assert done is not None
    assert str(done).startswith(f"ledger migrated from schema 2 to {VERSION}; ")
    assert migrate(older, tmp_path) is None


def test_the_file_as_it_was_is_kept_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "metaevo.db"
    old.write_schema_2(place)
    before = old.rows(place)
    done = apply(place, tmp_path)
    kept = tmp_path / f"metaevo.db.before-{VERSION}"
    assert done.backup == f"as it was: {kept}"
    assert old.rows(kept) == before
    assert sorted(p.name for p in tmp_path.glob("metaevo.db.*")) == [kept.name]
    with pytest.raises(OldSchema):
        open_ledger(kept, read_only=True)


@pytest.mark.parametrize("version", ["1", str(VERSION + 1), "one"])
def test_a_version_that_no_revision_starts_from_is_refused_and_left_alone(
    older: Place, tmp_path: Path, version: str
) -> None:
    engine = database_of(older).engine()
    with engine.begin() as connection:
        connection.execute(text("update meta set value = :version where key = 'schema'"), {"version": version})
    engine.dispose()
    before = old.rows(older)
    with pytest.raises(BadInput, match=f"schema {version}, this metaevo knows {VERSION}; "):
        migrate(older, tmp_path)
    assert old.rows(older) == before
    assert list(tmp_path.glob("*before*")) == []


def test_a_damaged_file_is_not_migrated(tmp_path: Path) -> None:
    place = tmp_path / "metaevo.db"
    old.write_schema_2(place)
    data = bytearray(place.read_bytes())
    for page in range(3, len(data) // 4096):
        data[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    place.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        migrate(place, tmp_path)
    assert place.read_bytes() == data


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create(BASE)
    old.write_schema_2(made.path / "metaevo.db")
    return made


@pytest.mark.parametrize("read_only", [True, False])
def test_opening_a_home_migrates_it_and_says_so_once(
    home: Home, capsys: pytest.CaptureFixture[str], read_only: bool
) -> None:
    for said in (
        f"metaevo: ledger migrated from schema 2 to {VERSION}; as it was: {home.path}/metaevo.db.before-{VERSION}\n",
        "",
    ):
        ledger = home.ledger(read_only=read_only)
        assert ledger.meta("schema") == str(VERSION)
        ledger.close()
        assert tuple(capsys.readouterr()) == ("", said)


def test_a_reader_does_not_migrate_what_another_process_holds(home: Home) -> None:
    with home.held(), pytest.raises(Busy, match="held by process"):
        home.ledger()
    engine = database_of(home.path / "metaevo.db").engine(read_only=True)
    with engine.connect() as connection:
        assert connection.execute(text("select value from meta where key = 'schema'")).scalar() == "2"
    engine.dispose()


def test_the_control_plane_imports_no_alembic(home: Home) -> None:
    code = (
        "import sys, json; from pathlib import Path; from services.home.home import Home\n"
        "Home(Path(sys.argv[1])).ledger().close(); print(json.dumps('alembic' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home.path)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
