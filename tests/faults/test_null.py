"""Candidates that have nothing to learn reach the real gate, and it promotes none of them."""

from pathlib import Path

import pytest

from metaevo.testing import ScriptedEngine
from services.home.home import Home
from tests.evidence.null import CLAIMED, RECIPES, run


def scripted(home: Home, config: object, width: int) -> list[ScriptedEngine]:
    """Return one scripted engine: half of every cell is answered right, by samples no more than else."""
    return [ScriptedEngine(home.store(), latent=0.0)]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind == "shuffled" else pytest.mark.full) for kind in RECIPES]
)
def test_null_cycles_of_a_scripted_model_are_resumed_and_promote_nothing(tmp_path: Path, kind: str) -> None:
    home = Home(tmp_path / "home")
    first = run(home, kind, 1, 5, make=scripted)
    found = run(home, kind, 3, 5, make=scripted)
    assert found["decided"][:1] == first["decided"]
    assert (found["cycles"], found["promotions"]) == (3, 0)
    assert found["candidates that reached a confirmation"] == found["candidates"] >= 2


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", CLAIMED)
def test_a_null_cycle_of_the_tiny_model_promotes_nothing(tmp_path: Path, kind: str) -> None:
    found = run(Home(tmp_path / "home"), kind, 1, 7)
    assert (found["cycles"], found["promotions"]) == (1, 0)
    assert found["candidates that reached a confirmation"] == 1
    assert found["candidates that answered differently"] == (0 if kind == "lr0" else 1)
