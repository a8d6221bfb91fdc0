"""GRPOTrainer whose rewards come from the stage's feedback steps, over the engine's pipe."""

from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from metaevo.effects import Weights
from metaevo.errors import ModuleFailed
from metaevo.learning import training
from metaevo.learning.model import Learner, context_tokens
from metaevo.learning.rows import prompt_ids
from metaevo.types import Attempt, Completion, Tasks, TrainSpec, answered


@dataclass(frozen=True, slots=True)
class OnlineSettings:
    """The knobs of one online run."""

    lr: float
    steps: int
    prompts: int
    group: int
    temperature: float
    beta: float
    scale: str
    seed: int


def run(learner: Learner, tasks: Tasks, weights: Weights, spec: TrainSpec, how: OnlineSettings) -> Any:
    """Return the model after ``how.steps`` optimiser steps.

    Raises:
        ModuleFailed: No task leaves room for an answer.
    """
    limit = context_tokens(learner.model)
    room = weights.answer_tokens
    fitting = [task for task in tasks if len(prompt_ids(learner.tokenizer, task.prompt)) + room <= limit]
    if not fitting:
        raise ModuleFailed(f"none of {len(tasks)} tasks leaves room for an answer of {room} tokens")
    by_id = {task.id: task for task in fitting}
    data = Dataset.from_list(
        [{"prompt": [{"role": m.role, "content": m.content} for m in t.prompt], "task": t.id} for t in fitting]
    )

    def reward(completions: list[list[dict[str, str]]], task: list[str], **_: object) -> list[float | None]:
        texts = [completion[0]["content"] for completion in completions]
        attempts = tuple(
            Attempt(by_id[id_], answered(Completion(text, 0), "online", number))
            for number, (id_, text) in enumerate(zip(task, texts, strict=True))
        )
        judged = {(row.attempt.task.id, row.attempt.solution.id): row.score for row in weights.feedback(attempts)}
        return [judged.get((attempt.task.id, attempt.solution.id)) for attempt in attempts]

    def make(size: int, accumulate: int) -> GRPOTrainer:
        config = _config(learner, weights, spec, how, size, accumulate)
        return training.build_trainer(GRPOTrainer, learner, config, data, reward_funcs=reward)

    # TRL leaves out a batch that it cannot fill with different prompts: fewer tasks make a smaller one
    return training.run(make, weights, min(how.prompts, len(by_id)) * how.group)


def _config(
    learner: Learner, weights: Weights, spec: TrainSpec, how: OnlineSettings, size: int, accumulate: int
) -> GRPOConfig:
    common = training.arguments(
        weights, lr=training.rate_for_width(learner, spec, how.lr), steps=how.steps, batch=size, seed=how.seed
    )
    return GRPOConfig(
        **common,
        gradient_accumulation_steps=accumulate,
        num_generations=how.group,
        max_completion_length=weights.answer_tokens,
        temperature=how.temperature,
        beta=how.beta,
        scale_rewards=how.scale,
        log_completions=False,
    )
