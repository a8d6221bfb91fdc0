"""DPOTrainer on pairs: the reference is the weights the round starts from, never what a path happens to hold."""

from datasets import Dataset
from peft import PeftModel
from trl import DPOConfig, DPOTrainer

from metaevo.effects import Weights
from metaevo.errors import ModuleFailed
from metaevo.learning import training
from metaevo.learning.model import Learner, context_tokens
from metaevo.learning.training import make_trainable
from metaevo.types import Experiences, TrainSpec

__all__ = ["make_trainable", "trainer"]


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
        ModuleFailed: There is no pair.
    """
    if not pairs:
        raise ModuleFailed("no row has a rejected attempt: add preference_pairs to the refinement steps")
    limit = context_tokens(learner.model)
    common = training.arguments(
        weights, lr=training.rate_for_width(learner, spec, lr), steps=steps, batch=batch, seed=seed
    )
    config = DPOConfig(
        **common,
        gradient_accumulation_steps=accumulate,
        beta=beta,
        loss_type=["sigmoid", "sft"] if sft > 0 else ["sigmoid"],
        loss_weights=[1.0, sft] if sft > 0 else None,
        max_length=limit,
    )
    # A PEFT model's reference is the adapter as it was loaded; a full model's must be loaded anew, or TRL would
    # read it from a path that need not hold these weights.
    reference = None if isinstance(learner.model, PeftModel) else weights.load().model
    return training.build_trainer(DPOTrainer, learner, config, _conversations(pairs), ref_model=reference)


def _conversations(pairs: Experiences) -> Dataset:
    """Return the pairs as TRL's conversational preference rows."""
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": m.role, "content": m.content} for m in row.attempt.task.prompt],
                "chosen": [{"role": "assistant", "content": row.attempt.solution.text}],
                "rejected": [{"role": "assistant", "content": row.rejected.solution.text if row.rejected else ""}],
            }
            for row in pairs
        ]
    )
