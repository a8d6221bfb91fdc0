"""Direct preference optimisation of the pairs against the weights the round starts from.

Rafailov et al. 2023, DPO, arXiv:2305.18290; the update of SPIN, arXiv:2401.01335, and Self-Rewarding,
arXiv:2401.10020. ``sft`` adds the likelihood of the chosen answer, without which small models forget how to answer.
Rows without a rejected attempt (replayed ones) are learned afterwards by supervised steps, in proportion.
"""

from typing import Annotated, Any

from metaevo import Experiences, Generation, Knob, Random, TrainSpec, Trait, Weights

TRAITS = (Trait.TAKES_PAIRS,)


def preference_optimization(
    experiences: Experiences,
    *,
    weights: Weights,
    spec: TrainSpec,
    rng: Random,
    lr: Annotated[float, Knob(3e-4, 1.5e-3, log=True, least=0.0, most=0.1)] = 6e-4,
    steps: Annotated[int, Knob(20, 60, log=True, least=1, most=100_000, budget=True)] = 40,
    batch: Annotated[int, Knob(16, 64, log=True, least=1, most=4096)] = 32,
    beta: Annotated[float, Knob(0.03, 0.5, log=True, least=0.0, most=10.0)] = 0.1,
    sft: Annotated[float, Knob(0.3, 1.0, least=0.0, most=10.0)] = 1.0,
) -> Generation:
    """Return the generation that ``steps`` optimiser steps give.

    Raises:
        ModuleFailed: There is no row with a rejected attempt.
        NotFinite: The loss or a weight became NaN or infinite.
    """
    from metaevo.learning import preference, supervised

    learner = weights.load(spec=spec)
    pairs = tuple(row for row in experiences if row.rejected is not None)
    others = tuple(row for row in experiences if row.rejected is None)
    after = round(steps * len(others) / max(1, len(experiences)))
    seed = rng.getrandbits(31)

    def make(size: int, accumulate: int) -> Any:
        return preference.trainer(
            learner, pairs, weights, spec, lr, max(1, steps - after), size, accumulate, seed, beta, sft
        )

    learner.model = preference.make_trainable(supervised.run(make, weights, batch))
    if after:

        def make_after(size: int, accumulate: int) -> Any:
            return supervised.trainer(learner, others, weights, spec, lr, after, size, accumulate, seed)

        learner.model = supervised.run(make_after, weights, batch)
    return weights.publish(learner.model)
