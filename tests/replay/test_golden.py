"""Homes that former code made: they are opened, migrated and work, on SQLite and on PostgreSQL."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import VERSION
from services.home.home import Home
from tests.backends import old
from tests.journeys import small
from tests.journeys.terminal import metaevo
from tests.replay.golden import unpack

HERE = Path(__file__).parent
GOLDEN = sorted(HERE.rglob("*.tar.zst"))
"""One home for each schema that was ever in use."""
Place = Path | Postgres


@pytest.fixture(params=GOLDEN, ids=lambda file: file.name.partition(".")[0])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden home."""
    (tmp_path / "home").mkdir()
    return unpack(request.param, tmp_path / "home")


@contextmanager
def housed(home: Path, place: Place) -> Iterator[Home]:
    """Yield the home with its ledger where this test wants it: in its own file, or loaded into a database."""
    if isinstance(place, Path):
        yield Home(home)
        return
    old.loaded(home / "metaevo.db", place)
    (home / "metaevo.db").unlink()
    before = os.environ.get("METAEVO_TEST_LEDGER")
    os.environ["METAEVO_TEST_LEDGER"] = place.url
    try:
        text = (home / "metaevo.toml").read_text()
        (home / "metaevo.toml").write_text(small.configured(text))
        yield Home(home)
    finally:
        del os.environ["METAEVO_TEST_LEDGER"]
        if before is not None:
            os.environ["METAEVO_TEST_LEDGER"] = before


def test_there_is_a_golden_home_of_the_schema_before() -> None:
    assert GOLDEN


def test_its_tables_are_those_that_the_revisions_know(golden: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(golden / "metaevo.db")) as ledger:
        ((version,),) = ledger.execute("select value from meta where key = 'schema'").fetchall()
    made = tmp_path / "made.db"
    old.empty(made, int(version))
    assert old.shape(golden / "metaevo.db") == old.shape(made)


def test_a_golden_home_is_migrated_read_and_rolled_back(golden: Path, places: Callable[[], Place]) -> None:
    with housed(golden, places()) as home:
        first = metaevo("--json", "status", home=home.path)
        assert f"to {VERSION}; " in first.err
        champion = first.data["champion"]
        again = metaevo("--json", "why", "--latest", home=home.path)
        assert (again.err, bool(again.data)) == ("", True)
        assert metaevo("why", "--latest", home=home.path).out
        assert metaevo("generations", home=home.path).out
        assert metaevo("--json", "fsck", home=home.path).data["clean"] is True
        back = metaevo("--json", "rollback", "--reason", "as it was", home=home.path).data
        assert back["left"] == champion
        assert metaevo("--json", "status", home=home.path).data["champion"] == back["champion"] != champion
        assert metaevo("--json", "fsck", home=home.path).data["clean"] is True


@pytest.mark.full
def test_a_golden_home_runs_a_cycle(golden: Path, places: Callable[[], Place]) -> None:
    with housed(golden, places()) as home:
        said = metaevo("--json", "run", "--cycles", 1, home=home.path)
        assert f"to {VERSION}; " in said.err
        assert said.data["decided"]
        assert metaevo("--json", "fsck", home=home.path).data["clean"] is True
    shutil.rmtree(golden)
