"""DPOTrainer on pairs: the reference is the weights the round starts from, never what a path happens to hold."""

from dataclasses import asdict
from typing import Any

from datasets import Dataset
from peft import PeftModel
from trl import DPOConfig, DPOTrainer

from metaevo.effects import Weights
from metaevo.errors import ModuleFailed
from metaevo.learning import rows, training
from metaevo.learning.model import Learner
from metaevo.learning.training import make_trainable
from metaevo.types import Experiences, TrainSpec

__all__ = ["make_trainable", "trainer"]


class RowsDPOTrainer(DPOTrainer):
    """DPO on rows that are tokens already: TRL would make its own of the conversations."""

    def _prepare_dataset(self, dataset: Any, *_: object) -> Any:
        return dataset


def trainer(
    learner: Learner,
    pairs: Experiences,
    weights: Weights,
    spec: TrainSpec,
    lr: float,
    steps: int,
    batch: int,
    accumulate: int,
    seed: int,
    beta: float,
    sft: float,
) -> DPOTrainer:
    """Return a trainer over the pairs.

    Raises:
        ModuleFailed: There is no pair, or none that can be learned; it says why.
    """
    if not pairs:
        raise ModuleFailed("no row has a rejected attempt: add preference_pairs to the refinement steps")
    left = rows.LeftOut()
    made = rows.preference_rows(learner.chat, weights.admit(pairs), left)
    weights.leave_out("preference", left.counts)
    if not made:
        raise left.none_left(len(pairs), learner.chat.context)
    common = training.arguments(
        weights, lr=training.rate_for_width(learner, spec, lr), steps=steps, batch=batch, seed=seed
    )
    config = DPOConfig(
        **common,
        gradient_accumulation_steps=accumulate,
        beta=beta,
        loss_type=["sigmoid", "sft"] if sft > 0 else ["sigmoid"],
        loss_weights=[1.0, sft] if sft > 0 else None,
        max_length=learner.chat.context,
    )
    # A PEFT model's reference is the adapter as it was loaded; a full model's must be loaded anew, or TRL would
    # read it from a path that need not hold these weights.
    reference = None if isinstance(learner.model, PeftModel) else weights.load().model
    data = Dataset.from_list([asdict(row) for row in made])
    return training.build_trainer(RowsDPOTrainer, learner, config, data, ref_model=reference)
