"""Group-relative policy optimisation: sample, let the stage's feedback steps reward, move towards what did better.

Shao et al. 2024, GRPO, arXiv:2402.03300, by TRL's GRPOTrainer with the Dr. GRPO normalisation left to ``scale``.
Online: the tasks come in, the samples are drawn while training. A reward of None leaves its group (TRL masks it),
groups whose rewards are all equal give no gradient.
"""

from typing import Annotated, Literal

from metaevo import Generation, Knob, Random, Tasks, TrainSpec, Weights


def policy_gradient(
    tasks: Tasks,
    *,
    weights: Weights,
    spec: TrainSpec,
    rng: Random,
    lr: Annotated[float, Knob(2e-4, 2e-3, log=True, least=0.0, most=0.1)] = 6e-4,
    steps: Annotated[int, Knob(10, 30, log=True, least=1, most=100_000, budget=True)] = 20,
    prompts: Annotated[int, Knob(8, 16, log=True, least=1, most=1024)] = 16,
    group: Annotated[int, Knob(4, 8, log=True, least=2, most=256)] = 8,
    temperature: Annotated[float, Knob(0.7, 1.2, least=0.05, most=2.0)] = 1.0,
    beta: Annotated[float, Knob(0.0, 0.1, least=0.0, most=10.0)] = 0.0,
    scale: Literal["group", "none"] = "group",
) -> Generation:
    """Return the generation that ``steps`` optimiser steps of ``prompts`` groups each give.

    Raises:
        ModuleFailed: There is no task to sample.
        NotFinite: The loss or a weight became NaN or infinite.
    """
    from metaevo.learning import online

    learner = weights.load(spec=spec)
    settings = online.OnlineSettings(
        lr=lr,
        steps=steps,
        prompts=prompts,
        group=group,
        temperature=temperature,
        beta=beta,
        scale=scale,
        seed=rng.getrandbits(31),
    )
    return weights.publish(online.run(learner, tasks, weights, spec, settings))
