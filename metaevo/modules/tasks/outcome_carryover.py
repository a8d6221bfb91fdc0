"""Choose tasks by how earlier rounds of the trial went: failed ones again, or those at the frontier.

Hosseini et al. 2024, V-STaR, arXiv:2402.06457 (solved tasks go on); Lee et al. 2024, LLM2LLM, arXiv:2403.15042
(failed ones come back). In a first round, and for tasks never tried, nothing is known and everything stays.
"""

from collections import defaultdict
from typing import Annotated, Literal

from metaevo import Knob, Past, Tasks, Trait

TRAITS = (Trait.NEEDS_ROUNDS,)


def outcome_carryover(
    tasks_P: Tasks,
    *,
    past: Past,
    mode: Literal["failed", "solved", "frontier"] = "frontier",
    low: Annotated[float, Knob(0.0, 0.4, least=0.0, most=1.0)] = 0.05,
    high: Annotated[float, Knob(0.6, 1.0, least=0.0, most=1.0)] = 0.95,
) -> Tasks:
    """Return the tasks whose share of kept attempts in earlier rounds fits ``mode``, untried ones included."""
    tried: dict[str, int] = defaultdict(int)
    kept: dict[str, int] = defaultdict(int)
    for attempts in past.attempts():
        for attempt in attempts:
            tried[attempt.task.id] += 1
    for rows in past.experiences():
        for row in rows:
            kept[row.attempt.task.id] += 1

    def fits(task_id: str) -> bool:
        if not tried[task_id]:
            return True
        share = kept[task_id] / tried[task_id]
        return {"failed": share == 0, "solved": share > 0, "frontier": low <= share <= high}[mode]

    return tuple(task for task in tasks_P if fits(task.id))
