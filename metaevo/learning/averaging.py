"""Average two policies block by block in fp32, and search the ratios."""

import itertools
from typing import Any

import torch

from metaevo.effects import Fitness, Weights
from metaevo.types import TrainSpec


def search(weights: Weights, fitness: Fitness, blocks: int, keep: float, tries: int) -> Any:
    """Return the model with the best fitness among a grid of block ratios between parent and new weights."""
    new = weights.load(spec=TrainSpec()).model
    old = weights.load("parent").model
    fresh = {name: tensor.detach().clone() for name, tensor in new.state_dict().items()}
    past = old.state_dict()
    layers = int(new.config.num_hidden_layers)
    best, best_value = (1.0,) * blocks, float("-inf")
    levels = [1.0 - i / max(1, tries) for i in range(tries)]
    for ratios in itertools.islice(itertools.product(levels, repeat=blocks), tries**2):
        _mix(new, fresh, past, ratios, layers)
        found = fitness(new)
        value = found["gain"] + keep * found["kept"]
        if value > best_value:
            best, best_value = ratios, value
    _mix(new, fresh, past, best, layers)
    return new


def _mix(model: Any, fresh: Any, past: Any, ratios: tuple[float, ...], layers: int) -> None:
    """Write ``ratio * new + (1 - ratio) * old`` into the model, each block of layers with its own ratio."""
    with torch.no_grad():
        state = model.state_dict()
        for name, tensor in state.items():
            ratio = ratios[_block(name, len(ratios), layers)]
            mixed = ratio * fresh[name].float() + (1 - ratio) * past[name].float()
            tensor.copy_(mixed.to(tensor.dtype))


def _block(name: str, blocks: int, layers: int) -> int:
    """Return the block a tensor belongs to; embeddings go with the first, the head with the last."""
    parts = name.split(".")
    if "layers" in parts:
        layer = int(parts[parts.index("layers") + 1])
        return min(blocks - 1, layer * blocks // layers)
    return 0 if "embed" in name else blocks - 1
