"""Draw tasks from the pool: at random (ReST, ReST-EM), easiest levels first, or as many of every cell as of any.

Gulcehre et al. 2023, ReST, arXiv:2308.08998; Wang et al. 2024, SOFT, arXiv:2402.07610 (easy to hard).
The pool is the objective's train tasks; a round of its own random stream draws its own tasks.
"""

from collections import defaultdict
from typing import Annotated, Literal

from metaevo import Knob, Random, Task, Tasks


def pool_sampling(
    tasks_P: Tasks,
    *,
    rng: Random,
    n: Annotated[int, Knob(64, 384, log=True, least=1, most=100_000, budget=True)] = 192,
    order: Literal["stratified", "random", "easy_to_hard"] = "stratified",
) -> Tasks:
    """Return up to ``n`` of the P tasks, without replacement."""
    pool = sorted(tasks_P, key=lambda task: task.id)
    rng.shuffle(pool)
    if order == "random":
        return tuple(pool[:n])
    if order == "easy_to_hard":
        return tuple(sorted(pool, key=lambda task: task.level)[:n])
    by_cell: dict[str, list[Task]] = defaultdict(list)
    for task in pool:
        by_cell[str(task.cell)].append(task)
    taken: list[Task] = []
    while len(taken) < min(n, len(pool)):
        taken += [by_cell[cell].pop() for cell in sorted(by_cell) if by_cell[cell]]
    return tuple(taken[:n])
