"""A migration that cannot succeed names what stands in its way and a way out; the ledger is as it was."""

import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from metaevo.errors import BadInput, Busy, StoreError, Unwritable
from metaevo.ledger.ledger import database_of
from metaevo.ledger.migrate import migrate
from metaevo.ledger.migrations.apply import apply
from metaevo.ledger.migrations.failures import told
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import VERSION
from tests.backends import old

Place = Path | Postgres
RENAMED = r"it is as it was; it is not metaevo's: rename or drop it$"


def do(place: Place, statement: str) -> None:
    engine = database_of(place).engine()
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "metaevo.db"
    old.write_schema_2(place)
    return place


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("create index cycle_outcome on cycle (number)", "cycle_outcome"),
        ("alter table cycle add column ending text", "ending"),
        ("create table best_anchor (mine integer)", "best_anchor"),
    ],
)
def test_a_name_that_is_taken_is_said_with_a_way_out(place: Place, tmp_path: Path, statement: str, named: str) -> None:
    old.write_schema_2(place)
    do(place, statement)
    before = old.rows(place)
    with pytest.raises(StoreError, match=f"{named}.*{RENAMED}") as said:
        migrate(place, tmp_path)
    assert not isinstance(said.value, Unwritable)
    assert old.rows(place) == before


def test_a_view_over_a_table_that_is_made_anew_is_named(file: Path, tmp_path: Path) -> None:
    do(file, "create view mine as select number from cycle")
    with pytest.raises(StoreError, match=r"error in view mine: .*; it is as it was; drop the view mine$") as said:
        migrate(file, tmp_path)
    assert not isinstance(said.value, Unwritable)


def test_what_is_not_json_is_shown(file: Path, tmp_path: Path) -> None:
    do(file, "update cycle set fixed = 'not JSON' where number = 3")
    with pytest.raises(StoreError, match=r"holds 'not JSON'; it is as it was; restore a backup$"):
        migrate(file, tmp_path)


@pytest.mark.parametrize("name", [f"metaevo.db.before-{VERSION}", f"metaevo.db.before-{VERSION}.new"])
def test_a_folder_in_the_place_of_the_copy_is_named(file: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(BadInput, match=rf"/{name}: a folder stands where the copy .* goes; move that folder away$"):
        migrate(file, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.before-*")) == [name]


def test_another_writer_is_waited_for_and_then_named(file: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as met:
            apply(file, tmp_path, wait_ms=20)
    said = told(met.value, str(file))
    assert isinstance(said, Busy)
    assert str(said) == f"{file}: another process writes to it; wait for it, or stop it, then start again"


def test_what_a_full_disk_took_of_a_copy_is_removed(file: Path, tmp_path: Path) -> None:
    most = file.stat().st_size // 2
    code = "import sys; from pathlib import Path; from metaevo.ledger.migrate import migrate; p = Path(sys.argv[1])\n"
    code += "try: migrate(p, p.parent)\nexcept Exception as error: print(type(error).__name__, error)"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(file)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"Unwritable {file}.before-{VERSION}.new: no copy of the ledger can be made: ")
    assert done.stdout.endswith("; make room\n")
    assert [path.name for path in tmp_path.glob("*.before-*")] == []
