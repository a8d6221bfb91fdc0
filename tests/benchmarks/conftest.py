"""The home in which the first cycles were really run is made once a session, whichever worker needs it first."""

import fcntl
import os
from pathlib import Path

import pytest

from services.home.home import Home
from tests.benchmarks import aged


@pytest.fixture(scope="session")
def young_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home that others are aged from: it is copied, never changed."""
    base = tmp_path_factory.getbasetemp()
    shared: Path = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    place, done = shared / "young_home", shared / "young_home.done"
    with (shared / "young_home.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.is_file():
            aged.young(place)
            done.touch()
    return Home(place)
