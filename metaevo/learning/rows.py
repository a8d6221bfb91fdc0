"""Experiences as token rows: the loss falls on turns with ``trained`` and on nothing else.

The chat template is applied to every prefix of the conversation; what a trained turn adds is what is learned,
its end-of-turn token included.
"""

from collections.abc import Sequence
from typing import Any

from metaevo.types import Attempt, Experience, Solution
from objectives.types import Messages

IGNORED = -100


def prompt_ids(tokenizer: Any, prompt: Messages) -> list[int]:
    """Return the token ids of a prompt, ready for the model to answer, or to go on where the last turn is its own."""
    chat = [{"role": m.role, "content": m.content} for m in prompt]
    begun = chat[-1]["role"] == "assistant"
    how = {"continue_final_message": True} if begun else {"add_generation_prompt": True}
    return list(tokenizer.apply_chat_template(chat, return_dict=False, **how))


def completion_ids(tokenizer: Any, prompt: Messages, text: str) -> list[int]:
    """Return the token ids that answering ``text`` adds to a prompt, the end-of-turn token included."""
    before = prompt_ids(tokenizer, prompt)
    chat = [{"role": m.role, "content": m.content} for m in prompt] + [{"role": "assistant", "content": text}]
    whole = list(tokenizer.apply_chat_template(chat, return_dict=False))
    if whole[: len(before)] == before:
        return whole[len(before) :]
    return [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]


def supervised_rows(tokenizer: object, rows_R: Sequence[Experience], limit: int) -> list[dict[str, Any]]:
    """Return R' rows of ``input_ids``, ``labels`` and ``weight``; rows over ``limit`` tokens are left out."""
    made = []
    for row in rows_R:
        ids, labels = _conversation(tokenizer, row.attempt)
        if len(ids) <= limit and any(label != IGNORED for label in labels):
            made.append({"input_ids": ids, "labels": labels, "weight": float(row.weight)})
    return made


def preference_rows(tokenizer: object, rows_R: Sequence[Experience], limit: int) -> list[dict[str, Any]]:
    """Return one row of ``prompt_ids``, ``chosen_ids`` and ``rejected_ids`` per experience with a rejected attempt."""
    made = []
    for row in rows_R:
        if row.rejected is None:
            continue
        prompt = prompt_ids(tokenizer, row.attempt.task.prompt)
        chosen = completion_ids(tokenizer, row.attempt.task.prompt, row.attempt.solution.text)
        rejected = completion_ids(tokenizer, row.attempt.task.prompt, row.rejected.solution.text)
        if len(prompt) + max(len(chosen), len(rejected)) <= limit:
            made.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    return made


def _conversation(tokenizer: Any, attempt: Attempt) -> tuple[list[int], list[int]]:
    solution: Solution = attempt.solution
    if len(solution.turns) == 1 and solution.turns[0].role == "assistant":
        before = prompt_ids(tokenizer, attempt.task.prompt)
        added = completion_ids(tokenizer, attempt.task.prompt, solution.text)
        mark = added if solution.turns[0].trained else [IGNORED] * len(added)
        return before + added, [IGNORED] * len(before) + mark
    chat = [{"role": m.role, "content": m.content} for m in attempt.task.prompt]
    ids = list(tokenizer.apply_chat_template(chat, return_dict=False))
    labels = [IGNORED] * len(ids)
    for turn in solution.turns:
        if turn.role == "assistant":
            ready = list(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))
            labels += [IGNORED] * (len(ready) - len(ids))
            ids = ready
        chat.append({"role": turn.role, "content": turn.text})
        whole = list(tokenizer.apply_chat_template(chat, return_dict=False))
        added = whole[len(ids) :]
        labels += added if turn.role == "assistant" and turn.trained else [IGNORED] * len(added)
        ids = whole
    return ids, labels
