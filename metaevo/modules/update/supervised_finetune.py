"""Supervised fine-tuning on the refined rows: the negative log-likelihood of trained turns, prompts masked.

The update of RFT, STaR, ReST-EM, LMSI and SELF (survey section 6.1), by TRL's SFTTrainer. ``lr`` is quoted for a
model of width 128 and falls with the width: by its square root with LoRA, in proportion without.
"""

from typing import Annotated, Any

from metaevo import Experiences, Generation, Knob, Random, TrainSpec, Trait, Weights

TRAITS = (Trait.NEEDS_REPLAY,)


def supervised_finetune(
    experiences: Experiences,
    *,
    weights: Weights,
    spec: TrainSpec,
    rng: Random,
    lr: Annotated[float, Knob(5e-4, 3e-3, log=True, least=0.0, most=0.1)] = 1e-3,
    steps: Annotated[int, Knob(20, 80, log=True, least=1, most=100_000, budget=True)] = 60,
    batch: Annotated[int, Knob(16, 64, log=True, least=1, most=4096)] = 64,
) -> Generation:
    """Return the generation that ``steps`` optimiser steps on the rows give.

    Raises:
        NotFinite: The loss or a weight became NaN or infinite.
        OutOfMemory: Memory did not suffice, also with smaller batches.
    """
    from metaevo.learning import supervised

    learner = weights.load(spec=spec)
    seed = rng.getrandbits(31)

    def make(size: int, accumulate: int) -> Any:
        return supervised.trainer(learner, experiences, weights, spec, lr, steps, size, accumulate, seed)

    return weights.publish(supervised.run(make, weights, batch))
