"""Drop rows that say the same as an earlier one of their task: distinct paths teach, repeats do not.

Yuan et al. 2023, RFT, arXiv:2308.01825 (distinct equation lists; here distinct texts, or near ones by trigrams).
"""

from typing import Annotated

from metaevo import Experiences, Knob
from metaevo.modules.shared.trigrams import trigrams


def diversity_filter(
    experiences_R: Experiences,
    *,
    tau: Annotated[float, Knob(0.7, 1.0, least=0.0, most=1.0)] = 1.0,
) -> Experiences:
    """Return the rows whose text has a trigram similarity below ``tau`` to each earlier one of the same task."""
    seen: dict[str, list[frozenset[str]]] = {}
    kept = []
    for row in experiences_R:
        grams = trigrams(row.attempt.solution.text)
        others = seen.setdefault(row.attempt.task.id, [])
        if all(len(grams & other) < tau * len(grams | other) for other in others):
            others.append(grams)
            kept.append(row)
    return tuple(kept)
