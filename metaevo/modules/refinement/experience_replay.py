"""Mix in what was learned before: accepted rows of former objectives, seed data, what the model already does right.

Rolnick et al. 2018, arXiv:1811.11682; used by RFT, ReST and A3T. Stratified by ability, so that a small one is
not forgotten for a large one's sake. Many different kept rows, each with a small weight, hold an ability better
than a few that the same number of steps goes over again and again. Where nothing is kept yet, nothing is mixed in.
"""

from dataclasses import replace
from typing import Annotated

from metaevo import Archive, Experiences, Knob, Random, Trait

TRAITS = (Trait.REPLAYS,)


def experience_replay(
    experiences_R: Experiences,
    *,
    archive: Archive,
    rng: Random,
    rho: Annotated[float, Knob(0.2, 0.7, least=0.0, most=0.95)] = 0.5,
    variety: Annotated[int, Knob(4, 32, log=True, least=1, most=1000)] = 16,
) -> Experiences:
    """Return the R rows followed by up to ``variety`` kept ones for each, which together weigh ``rho`` of the whole.

    Where too few are kept for that, each weighs as much as a new row and their share is smaller.
    """
    if rho == 0:
        return experiences_R
    wanted = sum(row.weight for row in experiences_R) * rho / (1.0 - rho)
    kept = archive.experiences(max(round(wanted), variety * len(experiences_R)), rng)
    weight = min(1.0, wanted / max(1, len(kept)))
    return (*experiences_R, *(replace(row, weight=weight) for row in kept))
