"""The environment's own verdict on every attempt.

Singh et al. 2023, ReST-EM, arXiv:2312.06585: the reward is binary, partial credit is never a pass.
"""

from dataclasses import replace

from metaevo import Attempts, Experience, Experiences, Reward, Trait

TRAITS = (Trait.GIVES_SCORE, Trait.GIVES_VERDICT)


def answer_check(attempts_R: Attempts, *, reward: Reward, partial: bool = False) -> Experiences:
    """Return one experience per attempt; scores are 0 and 1, or the environment's own with ``partial``."""
    rows = []
    for attempt, feedback in zip(attempts_R, reward(attempts_R), strict=True):
        score = feedback.score if partial or feedback.score is None else float(feedback.verdict == "pass")
        rows.append(Experience(attempt, (replace(feedback, score=score),), score))
    return tuple(rows)
