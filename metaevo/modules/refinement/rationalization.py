"""For tasks that were failed, let the model work backwards from the right answer, and keep what arrives there.

Zelikman et al. 2022, STaR, arXiv:2203.14465. The hint is only in the prompt that was asked; the row that is
trained on has the plain task, so no hint can be learned. A rationale is kept when the environment passes it.
"""

import json
from collections import defaultdict
from dataclasses import replace
from typing import Annotated

from metaevo import Attempt, Experience, Experiences, Knob, Policy, Prompts, Reference, Reward, Task, Trait, answered

TRAITS = (Trait.MAKES_ROWS,)


def rationalization(
    experiences_R: Experiences,
    *,
    policy: Policy,
    prompts: Prompts,
    reference: Reference,
    reward: Reward,
    k: Annotated[int, Knob(1, 4, least=1, most=64)] = 1,
    temperature: Annotated[float, Knob(0.0, 1.0, least=0.0, most=2.0)] = 0.3,
    share: Annotated[float, Knob(0.1, 0.5, least=0.0, most=1.0)] = 0.5,
) -> Experiences:
    """Return the R rows and at most ``share`` as many rationalised ones, tagged, for tasks nobody solved."""
    best: dict[str, float] = defaultdict(float)
    tasks: dict[str, Task] = {}
    for row in experiences_R:
        best[row.attempt.task.id] = max(best[row.attempt.task.id], row.score or 0.0)
        tasks[row.attempt.task.id] = row.attempt.task
    failed = [(tasks[id_], reference.answer(id_)) for id_, score in best.items() if score < 1.0]
    hinted = [(task, answer) for task, answer in failed if answer is not None]
    asked = [prompts.ask("rationalize", task=task.text, answer=_text(answer)) for task, answer in hinted]
    attempts = tuple(
        Attempt(task, answered(completion, policy.id, number))
        for (task, _), made in zip(hinted, policy.sample(asked, n=k, temperature=temperature), strict=True)
        for number, completion in enumerate(made)
    )
    passed: dict[str, Experience] = {}
    for attempt, feedback in zip(attempts, reward(attempts), strict=True):
        if feedback.verdict == "pass":
            row = Experience(attempt, (replace(feedback, score=1.0),), 1.0, tags=("rationalized",))
            passed.setdefault(attempt.task.id, row)
    return (*experiences_R, *list(passed.values())[: int(share * len(experiences_R))])


def _text(answer: object) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, sort_keys=True)
