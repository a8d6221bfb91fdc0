"""The built-in base model: half a million parameters, one token a character, weak on purpose; README.md says how."""

from pathlib import Path

CHECKPOINT: Path = Path(__file__).parent / "checkpoint"
"""A Hugging Face checkpoint; `AutoModelForCausalLM.from_pretrained` loads it without a network."""

__all__ = ["CHECKPOINT"]
