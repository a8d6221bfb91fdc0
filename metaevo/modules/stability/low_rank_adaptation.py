"""Train a low-rank adapter instead of the weights: small steps, and the base stays what it was.

Hu et al. 2021, LoRA, arXiv:2106.09685. An adapter of the same shape is continued from generation to generation.
"""

from dataclasses import replace
from typing import Annotated

from metaevo import Knob, Lora, TrainSpec, Trait

TRAITS = (Trait.STEADIES,)


def low_rank_adaptation(
    spec: TrainSpec,
    *,
    r: Annotated[int, Knob(8, 32, log=True, least=1, most=512)] = 16,
    alpha: Annotated[float, Knob(1.0, 4.0, log=True, least=0.1, most=64.0)] = 2.0,
    dropout: Annotated[float, Knob(0.0, 0.1, least=0.0, most=0.9)] = 0.0,
) -> TrainSpec:
    """Return the spec with an adapter of rank ``r`` scaled by ``alpha`` (a multiple of the rank)."""
    return replace(spec, lora=Lora(r, max(1, round(alpha * r)), dropout))
