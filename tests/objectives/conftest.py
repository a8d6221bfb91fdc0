"""What the files on coding environments share."""

from collections.abc import Iterator

import pytest

from tests.objectives.coding import Inside


@pytest.fixture(scope="module")
def run() -> Iterator[Inside]:
    """A `Run` in the embedded sandbox."""
    inside = Inside()
    yield inside
    inside.tier.close()
