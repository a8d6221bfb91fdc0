"""Homes that several journeys start from. Copy them before changing anything in them."""

import shutil
from pathlib import Path

import pytest

from services.home.home import Home
from tests.journeys.small import forgetful


@pytest.fixture(scope="session")
def evolved_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after two cycles in which nothing was pinned: at least one generation was promoted."""
    return forgetful(tmp_path_factory.mktemp("evolved") / "home").path


@pytest.fixture
def evolved(evolved_once: Path, tmp_path: Path) -> Home:
    """A copy of that home for one test."""
    return Home(shutil.copytree(evolved_once, tmp_path / "evolved"))
