"""Draw k independent answers to every task.

Chen et al. 2021, arXiv:2107.03374; with a temperature of 0 and k = 1 it is the greedy answer.
"""

from typing import Annotated

from metaevo import Attempt, Attempts, Knob, Policy, Tasks, answered


def direct_sampling(
    tasks_P: Tasks,
    *,
    policy: Policy,
    k: Annotated[int, Knob(2, 16, log=True, least=1, most=1024)] = 8,
    temperature: Annotated[float, Knob(0.5, 1.2, least=0.0, most=2.0)] = 1.0,
    top_p: Annotated[float, Knob(0.8, 1.0, least=0.05, most=1.0)] = 1.0,
) -> Attempts:
    """Return P*k attempts, the k for one task side by side."""
    made_P_k = policy.sample([task.prompt for task in tasks_P], n=k, temperature=temperature, top_p=top_p)
    return tuple(
        Attempt(task, answered(completion, policy.id, number))
        for task, made_k in zip(tasks_P, made_P_k, strict=True)
        for number, completion in enumerate(made_k)
    )
