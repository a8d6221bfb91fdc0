"""What a generation is and what made it: one record, stored once under its digest, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from metaevo.artifacts.bodies import dump, parse
from metaevo.types import Completion, StepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A generation as it was published. Of the base model ``start``, ``step`` and ``data`` are None."""

    id: str
    parent: str | None
    start: str | None = None
    """The generation whose weights the step began with."""
    parts: Mapping[str, str]
    answer: tuple[StepSpec, ...] = ()
    """How it answers; empty is one greedy completion."""
    step: StepSpec | None = None
    """The step that made it."""
    data: str | None = None
    """Digest of the rows it was trained on."""
    runtime: str
    """Identity of the engine that made it."""
    seed: int | None = None
    probes: tuple[Completion, ...]
    """What it answered to fixed prompts when it was published: what is loaded later must answer the same."""

    def as_data(self) -> bytes:
        """Return the manifest as it is stored."""
        return dump(self)

    @classmethod
    def from_data(cls, data: bytes) -> "Manifest":
        """Return a stored manifest; that of an old base model has only what was known of it."""
        return parse(cls, data)
