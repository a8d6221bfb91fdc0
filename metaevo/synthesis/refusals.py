"""Why a proposal is refused: one closed list, each reason with a sentence and its numbers."""

from collections.abc import Mapping
from enum import StrEnum


class RejectReason(StrEnum):
    """The reasons, in the order in which they are looked for."""

    NO_TEXT = "is no text"
    TOO_LONG = "too long"
    IMPORTS = "imports what it may not"
    NAMES = "names what no kernel needs"
    NO_FUNCTION = "does not define its function"
    REACHES = "reaches for what the sandbox denies"
    TIME = "does not end in time"
    MEMORY = "takes too much memory"
    OUTPUT = "says too much"
    LOOKS_FOR_ANSWERS = "looks for answers"
    CRASHES = "raises"
    NOT_FINITE = "gives a number that is not finite"
    WRONG_TYPE = "gives another type than promised"
    OUT_OF_BOUNDS = "gives what its slot cannot have"
    RANDOM = "draws numbers without a seed of its own"
    NOT_REPEATABLE = "gives two values for one row"
    STATE = "depends on other rows"
    MEMORISED = "does something only where its author looked"
    KEEPS_ALL = "keeps everything"
    KEEPS_NOTHING = "keeps nothing"
    CONSTANT = "says the same of every row"
    CHANGES_NOTHING = "changes nothing"
    PROMPT_ONLY = "scores the prompt, not the completion"
    ANTI_CORRELATED = "scores wrong answers higher than right ones"
    UNLAWFUL = "breaks a law of its slot"


class Rejected(Exception):
    """A proposal was judged and refused. Infrastructure never raises it."""

    def __init__(self, reason: RejectReason, sentence: str, numbers: Mapping[str, float] | None = None) -> None:
        super().__init__(f"{reason}: {sentence}")
        self.reason, self.sentence, self.numbers = reason, sentence, dict(numbers or {})
