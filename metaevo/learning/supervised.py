"""SFTTrainer on rows made ready: weighted where weights differ, sorted into batches of like length."""

from typing import Any

from datasets import Dataset, disable_progress_bars
from trl import SFTConfig, SFTTrainer

from metaevo.effects import Weights
from metaevo.learning import rows, training
from metaevo.learning.chat import IGNORED
from metaevo.learning.model import Learner
from metaevo.learning.training import run
from metaevo.types import Experiences, TrainSpec
from objectives.types import JsonValue

__all__ = ["run", "trainer"]

disable_progress_bars()


class WeightedSFTTrainer(SFTTrainer):
    """SFT in which every row's loss is scaled by its weight."""

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids", "labels", "weight"]

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> object:
        """Return the weighted mean of the trained tokens' losses."""
        weight = inputs.pop("weight").unsqueeze(1)
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[:, :-1].float()
        labels = inputs["labels"][:, 1:]
        mask = (labels != IGNORED).float() * weight
        values = logits.log_softmax(-1).gather(2, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        loss = -(values * mask).sum() / mask.sum().clamp(min=1e-6)
        return (loss, None) if return_outputs else loss


def trainer(
    learner: Learner,
    experiences: Experiences,
    weights: Weights,
    spec: TrainSpec,
    lr: float,
    steps: int,
    batch: int,
    accumulate: int,
    seed: int,
) -> SFTTrainer:
    """Return a trainer over the experiences' trained turns.

    Raises:
        ModuleFailed: No row can be learned; it says why.
    """
    left = rows.LeftOut()
    made = rows.supervised_rows(learner.chat, weights.admit(experiences), left)
    weights.leave_out("supervised", left.counts)
    if not made:
        raise left.none_left(len(experiences), learner.chat.context)
    weighted = len({row.weight for row in made}) > 1
    table = {"input_ids": [row.input_ids for row in made], "labels": [row.labels for row in made]}
    data = Dataset.from_dict(table | ({"weight": [row.weight for row in made]} if weighted else {}))
    common = training.arguments(
        weights, lr=training.rate_for_width(learner, spec, lr), steps=steps, batch=batch, seed=seed
    )
    config = SFTConfig(
        **common,
        gradient_accumulation_steps=accumulate,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="group_by_length",
    )
    kind = WeightedSFTTrainer if weighted else SFTTrainer
    collator = _Weighted(learner.tokenizer.pad_token_id) if weighted else None
    return training.build_trainer(kind, learner, config, data, data_collator=collator)


class _Weighted:
    """TRL's collator, and the weights beside it."""

    def __init__(self, pad: int) -> None:
        from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

        self.inner = DataCollatorForLanguageModeling(pad_token_id=pad)

    def __call__(self, examples: list[dict[str, JsonValue]]) -> dict[str, JsonValue]:
        import torch

        made = dict(self.inner(examples))
        made["weight"] = torch.tensor([example["weight"] for example in examples])
        return made
