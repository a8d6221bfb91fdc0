"""What the gate is asked about one candidate. Guards and the decision read it; nothing evolution may touch fills it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from metaevo.gate.evidence import RuleOutcomes
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
    held_k: int | None = None
    """The confirmation it belongs to: under another number it begins anew."""
    stream: int | None = None
    """The cycle whose item stream a held candidate continues."""
    outcomes: tuple[RuleOutcomes, ...] = ()
    """What was seen of the protected rules while the candidate was held."""
    best: Mapping[str, Generation] = field(default_factory=dict)
    """Rule to the generation whose anchor score is the highest for sure, where the reference is about to move."""
    partial: bool = False
    """Whether scores between 0 and 1 are known on these cells: then no exact test."""
    pinned: bool = False
    approval: bool = False
