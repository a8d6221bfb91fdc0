"""What the gate is asked about one candidate. Guards and the decision read it; nothing evolution may touch fills it."""

from dataclasses import dataclass

from metaevo.gate.exam import Confirmed
from metaevo.types import Generation
from objectives.goals import Rule
from objectives.types import Cell


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be decided. ``held`` is where an earlier confirmation of the same candidate stopped."""

    candidate: Generation
    parent: Generation
    reference: Generation
    cells: tuple[Cell, ...]
    rules: tuple[Rule, ...]
    dev_gain: float
    epoch: int
    manifest: str
    answer_tokens: float | None = None
    """The operator's limit on tokens per answer, as a ratio to the reference generation."""
    held: Confirmed | None = None
    stream: int | None = None
    """The cycle whose item stream a held candidate continues."""
    protection_items: int = 0
    """Items each protected rule takes at least: what a held candidate was found to need."""
    pinned: bool = False
    approval: bool = False
