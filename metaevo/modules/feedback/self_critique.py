"""The model criticises its own answers in its dialect; the critique carries a verdict and a score.

Madaan et al. 2023, Self-Refine, arXiv:2303.17651; Lu et al. 2023, SELF, arXiv:2310.00533.
A critique that cannot be read gives a score of None: "cannot say", never "wrong".
"""

from typing import Annotated

from metaevo import Attempts, Experience, Experiences, Knob, Policy, Prompts, Trait
from metaevo.modules.shared.critique import criticised

TRAITS = (Trait.GIVES_SCORE, Trait.GIVES_CRITIQUE)


def self_critique(
    attempts_R: Attempts,
    *,
    policy: Policy,
    prompts: Prompts,
    temperature: Annotated[float, Knob(0.0, 0.7, least=0.0, most=2.0)] = 0.0,
) -> Experiences:
    """Return one experience per attempt with the critique and, as score, what it says of the answer."""
    asked_R = [prompts.ask("critique", task=a.task.text, answer=a.solution.text) for a in attempts_R]
    rows = []
    for attempt, made in zip(attempts_R, policy.sample(asked_R, n=1, temperature=temperature), strict=True):
        feedback = criticised(prompts, made[0])
        rows.append(Experience(attempt, (feedback,), feedback.score))
    return tuple(rows)
