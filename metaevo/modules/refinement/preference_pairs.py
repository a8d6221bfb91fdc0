"""Make preference pairs: the best against the worst sample, or the reference against the model's own sample.

``extremes``: Yuan et al. 2024, Self-Rewarding, arXiv:2401.10020. ``reference_vs_sample``: Chen et al. 2024, SPIN,
arXiv:2401.01335 (chosen is the data's answer, rejected the previous iterate's; no score is read).
"""

from dataclasses import replace
from typing import Annotated, Literal

from metaevo import Attempt, Experience, Experiences, Knob, Reference, Trait, Turn, solved
from metaevo.modules.shared.groups import by_task

TRAITS = (Trait.GIVES_PAIRS,)


def preference_pairs(
    experiences_R: Experiences,
    *,
    reference: Reference,
    rule: Literal["extremes", "reference_vs_sample"] = "extremes",
    margin: Annotated[float, Knob(0.0, 0.5, least=0.0, most=1.0)] = 0.1,
    per_task: Annotated[int, Knob(1, 4, least=1, most=64)] = 1,
) -> Experiences:
    """Return one row per pair, ``rejected`` filled in; ties and gaps under ``margin`` give none."""
    pairs: list[Experience] = []
    for rows in by_task(experiences_R):
        if rule == "extremes":
            pairs += _extremes(rows, margin, per_task)
        else:
            pairs += _against_reference(rows, reference.solution(rows[0].attempt.task.id), per_task)
    return tuple(pairs)


def _extremes(rows: list[Experience], margin: float, per_task: int) -> list[Experience]:
    known = sorted((row for row in rows if row.score is not None), key=lambda row: -(row.score or 0.0))
    pairs: list[Experience] = []
    for best, worst in zip(known, reversed(known), strict=True):
        gap = (best.score or 0.0) - (worst.score or 0.0)
        if len(pairs) == per_task or gap <= 0 or gap < margin:
            break
        pairs.append(replace(best, rejected=worst.attempt))
    return pairs


def _against_reference(rows: list[Experience], text: str | None, per_task: int) -> list[Experience]:
    if text is None:
        return []
    chosen = solved((Turn("assistant", text, "reference"),))
    different = {row.attempt.solution.text: row for row in rows if row.attempt.solution.text != text}
    return [
        Experience(Attempt(row.attempt.task, chosen), row.feedback, None, row.attempt)
        for row in list(different.values())[:per_task]
    ]
