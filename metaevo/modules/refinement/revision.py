"""Let the model repair its answers by its own critique, look again, and keep the better one.

Madaan et al. 2023, Self-Refine, arXiv:2303.17651; Lu et al. 2023, SELF, arXiv:2310.00533. A row whose critique
calls it right is not touched. ``keep_best`` compares by the critique's score, so a revision cannot lower it.
"""

from dataclasses import replace
from typing import Annotated

from metaevo import Experience, Experiences, Knob, Policy, Prompts, Trait, Turn, solved
from metaevo.modules.shared.critique import criticised

TRAITS = (Trait.MAKES_ROWS, Trait.NEEDS_CRITIQUE, Trait.REVISES)


def revision(
    experiences_R: Experiences,
    *,
    policy: Policy,
    prompts: Prompts,
    max_iters: Annotated[int, Knob(1, 3, least=1, most=16)] = 1,
    temperature: Annotated[float, Knob(0.0, 0.7, least=0.0, most=2.0)] = 0.0,
    keep_best: bool = True,
) -> Experiences:
    """Return the R rows, each as first answered or as revised; revised ones carry the new critique and score."""
    rows = list(experiences_R)
    for _ in range(max_iters):
        open_ = [i for i, row in enumerate(rows) if row.feedback and row.feedback[-1].verdict == "fail"]
        if not open_:
            break
        for i, revised in zip(open_, _revised([rows[i] for i in open_], policy, prompts, temperature), strict=True):
            better = (revised.score or 0.0) >= (rows[i].score or 0.0)
            rows[i] = revised if better or not keep_best else rows[i]
    return tuple(rows)


def _revised(rows: list[Experience], policy: Policy, prompts: Prompts, temperature: float) -> list[Experience]:
    """Return every row with a repaired answer and a critique of that."""
    asked = [
        prompts.ask(
            "refine", task=r.attempt.task.text, answer=r.attempt.solution.text, critique=r.feedback[-1].critique
        )
        for r in rows
    ]
    made = [row[0] for row in policy.sample(asked, n=1, temperature=temperature)]
    checks = [prompts.ask("critique", task=r.attempt.task.text, answer=m.text) for r, m in zip(rows, made, strict=True)]
    critiques = [row[0] for row in policy.sample(checks, n=1, temperature=0.0)]
    done = []
    for row, text, critique in zip(rows, made, critiques, strict=True):
        before = tuple(replace(turn, trained=False) for turn in row.attempt.solution.turns)
        spent = int(row.feedback[-1].signals.get("tokens", 0)) + critique.tokens
        said = Turn("user", row.feedback[-1].critique, policy.id, trained=False, tokens=spent)
        turn = Turn(
            "assistant",
            text.text,
            by=policy.id,
            trained=True,
            tokens=text.tokens,
            logprob=text.logprob,
            finish=text.finish,
        )
        solution = solved((*before, said, turn))
        feedback = criticised(prompts, critique)
        attempt = replace(row.attempt, solution=solution)
        done.append(replace(row, attempt=attempt, feedback=(*row.feedback, feedback), score=feedback.score))
    return done
