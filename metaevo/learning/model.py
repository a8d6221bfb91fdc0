"""Load a generation's policy from the store, and write one there. Base checkpoints are referred to, never copied.

A policy is a tree in the store whose manifest says its kind: ``base`` (a reference to a checkpoint folder with
the hash of every file), ``full`` (a whole checkpoint) or ``adapter`` (LoRA on another policy). Adapters are
merged in memory in the checkpoint's own precision only where that is fp32: bf16 merging corrupts weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GenerationConfig

from metaevo.artifacts.base import verified_base
from metaevo.artifacts.store import Store
from metaevo.errors import BadInput, NotFinite, cannot_write
from metaevo.learning.chat import ChatSettings, PromptMaker, tokenizer_in
from metaevo.types import Lora, TrainSpec


@dataclass(slots=True)
class Learner:
    """A model, the maker of its prompts, the digest its adapter stands on, and how often that was continued."""

    model: Any
    chat: PromptMaker
    base: str
    depth: int = 0

    @property
    def tokenizer(self) -> Any:
        """Return the base's tokenizer."""
        return self.chat.tokenizer


def checkpoint_folder(store: Store, digest: str) -> Path:
    """Return the folder of a ``base`` or ``full`` policy, every file verified."""
    meta = store.manifest(digest)["meta"]
    return verified_base(store.tree(digest)) if meta["kind"] == "base" else store.tree(digest)


DEFAULT = ChatSettings()


def load(store: Store, digest: str, settings: ChatSettings = DEFAULT) -> Learner:
    """Return a policy as one plain model for inference, in evaluation mode.

    Raises:
        StoreError: A file is missing or changed.
        BadInput: The base's chat template ends no turn with a token.
    """
    meta = store.manifest(digest)["meta"]
    root = meta["base"] if meta["kind"] == "adapter" else digest
    learner = _learner(store, root, settings)
    if meta["kind"] == "adapter":
        adapted = PeftModel.from_pretrained(learner.model, str(store.tree(digest)))
        fp32 = all(weight.dtype is torch.float32 for weight in learner.model.parameters())
        learner.model = adapted.merge_and_unload(safe_merge=True) if fp32 else adapted
    learner.model.eval()
    return learner


def load_trainable(
    store: Store, digest: str, spec: TrainSpec, *, merge_every: int, settings: ChatSettings = DEFAULT
) -> Learner:
    """Return a policy ready to be trained with the levers of ``spec``.

    With LoRA an adapter of the same shape is continued; after ``merge_every`` continuations, or where the shape
    differs, it is merged in fp32 into a new full checkpoint first, and a fresh adapter starts on that.
    """
    meta = store.manifest(digest)["meta"]
    same = meta["kind"] == "adapter" and spec.lora is not None and meta["lora"] == _shape(spec.lora)
    if same and meta["depth"] + 1 < merge_every:
        learner = _learner(store, meta["base"], settings)
        learner.model = PeftModel.from_pretrained(learner.model, str(store.tree(digest)), is_trainable=True)
        learner.depth = meta["depth"] + 1
        return learner
    learner = load(store, digest, settings)
    if meta["kind"] == "adapter":
        learner.base = write_full(store, learner) if spec.lora is not None else digest
    learner.model.requires_grad_(True).train()
    if spec.lora is not None:
        learner.model = get_peft_model(learner.model, _config(spec.lora))
    return learner


def write(store: Store, learner: Learner, spec: TrainSpec, aside: Path) -> str:
    """Write the trained weights into the store and return their digest.

    Raises:
        NotFinite: A weight is NaN or infinite.
    """
    for name, weight in learner.model.named_parameters():
        if weight.requires_grad and not bool(torch.isfinite(weight).all()):
            raise NotFinite(f"weight {name} is not finite after training")
    if not isinstance(learner.model, PeftModel):
        return write_full(store, learner, aside)
    config = learner.model.peft_config["default"]
    config.base_model_name_or_path = learner.base
    if isinstance(config.target_modules, set):  # written in the order of a set, equal weights would differ in digest
        config.target_modules = sorted(config.target_modules)
    # without "auto", which would ask the Hub for the base's vocabulary: linear layers are adapted, embeddings never
    learner.model.save_pretrained(str(aside), selected_adapters=["default"], save_embedding_layers=False)
    (aside / "README.md").unlink(missing_ok=True)
    shape = _shape(spec.lora) if spec.lora is not None else {}
    return store.put_tree(aside, {"kind": "adapter", "base": learner.base, "depth": learner.depth, "lora": shape})


def write_full(store: Store, learner: Learner, aside: Path | None = None) -> str:
    """Write a whole checkpoint with its tokenizer and return its digest."""
    aside = aside or store.scratch(f"merge-{learner.base[:12]}")
    model = learner.model.module if hasattr(learner.model, "module") else learner.model
    model.save_pretrained(str(aside))
    learner.tokenizer.save_pretrained(str(aside))
    return store.put_tree(aside, {"kind": "full"})


def _learner(store: Store, root: str, settings: ChatSettings) -> Learner:
    """Return a checkpoint's model and the maker of its prompts.

    How it generates is ours alone: penalties, forced tokens and beams of the checkpoint's own file would reach every
    exam, and no verdict would name them.
    """
    folder = checkpoint_folder(store, root)
    model = _model(folder)
    chat = PromptMaker(tokenizer_in(folder), settings, int(getattr(model.config, "max_position_embeddings", 2048)))
    words = chat.tokenizer
    model.generation_config = GenerationConfig(
        bos_token_id=words.bos_token_id, eos_token_id=sorted(chat.ends), pad_token_id=words.pad_token_id
    )
    return Learner(model, chat, root)


def device() -> str:
    """Return where models live: the GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _model(folder: Path) -> Any:
    """Return the model in a checkpoint folder.

    Raises:
        BadInput: Its architecture is unknown, or its weights are not those of the architecture: where some are
            missing the library would draw them at random and say nothing.
    """
    kind = "auto" if torch.cuda.is_available() else torch.float32
    how: dict[str, object] = {"local_files_only": True, "dtype": kind, "use_safetensors": True}
    how |= {"output_loading_info": True, "generation_config": GenerationConfig()}  # its own file is not even read
    try:
        made, told = AutoModelForCausalLM.from_pretrained(str(folder), **how)
    except Exception as error:  # libraries raise whatever a wrong file makes them stumble over
        if cannot_write(error) or "allocate memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise
        said = str(error).replace("\n", " ")[:200]
        what = f"is not a causal language model this transformers can load ({said})"
        raise BadInput(folder, what, "give another checkpoint") from error
    for what in ("missing_keys", "mismatched_keys"):
        if told[what]:
            name = min(str(key) for key in told[what])
            raise BadInput(folder, f"config.json wants weights that are not there, first {name}", "restore both files")
    return made.to(device())


def _shape(lora: Lora) -> dict[str, float]:
    return {"r": lora.r, "alpha": lora.alpha, "dropout": lora.dropout}


def _config(lora: Lora) -> LoraConfig:
    return LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )
