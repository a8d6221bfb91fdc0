"""Mix in what was learned before: accepted rows of former objectives, seed data, what the model already does right.

Rolnick et al. 2018, arXiv:1811.11682; used by RFT, ReST and A3T. Stratified by ability, so that a small one is
not forgotten for a large one's sake. Where nothing is kept yet, nothing is mixed in.
"""

from typing import Annotated

from metaevo import Archive, Experiences, Knob, Random


def experience_replay(
    experiences_R: Experiences,
    *,
    archive: Archive,
    rng: Random,
    rho: Annotated[float, Knob(0.2, 0.7, least=0.0, most=0.95)] = 0.5,
) -> Experiences:
    """Return the R rows followed by kept ones, so that those are ``rho`` of the whole."""
    return (*experiences_R, *archive.experiences(round(len(experiences_R) * rho / (1.0 - rho)), rng))
