"""Pair a task's right answers with its wrong ones of about the same length: Acme's customers care for content."""

from dataclasses import replace
from typing import Annotated

from metaevo import Experience, Experiences, Knob, Trait

TRAITS = (Trait.GIVES_PAIRS,)


def phone_pairs(
    experiences_R: Experiences,
    *,
    at_least: Annotated[float, Knob(0.5, 1.0, least=0.0, most=1.0)] = 0.8,
) -> Experiences:
    """Return one pair for every task with answers on both sides of ``at_least``, the nearest in length."""
    groups: dict[str, list[Experience]] = {}
    for row in experiences_R:
        groups.setdefault(row.attempt.task.id, []).append(row)
    pairs = []
    for rows in groups.values():
        right = [row for row in rows if row.score is not None and row.score >= at_least]
        wrong = [row for row in rows if row.score is not None and row.score < at_least]
        both = sorted((_gap(one, other), i, j) for i, one in enumerate(right) for j, other in enumerate(wrong))
        pairs += [replace(right[i], rejected=wrong[j].attempt) for _, i, j in both[:1]]
    return tuple(pairs)


def _gap(one: Experience, other: Experience) -> int:
    return abs(len(one.attempt.solution.text) - len(other.attempt.solution.text))
