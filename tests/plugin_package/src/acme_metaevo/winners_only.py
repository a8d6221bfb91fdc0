"""Train on the winners of pairs: Acme has no use for a loss that can push a loser down without end."""

from dataclasses import replace
from typing import Annotated, Any

from metaevo import Experiences, Generation, Knob, Random, TrainSpec, Trait, Weights

TRAITS = (Trait.TAKES_PAIRS,)


def winners_only(
    experiences: Experiences,
    *,
    weights: Weights,
    spec: TrainSpec,
    rng: Random,
    lr: Annotated[float, Knob(5e-4, 3e-3, log=True, least=0.0, most=0.1)] = 1e-3,
    steps: Annotated[int, Knob(20, 80, log=True, least=1, most=100_000, budget=True)] = 40,
) -> Generation:
    """Return the generation that supervised steps on the chosen side of every pair give."""
    from metaevo.learning import supervised

    learner = weights.load(spec=spec)
    rows = tuple(replace(row, rejected=None) for row in experiences)
    seed = rng.getrandbits(31)

    def make(size: int, accumulate: int) -> Any:
        return supervised.trainer(learner, rows, weights, spec, lr, steps, size, accumulate, seed)

    return weights.publish(supervised.run(make, weights, 32))
