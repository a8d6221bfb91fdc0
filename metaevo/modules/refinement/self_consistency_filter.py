"""Keep the answers that most samples of a task agree on; nobody checks them.

Huang et al. 2022, LMSI, arXiv:2210.11610; Wang et al. 2022, arXiv:2203.11171. Where the majority is wrong it
confirms the mistake: the share of agreement says nothing about truth, only the exam does.
"""

from collections import Counter
from dataclasses import replace
from typing import Annotated

from metaevo import Experience, Experiences, Knob, Trait
from metaevo.modules.shared.groups import by_task

TRAITS = (Trait.CHOOSES,)


def self_consistency_filter(
    experiences_R: Experiences,
    *,
    agreement: Annotated[float, Knob(0.3, 1.0, least=0.0, most=1.0)] = 0.5,
    keep: Annotated[int, Knob(1, 8, log=True, least=1, most=1024)] = 1,
) -> Experiences:
    """Return up to ``keep`` rows of each task's majority answer, if its share is at least ``agreement``."""
    kept = []
    for rows in by_task(experiences_R):
        answers = Counter(_answer(row) for row in rows)
        best, votes = min(answers.items(), key=lambda item: (-item[1], item[0]))
        share = votes / len(rows)
        if share >= agreement:
            agreeing = [row for row in rows if _answer(row) == best]
            kept += [replace(row, score=share) for row in agreeing[:keep]]
    return tuple(kept)


def _answer(row: Experience) -> str:
    solution = row.attempt.solution
    return " ".join((solution.answer if solution.answer is not None else solution.text).split())
