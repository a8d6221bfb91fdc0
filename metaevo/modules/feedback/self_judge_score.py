"""The model as the judge of its own answers: a score in [0, 1] from its critiques or from its own likelihood.

Yuan et al. 2024, Self-Rewarding Language Models, arXiv:2401.10020 (``critique``, averaged over ``reads``);
Kadavath et al. 2022, arXiv:2207.05221 (``likelihood``: the geometric mean probability of the answer's tokens).
"""

import math
from typing import Annotated, Literal

from metaevo import Attempts, Experience, Experiences, Feedback, Knob, Policy, Prompts, Trait

TRAITS = (Trait.GIVES_SCORE,)


def self_judge_score(
    attempts_R: Attempts,
    *,
    policy: Policy,
    prompts: Prompts,
    form: Literal["critique", "likelihood"] = "critique",
    reads: Annotated[int, Knob(1, 4, least=1, most=64)] = 2,
    temperature: Annotated[float, Knob(0.2, 1.0, least=0.0, most=2.0)] = 0.7,
) -> Experiences:
    """Return one experience per attempt with the judge's score; None where no read could be understood."""
    if form == "likelihood":
        scored = policy.score([a.task.prompt for a in attempts_R], [a.solution.text for a in attempts_R])
        values = [None if s.logprob is None else math.exp(s.logprob / max(1, s.tokens)) for s in scored]
    else:
        asked_R = [prompts.ask("critique", task=a.task.text, answer=a.solution.text) for a in attempts_R]
        made_R_n = policy.sample(asked_R, n=reads, temperature=temperature)
        values = [_mean([prompts.judge(made.text)[0] for made in made_n]) for made_n in made_R_n]
    return tuple(
        Experience(attempt, (Feedback(value, "unknown", "model"),), value)
        for attempt, value in zip(attempts_R, values, strict=True)
    )


def _mean(scores: list[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None
