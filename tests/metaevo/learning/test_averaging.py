"""Averaging two policies: the ratios are searched block by block, in fp32, and new weights are never lost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from metaevo.artifacts import base
from metaevo.artifacts.store import Store
from metaevo.engines.protocol import Job
from metaevo.engines.transformers import Transformers
from metaevo.engines.trl import DevFitness
from metaevo.learning import averaging
from metaevo.learning.model import Learner
from metaevo.tiny import CHECKPOINT
from metaevo.types import Generation, TrainSpec
from objectives.types import Message

Fit = Callable[[Any], Mapping[str, float]]


def small(seed: int, *, tied: bool = False, kind: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=12,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    return LlamaForCausalLM(config).to(kind)


@dataclass
class Two:
    """`Weights` over a new and a former model."""

    new: Any
    old: Any
    asked: list[str | None] = field(default_factory=list)

    def load(self, generation: str | None = None, *, spec: TrainSpec | None = None) -> Learner:
        self.asked.append(generation)
        return Learner(self.old if generation == "parent" else self.new, None, "base")


def copied(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def mixed(new: Any, old: Any, ratio: float) -> Any:
    return ratio * new.float() + (1 - ratio) * old.float()


def ratio_of(model: Any, new: Mapping[str, Any], old: Mapping[str, Any], name: str) -> float:
    """Return how much of the new weights a tensor of a mixture holds."""
    direction = (new[name] - old[name]).double().flatten()
    return float((model.state_dict()[name] - old[name]).double().flatten() @ direction / (direction @ direction))


def liking(*wanted: float) -> tuple[Two, dict[str, Any], dict[str, Any], Fit, list[tuple[float, ...]]]:
    """Return two models and a fitness that is best where the layers' ratios are these."""
    two, tried = Two(small(1), small(2)), []
    new, old = copied(two.new), copied(two.old)

    def fitness(model: Any) -> Mapping[str, float]:
        names = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(4)]
        ratios = tuple(round(ratio_of(model, new, old, name), 4) for name in names)
        tried.append(ratios)
        wide = [wanted[layer * len(wanted) // 4] for layer in range(4)]
        return {"gain": -sum((r - w) ** 2 for r, w in zip(ratios, wide, strict=True)), "kept": 0.0}

    return two, new, old, fitness, tried


def test_the_new_weights_come_back_bit_for_bit_where_no_average_is_better() -> None:
    two, new, _, fitness, tried = liking(1.0)
    best = averaging.search(two, fitness, 1, 1.0, 4)
    assert all(torch.equal(best.state_dict()[name], tensor) for name, tensor in new.items())
    assert tried[0] == (1.0,) * 4
    assert two.asked == [None, "parent"]


@pytest.mark.parametrize(("wanted", "tries", "found"), [(0.5, 4, 0.5), (0.3, 3, 1 / 3), (0.0, 4, 0.25)])
def test_the_best_ratio_of_those_tried_is_taken(wanted: float, tries: int, found: float) -> None:
    two, new, old, fitness, tried = liking(wanted)
    best = averaging.search(two, fitness, 1, 1.0, tries)
    for name, tensor in best.state_dict().items():
        assert torch.allclose(tensor, mixed(new[name], old[name], found), atol=1e-7)
    assert [row[0] for row in tried] == pytest.approx([1 - i / tries for i in range(tries)], abs=1e-3)


def test_every_block_of_layers_has_its_own_ratio() -> None:
    two, new, old, fitness, tried = liking(0.5, 1.0)
    best = averaging.search(two, fitness, 2, 1.0, 4)
    ratios = [ratio_of(best, new, old, f"model.layers.{layer}.self_attn.q_proj.weight") for layer in range(4)]
    assert ratios == pytest.approx([0.5, 0.5, 1.0, 1.0], abs=1e-4)
    assert ratio_of(best, new, old, "model.embed_tokens.weight") == pytest.approx(0.5, abs=1e-4)
    assert ratio_of(best, new, old, "lm_head.weight") == pytest.approx(1.0, abs=1e-4)
    assert len(tried) == 1 + 2 * 3


def test_what_is_kept_counts_as_much_as_the_knob_says() -> None:
    def fitness(model: Any) -> Mapping[str, float]:
        ratio = ratio_of(model, new, old, "model.layers.0.mlp.up_proj.weight")
        return {"gain": 0.1 * ratio, "kept": 0.1 - 0.1 * ratio}

    found = []
    for keep in (0.5, 2.0):
        two = Two(small(1), small(2))
        new, old = copied(two.new), copied(two.old)
        found.append(ratio_of(averaging.search(two, fitness, 1, keep, 4), new, old, "lm_head.weight"))
    assert found == pytest.approx([1.0, 0.25], abs=1e-4)


def test_one_try_is_no_search() -> None:
    two, new, _, fitness, tried = liking(0.0)
    best = averaging.search(two, fitness, 3, 1.0, 1)
    assert len(tried) == 1
    assert all(torch.equal(best.state_dict()[name], tensor) for name, tensor in new.items())


def test_half_precision_is_mixed_in_full() -> None:
    two = Two(small(1, kind=torch.bfloat16), small(2, kind=torch.bfloat16))
    new, old = copied(two.new), copied(two.old)
    best = averaging.search(
        two, lambda model: {"gain": -ratio_of(model, new, old, "lm_head.weight"), "kept": 0}, 1, 1.0, 3
    )
    for name, tensor in best.state_dict().items():
        assert tensor.dtype is torch.bfloat16
        assert torch.equal(tensor, mixed(new[name], old[name], 1 - 2 / 3).to(torch.bfloat16))


def test_tied_embeddings_stay_one_tensor() -> None:
    two = Two(small(1, tied=True), small(2, tied=True))
    best = averaging.search(two, lambda _: {"gain": 0.0, "kept": 0.0}, 2, 1.0, 3)
    assert best.lm_head.weight is best.model.embed_tokens.weight


@pytest.mark.parametrize("layers", [1, 4, 7])
@pytest.mark.parametrize("blocks", [1, 2, 3, 16])
def test_every_tensor_is_in_one_block_and_later_layers_in_no_earlier_one(layers: int, blocks: int) -> None:
    places = [averaging._block(f"model.layers.{layer}.mlp.up_proj.weight", blocks, layers) for layer in range(layers)]
    assert places == sorted(places)
    assert set(places) <= set(range(blocks))
    assert averaging._block("model.embed_tokens.weight", blocks, layers) == 0
    assert averaging._block("lm_head.weight", blocks, layers) == blocks - 1


def test_fitness_works_in_an_engine_that_has_loaded_nothing_yet(tmp_path: Path) -> None:
    store = Store(tmp_path)
    start = Generation("g000001", None, {"policy": base.refer(store, CHECKPOINT, "the test")})
    models = Transformers(store)
    job = Job("consolidation", "adaptive_model_averaging", "", {}, 1, "g000002", "g000000", start, "s", 8)
    asked: list[tuple[str, Any]] = []

    def ask(what: str, payload: Any) -> Any:
        asked.append((what, payload))
        return [[{"role": "user", "content": "rev abc"}]] if what == "dev_tasks" else {"gain": 1.0, "kept": 0.5}

    own = Transformers(store).learner(start).model
    assert DevFitness(models, ask, job)(own) == {"gain": 1.0, "kept": 0.5}
    from metaevo.engines.protocol import Sampling

    (said,) = models.sample(start, [(Message("user", "rev abc"),)], Sampling(max_tokens=8))
    assert asked == [("dev_tasks", None), ("fitness", [said[0].text])]
