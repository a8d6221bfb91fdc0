"""Experiences as token rows: the loss falls on turns with ``trained`` and on nothing else.

The tokens come from the maker of prompts, so that what is learned follows exactly what is asked. An answer that was
cut off is learned by nobody: an end glued to it would teach to stop anywhere.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from metaevo.errors import ModuleFailed
from metaevo.learning.chat import PromptMaker, Rewritten
from metaevo.types import Admitted, Experience

TRUNCATED = "truncated"
TOO_LONG = "too_long"
REWRITTEN = "rewritten"
SAID = {
    TRUNCATED: "{} were cut off",
    TOO_LONG: "{} exceed the context of {limit} tokens",
    REWRITTEN: "{} are said in another way by the base's chat template once more turns follow",
}
"""Why rows were left out, as people are told."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SupervisedRow:
    """Token ids, their labels, and how much the row's loss counts."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """The ids of a prompt, of the answer to prefer, and of the other one."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]


@dataclass(slots=True)
class LeftOut:
    """How many rows were left out, by reason."""

    counts: Counter[str] = field(default_factory=Counter)

    def rows(self, make: Callable[[Experience], T | str | None], experiences: Sequence[Experience]) -> list[T]:
        """Return what ``make`` makes of the experiences; a word it gives instead is the reason why there is none."""
        made = [make(row) for row in experiences]
        self.counts.update(row for row in made if isinstance(row, str))
        return [row for row in made if row is not None and not isinstance(row, str)]

    def none_left(self, of: int, limit: int) -> ModuleFailed:
        """Return the error that no row is left, with the reasons."""
        if set(self.counts) <= {TOO_LONG}:
            return ModuleFailed(f"none of {of} rows fits the context of {limit} tokens")
        said = "; ".join(SAID[why].format(n, limit=limit) for why, n in sorted(self.counts.items()))
        return ModuleFailed(f"none of {of} rows can be learned: {said}")


def supervised_rows(chat: PromptMaker, admitted: Admitted, left: LeftOut | None = None) -> list[SupervisedRow]:
    """Return the rows that can be learned; the others are counted in ``left``.

    Raises:
        ModuleFailed: The rows never passed the door.
    """

    def make(row: Experience) -> SupervisedRow | str | None:
        if row.attempt.solution.cut:
            return TRUNCATED
        try:
            found = chat.conversation(row.attempt.task.prompt, row.attempt.solution.turns)
        except Rewritten:
            return REWRITTEN
        if not found.ids:  # no turn of it is trained
            return None
        return SupervisedRow(found.ids, found.labels, float(row.weight)) if len(found.ids) <= chat.context else TOO_LONG

    return (left or LeftOut()).rows(make, _rows(admitted))


def preference_rows(chat: PromptMaker, admitted: Admitted, left: LeftOut | None = None) -> list[PreferenceRow]:
    """Return one row for each experience with a rejected attempt; those that cannot be learned are counted.

    Raises:
        ModuleFailed: The rows never passed the door.
    """

    def make(row: Experience) -> PreferenceRow | str | None:
        if row.rejected is None:
            return None
        if row.attempt.solution.cut or row.rejected.solution.cut:
            return TRUNCATED
        prompt = chat.prompt(row.attempt.task.prompt)
        chosen, other = (chat.answer(attempt.solution.text) for attempt in (row.attempt, row.rejected))
        if len(prompt) + max(len(chosen), len(other)) > chat.context:
            return TOO_LONG
        return PreferenceRow(tuple(prompt), tuple(chosen), tuple(other))

    return (left or LeftOut()).rows(make, _rows(admitted))


def _rows(admitted: object) -> Sequence[Experience]:
    if not isinstance(admitted, Admitted):
        raise ModuleFailed("rows that never passed the door are no training rows; ask weights.admit(rows) for them")
    return admitted.rows
