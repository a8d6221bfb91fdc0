"""Homes that tests of bad input begin from."""

from pathlib import Path

import pytest

from tests.faults.micro import begun_home


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with generation 0, made with a scripted engine. Tests leave it as it is."""
    return begun_home(tmp_path_factory.mktemp("begun") / "home")
