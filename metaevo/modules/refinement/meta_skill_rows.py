"""Turn answers into lessons in criticising and repairing: the programmatic oracle of SELF's first stage.

Lu et al. 2023, SELF, arXiv:2310.00533, D_meta = {(task, answer, feedback, refined)}. The paper's annotator is a
stronger model; here it is the environment's own answer: wrong characters are marked one by one where the dialect
marks, otherwise the verdict names the right answer. References are read: this is the supervised stage.
"""

import json
from collections.abc import Iterator
from typing import Annotated

from metaevo import (
    Attempt,
    Experience,
    Experiences,
    Knob,
    Messages,
    Prompts,
    Random,
    Reference,
    Task,
    Trait,
    Turn,
    solved,
)

TRAITS = (Trait.MAKES_ROWS, Trait.NEEDS_UNFILTERED)


def meta_skill_rows(
    experiences_R: Experiences,
    *,
    reference: Reference,
    prompts: Prompts,
    rng: Random,
    share_right: Annotated[float, Knob(0.2, 0.6, least=0.0, most=1.0)] = 0.4,
    keep_answers: bool = True,
) -> Experiences:
    """Return critique and refine rows for each row with a known answer, and the right answers themselves."""
    rows: list[Experience] = []
    for row in experiences_R:
        task, text = row.attempt.task, row.attempt.solution.text
        right = reference.solution(task.id)
        if right is None:
            continue
        shown = right if rng.random() < share_right else text
        critique = _critique(prompts, shown, right)
        rows += _rows(task, prompts, shown, right, critique)
        if keep_answers:
            rows.append(_row(task, task.prompt, right, "answer"))
    return tuple(rows)


def _rows(task: Task, prompts: Prompts, shown: str, right: str, critique: str) -> Iterator[Experience]:
    yield _row(task, prompts.ask("critique", task=task.text, answer=shown), critique, "critique")
    if shown != right:
        asked = prompts.ask("refine", task=task.text, answer=shown, critique=critique)
        yield _row(task, asked, right, "refine")


def _row(task: Task, prompt: Messages, text: str, kind: str) -> Experience:
    lesson = Task(f"{task.id}.{kind}.{abs(hash_of(prompt))}", task.environment, task.level, task.split, prompt)
    return Experience(Attempt(lesson, solved((Turn("assistant", text, "oracle"),))), tags=("meta_skill", kind))


def _critique(prompts: Prompts, shown: str, right: str) -> str:
    """Return marks where the dialect reads marks, a sentence with a verdict otherwise."""
    marks = "".join("=" if i < len(right) and c == right[i] else "x" for i, c in enumerate(shown))
    marks += "<" if len(shown) < len(right) else ""
    if prompts.judge("=")[1]:
        return marks or "<"
    if shown == right:
        return "Every part of the answer fits the task. VERDICT: right"
    return f"The answer should be {json.dumps(right, ensure_ascii=False)}. VERDICT: wrong"


def hash_of(prompt: Messages) -> int:
    """Return a number made from a prompt's text, the same in every process."""
    value = 0
    for turn in prompt:
        for character in turn.content:
            value = (value * 1_000_003 + ord(character)) % 2_147_483_647
    return value
