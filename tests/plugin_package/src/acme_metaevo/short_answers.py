"""Keep each task's shortest answers: Acme's customers read on phones."""

from typing import Annotated

from metaevo import Experiences, Knob


def short_answers(
    experiences_R: Experiences,
    *,
    share: Annotated[float, Knob(0.2, 0.9, least=0.0, most=1.0)] = 0.5,
) -> Experiences:
    """Return the shortest ``share`` of every task's rows, at least one, in order."""
    lengths: dict[str, list[int]] = {}
    for row in experiences_R:
        lengths.setdefault(row.attempt.task.id, []).append(len(row.attempt.solution.text))
    limits = {id_: sorted(found)[max(1, round(share * len(found))) - 1] for id_, found in lengths.items()}
    return tuple(row for row in experiences_R if len(row.attempt.solution.text) <= limits[row.attempt.task.id])
