"""The door before every update, as the control plane holds it: what may be trained on, and what was kept out and why.

The environments' code decides (`objectives.door`, in a grader process). What is admitted is one journalled step, so
that `why` can tell what was refused and a resumed trial need not ask again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from metaevo.artifacts.bodies import adapter
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.protocol import Ask
from metaevo.ledger.journal import At
from metaevo.ledger.steps import StepName
from metaevo.runtime.host import Host
from metaevo.runtime.step_runner import StepRunner, identity_of
from metaevo.types import Experience, Experiences, Tasks, Turn
from objectives.splits import canonical
from objectives.types import Message, Messages, Task

MOST_TURNS = 8
"""Turns in a row that are looked at as one prompt within a longer conversation."""

R = TypeVar("R", Experience, Task)


@dataclass(frozen=True, slots=True)
class KeptOut:
    """Why rows were refused: how many for each reason, and the first text of each."""

    counts: Mapping[str, int]
    first: Mapping[str, str]

    @property
    def total(self) -> int:
        """Return how many rows were refused."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Passed:
    """The places of the rows that may be trained on, and what was refused."""

    kept: tuple[int, ...]
    refused: KeptOut


def admit(line: StepRunner, at: At, rows: tuple[R, ...]) -> tuple[R, ...]:
    """Return the rows of a trial that may be trained on, as one journalled step; what is refused is told once."""
    host = line.host
    versions = {name: (env.version, env.train) for name, env in host.environments.items()}
    mark = fingerprint(identity_of(rows), [(texts(row), replies(row)) for row in rows], versions, int(host.scheme))
    found = line.journal.step(
        at.key(StepName.DOOR, 0),
        mark,
        lambda: looked_at(host, rows, at.cycle),
        kind=Passed,
        shelf=line.shelf,
        counts=lambda made: {"rows": len(made.kept), "refused": made.refused.total},
    )
    return tuple(rows[place] for place in found.kept)


def looked_at(host: Host, rows: Sequence[Experience] | Sequence[Task], cycle: int | None = None) -> Passed:
    """Return which rows may be trained on; each reason is an event with its count and its first text."""
    said = refusals(host, rows)
    counts = Counter(why for why in said if why)
    first = {why: texts(rows[said.index(why)])[0][:200] for why in counts}
    for why, count in counts.items():
        sentence = f"{count} rows were not trained on: {why}, first {first[why][:80]!r}"
        host.ledger.event("rows_refused", sentence, cycle, reason=why, rows=count, text=first[why])
    return Passed(tuple(i for i, why in enumerate(said) if not why), KeptOut(dict(counts), first))


def refusals(host: Host, rows: Sequence[Experience] | Sequence[Task]) -> list[str]:
    """Return for each row why it may not be trained on, "" where it may."""
    asked = [(_task(row).environment, texts(row), replies(row)) for row in rows]
    return host.graders.refusals(asked) if asked else []


def texts(row: Experience | Task) -> list[str]:
    """Return the row's canonical prompt, and then every other text that training would show but its last answers."""
    found: list[str] = []
    for task, turns in _shown(row):
        system = [turn.content for turn in task.prompt if turn.role == "system"]
        spoken = tuple(turn for turn in task.prompt if turn.role != "system")
        last = _last(turns)
        said = (*spoken, *(Message(turn.role, turn.text) for turn in turns[:last]))
        found += [canonical(task.prompt), *system, *(turn.content for turn in said), *_runs(said)]
    return list(dict.fromkeys(found))


def replies(row: Experience | Task) -> list[str]:
    """Return the answers a row ends with: nothing is asked after them."""
    return [turn.text for _, turns in _shown(row) for turn in turns[_last(turns) :]]


def _shown(row: Experience | Task) -> list[tuple[Task, tuple[Turn, ...]]]:
    if isinstance(row, Task):
        return [(row, ())]
    attempts = [row.attempt] if row.rejected is None else [row.attempt, row.rejected]
    return [(attempt.task, attempt.solution.turns) for attempt in attempts]


def _last(turns: Sequence[Turn]) -> int:
    """Return the place after the last turn that is no assistant's."""
    return max((place + 1 for place, turn in enumerate(turns) if turn.role != "assistant"), default=0)


def _runs(said: Messages) -> list[str]:
    """Return the canonical text of turns in a row that end with a user's: a prompt of several may stand in others."""
    ends = [end for end, turn in enumerate(said, 1) if turn.role == "user"]
    return [canonical(said[start:end]) for end in ends for start in range(max(0, end - MOST_TURNS), end - 1)]


def _task(row: Experience | Task) -> Task:
    return row.attempt.task if isinstance(row, Experience) else row


@dataclass(frozen=True, slots=True)
class DoorKeeper:
    """Answers a running update that brings rows of its own: they pass the same door. Other questions go on."""

    host: Host
    other: Ask
    cycle: int

    def __call__(self, what: str, payload: Any) -> object:
        """Return the places of the rows that may be trained on, or the other's answer."""
        if what == "admit":
            return looked_at(self.host, adapter(Experiences).validate_python(payload), self.cycle).kept
        if what == "admit_tasks":
            return looked_at(self.host, adapter(Tasks).validate_python(payload), self.cycle).kept
        answer: object = self.other(what, payload)
        return answer
