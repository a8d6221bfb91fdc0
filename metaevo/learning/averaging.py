"""Average two policies block by block in fp32, and search the ratios one block after the other."""

from typing import Any

import torch

from metaevo.effects import Fitness, Weights
from metaevo.types import TrainSpec


def search(weights: Weights, fitness: Fitness, blocks: int, keep: float, tries: int) -> Any:
    """Return the model with the best fitness: one block's ratio after the other is searched, new weights first."""
    new = weights.load(spec=TrainSpec()).model
    past = weights.load("parent").model.state_dict()
    fresh = {name: tensor.detach().clone() for name, tensor in new.state_dict().items()}
    layers = int(new.config.num_hidden_layers)
    levels = [1.0 - i / max(1, tries) for i in range(tries)]

    def value(ratios: tuple[float, ...]) -> float:
        _mix(new, fresh, past, ratios, layers)
        found = fitness(new)
        return found["gain"] + keep * found["kept"]

    best = (1.0,) * blocks
    best_value = value(best)
    for block in range(blocks):
        for level in levels[1:]:
            ratios = (*best[:block], level, *best[block + 1 :])
            found = value(ratios)
            if found > best_value:
                best, best_value = ratios, found
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
