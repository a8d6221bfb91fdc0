"""One guarded TRL run: finite losses, memory halved on demand, progress reported, long runs resumed from scratch.

What every update shares and no paper decides: schedule by steps, fused AdamW, no telemetry, no files but the
checkpoint folder it was given.
"""

import gc
import json
import math
import shutil
import warnings
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from transformers import TrainerCallback

from metaevo.effects import Weights
from metaevo.errors import NotFinite, OutOfMemory
from metaevo.learning.model import Learner
from metaevo.types import Tokens, TrainSpec
from objectives.types import JsonValue

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, Trainer, TrainerControl, TrainerState, TrainingArguments

COUNTED = "tokens.json"
CHECKPOINT_EVERY = 100
"""Optimiser steps between checkpoints: a run shorter than this is simply run again after a crash."""


def arguments(
    weights: Weights, *, lr: float, steps: int, batch: int, seed: int, warmup: int = 0
) -> dict[str, JsonValue]:
    """Return the keyword arguments every TRL config gets."""
    return {
        "output_dir": str(weights.scratch),
        "learning_rate": lr,
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "warmup_steps": warmup,
        "seed": seed % 2**31,
        "optim": "adamw_torch_fused",
        "use_cpu": not torch.cuda.is_available(),
        "bf16": False,
        "gradient_checkpointing": torch.cuda.is_available(),
        "report_to": "none",
        "logging_strategy": "steps",
        "logging_steps": 10,
        "save_strategy": "steps" if steps > CHECKPOINT_EVERY else "no",
        "save_steps": CHECKPOINT_EVERY,
        "save_total_limit": 1,
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "max_grad_norm": 1.0,
    }


def rate_for_width(learner: Learner, spec: TrainSpec, lr: float) -> float:
    """Return the learning rate for this model's width: recipes quote it for a width of 128.

    It falls with the square root of the width for adapters and in proportion for full training, the usual rule of
    thumb between tiny models (1e-3) and 4 B ones (2e-4 with LoRA, 5e-5 in full).
    """
    shrink = 128 / max(128, int(getattr(learner.model.config, "hidden_size", 128)))
    return float(lr * (shrink**0.5 if spec.lora is not None else shrink))


def build_trainer(
    kind: type["Trainer"], learner: Learner, config: "TrainingArguments", data: "Dataset", **more: object
) -> "Trainer":
    """Return a TRL trainer of this kind, without what libraries say to each other about their next versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return kind(model=learner.model, args=config, train_dataset=data, processing_class=learner.tokenizer, **more)


def run(make: Callable[[int, int], "Trainer"], weights: Weights, batch: int) -> "PreTrainedModel | PeftModel":
    """Train to the end and return the trained model.

    ``make(batch, accumulate)`` builds a fresh trainer. Where memory does not suffice the batch is cut in two or more
    equal parts, at most three times, and training begins anew, so that it is the one the recipe describes.

    Raises:
        NotFinite: A loss became NaN or infinite, or the policy cannot be sampled any more.
        OutOfMemory: Memory did not suffice.
    """
    parts, start = 1, None
    positions = Positions()
    for attempt in range(4):
        trainer = make(batch // parts, parts)
        start = start or _trainable(trainer.model)
        trainer.add_callback(Guard(weights, positions))
        positions.watch(trainer)
        checkpoint = _latest(weights.scratch)
        positions.resume(checkpoint)
        try:
            trainer.train(resume_from_checkpoint=checkpoint)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if "probability tensor contains" in str(error):
                raise NotFinite(f"no token can be drawn at step {trainer.state.global_step}: {error}") from error
            if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
                raise
            if attempt == 3 or parts == batch:
                raise OutOfMemory(f"training does not fit in memory, also with a batch of {batch // parts}") from error
        else:
            weights.spend(positions.counted)
            return trainer.accelerator.unwrap_model(trainer.model)
        # outside of the except block, whose traceback would keep the failed step's tensors alive
        _restore(trainer.model, start)
        parts = next((n for n in range(2 * parts, batch) if batch % n == 0), batch)
        del trainer
        gc.collect()
        torch.cuda.empty_cache()
    raise AssertionError("the loop returns or raises")


def _trainable(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of what training will change, in main memory."""
    return {name: w.detach().to("cpu", copy=True) for name, w in model.named_parameters() if w.requires_grad}


def make_trainable(model: "PreTrainedModel | PeftModel") -> "PreTrainedModel | PeftModel":
    """Return the model without TRL's frozen reference adapter, its own one trainable again."""
    if isinstance(model, PeftModel):
        if "ref" in model.peft_config:
            model.delete_adapter("ref")
        model.set_adapter("default")
    return model


def _restore(model: "PreTrainedModel | PeftModel", start: dict[str, torch.Tensor]) -> None:
    """Put back what training began from."""
    make_trainable(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in start:
                weight.copy_(start[name])


class Positions:
    """Counts what goes through the models of one training, at the models themselves: no two trainers count alike.

    While an online update is ``writing`` it counts by itself: rows that ended before others are fed padding.
    """

    def __init__(self) -> None:
        self.counted = Tokens()
        self.writing = False

    def watch(self, trainer: "Trainer") -> None:
        """Count all that goes through the trainer's model, and through the one it is compared with."""
        trainer.positions = self
        for model in (trainer.model, getattr(trainer, "ref_model", None)):
            if model is not None:
                model.register_forward_pre_hook(self._count, with_kwargs=True)

    def resume(self, checkpoint: str | None) -> None:
        """Go on from what stood beside a checkpoint."""
        path = Path(checkpoint or "") / COUNTED
        if checkpoint is not None and path.is_file():
            self.counted = Tokens(*json.loads(path.read_text()))

    def save(self, checkpoint: Path) -> None:
        """Write the count beside a checkpoint."""
        (checkpoint / COUNTED).write_text(json.dumps(astuple(self.counted)))

    def _count(self, _model: object, args: tuple[torch.Tensor, ...], given: dict[str, torch.Tensor]) -> None:
        if self.writing:
            return
        mask, ids = given.get("attention_mask"), given.get("input_ids", args[0] if args else None)
        seen = mask.sum() if mask is not None else ids.numel() if ids is not None else 0
        self.counted += Tokens(trained=int(seen))


class Guard(TrainerCallback):
    """Stops a run whose loss is not finite, and reports how far it is."""

    def __init__(self, weights: Weights, positions: Positions) -> None:
        self.weights, self.positions = weights, positions

    def on_save(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **kwargs: object
    ) -> None:
        """Keep the count beside the checkpoint: a run that goes on from it has read what was read before."""
        self.positions.save(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_log(
        self,
        args: "TrainingArguments",
        state: "TrainerState",
        control: "TrainerControl",
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Check the logged losses and gradient norms."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(float(value)):
                raise NotFinite(f"{name} is {value} at step {state.global_step}")

    def on_step_end(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **kwargs: object
    ) -> None:
        """Report progress; the control plane's deadline counts from the last report."""
        self.weights.progress(state.global_step, state.max_steps)


def _latest(scratch: Path) -> str | None:
    """Return the newest whole checkpoint; broken ones are removed, the run falls back to the one before."""
    for folder in sorted(scratch.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1])):
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))  # what is written last
        except (OSError, ValueError):
            shutil.rmtree(folder)
        else:
            return str(folder)
    return None
