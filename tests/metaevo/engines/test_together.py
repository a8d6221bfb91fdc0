"""Several engines as one: what comes back is what one engine alone gives, and all of them have a share of the work."""

from dataclasses import replace
from pathlib import Path

import pytest

from metaevo.artifacts.store import Store
from metaevo.engines.client import EngineClient
from metaevo.engines.protocol import Engine, Sampling
from metaevo.engines.together import FEW, Together
from metaevo.testing import ScriptedEngine
from metaevo.types import Generation
from tests.benchmarks.metered import Metered
from tests.metaevo.engines.test_generation import close, prompt

WORDS = [f"rev {'abcdefgh'[: 2 + i % 6]}{i:02d}" for i in range(FEW + 5)]
SKILLS = {f"reversal/{level}": 0.5 for level in range(1, 9)}


@pytest.fixture
def start(tmp_path: Path) -> tuple[Generation, ScriptedEngine]:
    store = Store(tmp_path / "artifacts")
    engine = ScriptedEngine(store, SKILLS, environments=("reversal",))
    return Generation("g000000", None, {"policy": engine.write(SKILLS)}), engine


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("how", [Sampling(), Sampling(4, 1.0, seed=9)])
def test_shared_work_gives_what_one_engine_gives(
    start: tuple[Generation, ScriptedEngine], count: int, how: Sampling
) -> None:
    generation, engine = start
    asked = [prompt(f"rev {'abcdefgh'[: 2 + i % 6]}") for i in range(FEW + 5)]
    shared = [Metered(engine, keep=True) for _ in range(count)]
    assert Together(shared).sample(generation, asked, how) == engine.sample(generation, asked, how)
    sizes = [len(call.given[1]) for one in shared for call in one.calls]
    assert len(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == len(asked)


def test_a_few_prompts_are_left_to_the_first(start: tuple[Generation, ScriptedEngine]) -> None:
    generation, engine = start
    shared: list[Engine] = [Metered(engine), Metered(engine)]
    Together(shared).sample(generation, [prompt("rev abc")] * (FEW - 1), Sampling())
    assert [len(one.calls) for one in shared] == [1, 0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", [Sampling(max_tokens=12), Sampling(3, 1.2, max_tokens=12, seed=3)])
def test_the_real_engine_seeds_a_row_by_its_place_in_the_whole_call(
    engine: EngineClient, tiny: Generation, how: Sampling
) -> None:
    asked = [prompt(text) for text in WORDS]
    whole = engine.sample(tiny, asked, how)
    for at in range(2):
        share = engine.sample(tiny, asked[at::2], replace(how, first=at, stride=2))
        assert all(close(a, b) for a, b in zip(share, whole[at::2], strict=True))
