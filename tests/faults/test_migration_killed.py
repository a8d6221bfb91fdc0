"""kill -9 at any point of a migration: the ledger is as it was or as it should be, and the next opening finishes it."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import VERSION
from services.home.home import Home
from tests.backends import old
from tests.faults.cli import BASE
from tests.faults.forks import Forks

KILLED = -signal.SIGKILL
POINTS = 10
"""So many moments of a migration, spread evenly, beside those that have a name."""
NAMED = ("backup begins", "backup goes on", "backup is checked", "backup has its name", "before the commit")


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks("tests.faults.migrating")
    yield made
    made.close()


def run(forks: Forks, place: Path | Postgres, home: Path, n: int) -> tuple[int, list[str]]:
    """Run a migration that dies at the n-th moment; return how it ended and the moments it saw."""
    log = home / "log"
    log.write_text("")
    code = forks.run(place if isinstance(place, Path) else place.url, home, n, log)
    return code, log.read_text().splitlines()


def moments(seen: list[str], backup: bool) -> list[int]:
    """Return which moments to die at: those with a name, the last, and others spread evenly."""
    named = [seen.index(name) + 1 for name in NAMED if name in seen]
    assert len(named) >= (4 if backup else 1)
    return sorted({*named, *range(1, len(seen) + 1, max(1, len(seen) // POINTS)), len(seen)})


def test_killed_at_any_point_it_is_whole_or_as_it_was_and_the_next_opening_finishes(
    forks: Forks, places: Callable[[], Path | Postgres], tmp_path: Path
) -> None:
    unbroken = places()
    old.write_schema_2(unbroken)
    before = old.rows(unbroken)
    code, seen = run(forks, unbroken, tmp_path, 0)
    assert code == 0
    whole, today = old.rows(unbroken), old.shape(unbroken)
    states = set()
    at = moments(seen, isinstance(unbroken, Path))
    assert len(at) >= 10
    for n in at:
        place = places()
        old.write_schema_2(place)
        code, got = run(forks, place, tmp_path, n)
        assert (code, len(got)) == (KILLED, n), got[-3:]
        now = old.rows(place)
        assert now in (before, whole), f"half a migration after {got[-1]!r}"
        states.add(now == whole)
        for path in place.parent.glob(f"*.before-{VERSION}") if isinstance(place, Path) else ():
            assert old.rows(path) == before, f"no whole backup after {got[-1]!r}"
        assert run(forks, place, tmp_path, 0)[0] == 0
        assert (old.rows(place), old.shape(place)) == (whole, today), f"not finished after {got[-1]!r}"
    assert states == {False, True}


@pytest.mark.parametrize("moment", NAMED)
def test_a_home_whose_migration_was_killed_is_simply_opened(
    forks: Forks, tmp_path: Path, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    home.create(BASE)
    place = home.path / "metaevo.db"
    old.write_schema_2(place)
    _, seen = run(forks, place, tmp_path, 10**6)
    place.unlink()
    old.write_schema_2(place)
    assert run(forks, place, tmp_path, seen.index(moment) + 1)[0] == KILLED
    ledger = home.ledger()
    assert (ledger.meta("schema"), ledger.check()) == (str(VERSION), "ok")
    ledger.close()
    assert "ledger migrated from schema 2" in capsys.readouterr().err
    assert [path.name for path in home.path.glob("*.new*")] == []
