"""One engine process for all tests here, one thread, on the built-in base."""

from collections.abc import Iterator
from typing import Any

import pytest

from metaevo.artifacts import base
from metaevo.artifacts.store import Store
from metaevo.engines.client import EngineClient
from metaevo.tiny import CHECKPOINT
from metaevo.types import Generation


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("engines") / "artifacts")


@pytest.fixture(scope="session")
def tiny(store: Store) -> Generation:
    return Generation("g000000", None, {"policy": base.refer(store, CHECKPOINT, "the test")})


@pytest.fixture(scope="session")
def engine(store: Store) -> Iterator[EngineClient]:
    made = EngineClient(store, threads=1)
    yield made
    made.close()


@pytest.fixture
def harmed(engine: EngineClient) -> Iterator[EngineClient]:
    """Yield the engine to a test that may kill it or listen to it; it starts again by itself."""
    silence_s, on_progress = engine.silence_s, engine.on_progress
    yield engine
    engine.silence_s, engine.on_progress = silence_s, on_progress


@pytest.fixture(scope="session")
def plain() -> Any:
    """Return (model, tokenizer) as transformers itself loads them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINT, local_files_only=True, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(CHECKPOINT, local_files_only=True)
