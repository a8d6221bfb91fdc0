"""How a reward has a program run that nobody has read: it asks the host, which asks the sandbox.

A reward that executes text takes a parameter `run`; the grader pool gives it. A program sees its arguments and
nothing else: what it should have returned stays with the reward, which compares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from objectives.types import Json


class NoSandbox(Exception):
    """Infrastructure failed and nothing was learnt: the score is None, whatever a reward makes of this."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a program. ``verdict`` is one of the sandbox's words: ok, timeout, oom, overflow, crash, …

    ``values`` has one JSON value per row of arguments where the verdict is ok, and is None otherwise. ``note`` is
    for people and may hold what the program said: decide nothing by it.
    """

    verdict: str
    values: tuple[Json, ...] | None = None
    note: str = ""


class Run(Protocol):
    """The sandbox, as a reward sees it."""

    def __call__(self, source: str, function: str, rows: Sequence[Sequence[Json]]) -> Ran:
        """Return what ``function`` of the program ``source`` gave for each row of arguments.

        Raises:
            NoSandbox: Infrastructure failed. Let it pass.
            ValueError: The program or the rows cannot be sent, for example because they are too large.
        """
