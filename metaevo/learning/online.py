"""GRPOTrainer whose rewards come from the stage's feedback steps, over the engine's pipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from metaevo.effects import Weights
from metaevo.errors import ModuleFailed
from metaevo.learning import training
from metaevo.learning.chat import PromptMaker
from metaevo.learning.model import Learner
from metaevo.types import Attempt, Completion, Tasks, Tokens, TrainSpec, answered
from objectives.types import Message


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


class MadePromptsTrainer(GRPOTrainer):
    """GRPO whose prompts come from the one maker: TRL would render and read them in its own way."""

    chat: PromptMaker
    positions: training.Positions

    def _tokenize_prompts(
        self, prompts: Sequence[Sequence[dict[str, str]]]
    ) -> tuple[list[list[int]], None, dict[str, object]]:
        made = [self.chat.prompt(tuple(Message(m["role"], m["content"]) for m in prompt)) for prompt in prompts]
        return made, None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *more: Any) -> tuple[list[list[int]], None]:
        self.positions.writing = True
        try:
            made, logprobs = super()._generate_single_turn(prompt_ids, *more)
        finally:
            self.positions.writing = False
        self.positions.counted += Tokens(sum(map(len, prompt_ids)), sum(map(len, made)))
        return made, logprobs


def run(learner: Learner, tasks: Tasks, weights: Weights, spec: TrainSpec, how: OnlineSettings) -> Any:
    """Return the model after ``how.steps`` optimiser steps.

    Raises:
        ModuleFailed: No task leaves room for an answer.
    """
    chat, room = learner.chat, weights.answer_tokens
    fitting = [task for task in weights.admit_tasks(tasks) if len(chat.prompt(task.prompt)) + room <= chat.context]
    if not fitting:
        raise ModuleFailed(f"none of {len(tasks)} tasks leaves room for an answer of {room} tokens")
    by_id = {task.id: task for task in fitting}
    data = Dataset.from_list(
        [{"prompt": [{"role": m.role, "content": m.content} for m in t.prompt], "task": t.id} for t in fitting]
    )

    def reward(completion_ids: list[list[int]], task: list[str], **_: object) -> list[float | None]:
        texts = [chat.read(ids) for ids in completion_ids]
        attempts = tuple(
            Attempt(by_id[id_], answered(Completion(text, 0), "online", number))
            for number, (id_, text) in enumerate(zip(task, texts, strict=True))
        )
        judged = {(row.attempt.task.id, row.attempt.solution.id): row.score for row in weights.feedback(attempts)}
        return [judged.get((attempt.task.id, attempt.solution.id)) for attempt in attempts]

    def make(size: int, accumulate: int) -> GRPOTrainer:
        config = _config(learner, weights, spec, how, size, accumulate)
        made = training.build_trainer(MadePromptsTrainer, learner, config, data, reward_funcs=reward)
        made.chat = chat
        return made

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
