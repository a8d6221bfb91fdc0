"""Average the new weights with the parent's, block by block, where that keeps more and costs little.

Lin et al. 2023, arXiv:2309.06256 (adaptive model averaging, later called heterogeneous). Blocks are thirds of the
layers; ratios are searched on dev items for gain plus ``keep`` times what the protected sample keeps. In fp32.
"""

from typing import Annotated

from metaevo import Fitness, Generation, Knob, Weights


def adaptive_model_averaging(
    generation: Generation,
    *,
    weights: Weights,
    fitness: Fitness,
    blocks: Annotated[int, Knob(1, 3, least=1, most=16)] = 1,
    keep: Annotated[float, Knob(0.5, 2.0, least=0.0, most=100.0)] = 1.0,
    tries: Annotated[int, Knob(2, 4, least=1, most=200, budget=True)] = 3,
) -> Generation:
    """Return the best average found; the new weights themselves are always one candidate."""
    from metaevo.learning import averaging

    del generation
    return weights.publish(averaging.search(weights, fitness, blocks, keep, tries))
