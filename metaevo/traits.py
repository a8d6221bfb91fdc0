"""Traits: what a module says of itself beyond its signature, so that search can combine what it has never seen.

    TRAITS = (Trait.GIVES_PAIRS,)

stands in the module's file beside its function. A module without traits is a plain step of its slot: search adds it
where it fits and expects nothing of it. What a signature says already (an update that takes tasks trains online, one
without `Weights` is an answering procedure) is not a trait.
"""

from enum import StrEnum
from typing import Self


class Trait(StrEnum):
    """One thing a module does or needs, in which slots it may be said, and the sentence for authors."""

    slots: tuple[str, ...]
    about: str

    def __new__(cls, value: str, slots: str, about: str) -> Self:
        """Return the member; ``slots`` are names with blanks between them."""
        made = str.__new__(cls, value)
        made._value_ = value
        made.slots = tuple(slots.split())
        made.about = about
        return made

    NEEDS_ROUNDS = "needs_rounds", "tasks refinement", "does something only where an earlier round went before"
    GIVES_SCORE = "gives_score", "feedback", "gives attempts a score"
    GIVES_VERDICT = (
        "gives_verdict",
        "feedback",
        "gives the environment's own verdict, the one that training trusts",
    )
    GIVES_CRITIQUE = "gives_critique", "feedback", "says in words what is wrong with an attempt"
    NEEDS_CRITIQUE = "needs_critique", "refinement", "reads the words of a critique"
    MAKES_ROWS = "makes_rows", "refinement", "makes or mends rows: it goes first, before rows are chosen"
    REVISES = "revises", "refinement", "leaves rows whose answer was revised, with the way there"
    SHORTENS = "shortens", "refinement", "cuts a revised row down to its answer: it goes last"
    CHOOSES = "chooses", "refinement", "keeps rows that are likely right and drops the others; makes none"
    NEEDS_SCORE = "needs_score", "refinement", "goes by the score of rows"
    NEEDS_UNFILTERED = "needs_unfiltered", "refinement", "learns from wrong rows too: none may be dropped before it"
    GIVES_PAIRS = "gives_pairs", "refinement", "gives rows with a rejected attempt"
    REPLAYS = "replays", "refinement", "adds rows from before: it goes last and protects what was learnt"
    STEADIES = "steadies", "stability", "keeps the weights near those that training starts from"
    TAKES_PAIRS = "takes_pairs", "update", "learns from rows with a rejected attempt"
    NEEDS_REPLAY = "needs_replay", "update", "forgets what its rows do not show: it is proposed with a replay"
