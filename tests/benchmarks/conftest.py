"""The home in which the first cycles were really run is made once a session, whichever worker needs it first."""

import pytest

from services.home.home import Home
from tests.benchmarks import aged
from tests.conftest import made_once


@pytest.fixture(scope="session")
def young_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home that others are aged from: it is copied, never changed."""
    return Home(made_once("young_home", tmp_path_factory, aged.young))
