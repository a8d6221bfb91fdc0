"""Change how the model answers instead of its weights: the stage's own steps become the answering procedure.

Madaan et al. 2023, Self-Refine, arXiv:2303.17651: answer, criticise, revise, with no training at all. What the
procedure costs in tokens is weighed by the gate.
"""

from dataclasses import replace

from metaevo import Experiences, Generation, Start


def adopt(experiences: Experiences, *, start: Start) -> Generation:
    """Return the generation the round starts from, with the stage's steps as its answer."""
    del experiences
    return replace(start.generation, answer=start.steps)
