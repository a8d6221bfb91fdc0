"""Fixtures that several folders share. What takes seconds to make is made once a session, whatever pytest runs on."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.backends import postgres

if TYPE_CHECKING:
    from metaevo.ledger.postgres import Postgres
    from tests.systems.bench import CountingPool

ROOT = Path(__file__).resolve().parents[1]


UNTIL = float(os.environ.get("METAEVO_TEST_UNTIL", "inf"))
"""Seconds since 1970 after which no test of SCOPE=full begins any more: where a run must end, the last ones are skipped
by name instead of all being lost."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files that need minutes come first: dealt out last, one would keep one worker busy and the other waiting.

    Where the time may end, they come last.
    """
    long = {item.path for item in items if item.get_closest_marker("full")}
    last = float("inf") > UNTIL
    items.sort(key=lambda item: (item.path in long) is last)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of SCOPE=full, before its fixtures are made, once the time for beginning one is over.

    The containers' tests, which come after all others, have a time of their own.
    """
    if time.time() > UNTIL and item.get_closest_marker("full") and not item.get_closest_marker("containers"):
        pytest.skip(f"{item.nodeid}: METAEVO_TEST_UNTIL is over; make test SCOPE=full runs it")


@pytest.fixture(scope="session")
def stranger_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stranger's checkpoint."""
    return built("model", tmp_path_factory)


@pytest.fixture(scope="session")
def writer_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the checkpoint that writes kernels."""
    return built("writer", tmp_path_factory)


def built(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `tests.stranger.NAME` built."""

    def build(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", f"tests.stranger.{name}", str(folder)], cwd=ROOT, check=True)

    return made_once(f"stranger_{name}", tmp_path_factory, build)


def made_once(name: str, tmp_path_factory: pytest.TempPathFactory, make: Callable[[Path], object]) -> Path:
    """Return a folder that is made once a session. Parallel workers wait for the one that makes it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_file():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session", params=["sqlite", pytest.param("postgres", marks=postgres.NEEDED)])
def places(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Callable[[], Path | Postgres]]":
    """Where a new ledger may be made, on each database in turn."""
    if request.param == "sqlite":
        yield lambda: tmp_path_factory.mktemp("ledger") / "metaevo.db"
        return
    made: list[Postgres] = []

    def new() -> "Postgres":
        made.append(postgres.new_place())
        return made[-1]

    yield new
    for place in made:
        postgres.remove(place)


@pytest.fixture
def place(places: "Callable[[], Path | Postgres]") -> "Path | Postgres":
    """The place of one ledger, on each database in turn."""
    return places()


@pytest.fixture(scope="module")
def pool() -> "Iterator[CountingPool]":
    """Graders that count what they are asked, for one file's benches."""
    from tests.systems.bench import CountingPool

    made = CountingPool()
    yield made
    made.close()
