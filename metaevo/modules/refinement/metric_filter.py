"""Keep what scored well: at least so much, and no more than so many different answers of one task.

Zelikman et al. 2022, STaR, arXiv:2203.14465; Singh et al. 2023, ReST-EM, arXiv:2312.06585 (the cap).
A score of None is not a score: such rows are dropped.
"""

from collections import Counter
from typing import Annotated

from metaevo import Experiences, Knob, Trait

TRAITS = (Trait.CHOOSES, Trait.NEEDS_SCORE)


def metric_filter(
    experiences_R: Experiences,
    *,
    at_least: Annotated[float, Knob(0.5, 1.0, least=0.0, most=1.0, mark=True)] = 1.0,
    cap: Annotated[int, Knob(1, 16, log=True, least=1, most=1024)] = 4,
) -> Experiences:
    """Return the rows that scored ``at_least``, at most ``cap`` a task, in order."""
    taken: Counter[str] = Counter()
    kept = []
    for row in experiences_R:
        if row.score is not None and row.score >= at_least and taken[row.attempt.task.id] < cap:
            taken[row.attempt.task.id] += 1
            kept.append(row)
    return tuple(kept)
