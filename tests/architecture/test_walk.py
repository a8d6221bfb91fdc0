"""The walk in metaevo/README.md leads from `metaevo run` to a promoted generation, in few files, by real calls."""

import pytest

from tests.architecture import tree, walk
from tests.architecture.walk import WALK, Stop


def test_the_walk_takes_at_most_eight_files() -> None:
    assert len({stop.path for stop in WALK}) <= walk.MOST_FILES
    assert (WALK[0].path, WALK[0].function) == ("services/operations/evolution.py", "run")


@pytest.mark.parametrize(("number", "stop"), enumerate(WALK), ids=[f"{s.path}:{s.function}" for s in WALK])
def test_every_stop_is_called_at_an_earlier_one(number: int, stop: Stop) -> None:
    earlier = {name for before in WALK[:number] for name in walk.calls((tree.ROOT / before.path).read_text("utf-8"))}
    assert number == 0 or stop.function.rpartition(".")[2] in earlier


def test_a_generation_is_promoted_at_the_last_stop() -> None:
    assert "promote" in walk.calls((tree.ROOT / WALK[-1].path).read_text("utf-8"))


def test_the_lines_on_the_page_are_those_of_the_code() -> None:
    page = (tree.ROOT / "metaevo" / "README.md").read_text("utf-8")
    for stop in WALK:
        text = (tree.ROOT / stop.path).read_text("utf-8").splitlines()
        assert f"`{stop.path}:{walk.line(stop)}`" in page
        assert text[walk.line(stop) - 1].lstrip().startswith(f"def {stop.function.rpartition('.')[2]}(")


def test_a_function_that_is_gone_is_named() -> None:
    with pytest.raises(ValueError, match=r"cycle\.py has no Cycle\.gone; say where it is now"):
        walk.line(Stop("metaevo/evolution/cycle.py", "Cycle.gone", ""))
