"""Fresh inputs for a proposal: attempts with known truth, tasks and cells that its author has not seen.

Drawn from the package's own environments, train split only, by a stream that only the proposal's source decides. A
home's own graded train attempts may be given instead (`Samples`): then the kernel is tried on what it is meant for.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from metaevo.history import CellState
from metaevo.kernels import CONTRACTS
from metaevo.registry.generated_rows import attempt_row, cell_row, experience_rows, is_visible, task_row
from metaevo.types import Attempt, Experience, Experiences, Feedback, Turn, solved
from objectives.environment import Program, from_file, identity, messages
from objectives.finder import BUILT_IN
from objectives.splits import NEWEST, task_id
from objectives.types import Cell, Direction, Json, Split, Task

FIELD = ("addition", "extremes", "letter_shift", "modular_sum", "reversal", "sorting")
"""The environments that are drawn from: one right answer a task, and wrong ones that a model really gives."""
TASKS = 6
"""Tasks of a level."""
WRONG = 3
"""Different wrong answers of a task, at most."""
TIMES = (1, 1, 2, 4)
"""How often an answer is given: agreement among samples is a signal of its own."""
LIST = 12
"""Records in a list that is to be ordered."""
CELLS = 6
"""Lists of cells, and how many cells the shortest has."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What a kernel is tried on. An experience's first feedback is the environment's verdict: 1 right, 0 wrong."""

    experiences: Experiences
    cells: tuple[tuple[CellState, ...], ...] = ()

    @property
    def seen(self) -> Experiences:
        """Return what a kernel may see of them."""
        return tuple(row for row in self.experiences if is_visible(row.attempt))

    @property
    def truth(self) -> list[float]:
        """Return whether each of those is right."""
        return [row.feedback[0].score or 0.0 if row.feedback else 0.0 for row in self.seen]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Return each task once, in order."""
        return tuple({row.attempt.task.id: row.attempt.task for row in self.experiences}.values())

    def apart(self, tasks: int) -> "tuple[Samples, Samples]":
        """Return the experiences of the first ``tasks`` tasks, and those of all others."""
        first = {task.id for task in self.tasks[:tasks]}
        mine = tuple(row for row in self.experiences if row.attempt.task.id in first)
        rest = tuple(row for row in self.experiences if row.attempt.task.id not in first)
        return Samples(mine, self.cells), Samples(rest, self.cells)

    def shown(self, kind: str) -> tuple[Mapping[str, Json], ...]:
        """Return the rows as a kernel of a kind sees them, each as a dict of its fields."""
        contract = CONTRACTS[kind]
        calls = self.arguments(contract.slot, kind)
        if set(contract.takes) == set(contract.fields):
            return tuple(dict(zip(contract.takes, call, strict=True)) for call in calls)
        return tuple(row for (given,) in calls for row in (given if contract.many else [given]))

    def arguments(self, slot: str, function: str) -> list[list[Json]]:
        """Return the arguments of a kernel's first function, as it will be given them."""
        if function == "score":
            return [attempt_row(row.attempt) for row in self.seen]
        if function == "choose":
            return [[[cell_row(cell) for cell in cells]] for cells in self.cells]
        if slot == "tasks":
            rows = [task_row(task) for task in self.tasks]
        else:
            rows = experience_rows(
                self.seen if slot == "refinement" else [Experience(row.attempt) for row in self.seen]
            )
        if function == "order":
            return [[rows[first : first + LIST]] for first in range(0, len(rows), LIST)]
        return [[row] for row in rows]


def fresh_samples(source: str) -> Samples:
    """Return the inputs that this source decides: nobody knows them before it is written."""
    seed = int.from_bytes(hashlib.blake2b(source.encode("utf-8", "replace"), digest_size=4).digest(), "big")
    rng = Random(seed)
    rows = [row for name in FIELD for row in _rows(from_file(name, BUILT_IN / f"{name}.py"), seed, rng)]
    rng.shuffle(rows)
    return Samples(tuple(rows), tuple(_cells(rng, CELLS + i) for i in range(CELLS)))


def _rows(program: Program, seed: int, rng: Random) -> Iterator[Experience]:
    """Yield right and wrong attempts at train tasks of two levels, some of them several times."""
    if program.make is None:
        return
    for level in program.levels[1:4:2]:
        found = 0
        for index in range(64):
            row = program.make(seed, index, level)
            text = identity(row)
            if NEWEST.split(program.name, text) is not Split.TRAIN:
                continue
            found += 1
            task = Task(task_id(program.name, text), program.name, level, Split.TRAIN, messages(row["prompt"]))
            right = str(row["answer"])
            wrong = [right[:-1], *(mistake(**row) for mistake in program.mistakes.values())]
            for answer in dict.fromkeys((right, *wrong[:WRONG])):
                for number in range(rng.choice(TIMES)):
                    yield _attempted(task, answer, program.score(row, answer) or 0.0, number, rng)
            if found == TASKS:
                break


def _attempted(task: Task, text: str, score: float, number: int, rng: Random) -> Experience:
    """Return a graded attempt; one in twenty has no score, one in ten is tagged: rows may be like that."""
    attempt = Attempt(task, solved((Turn("assistant", text, "sample", tokens=len(text) + 1),), number))
    known = score if rng.random() >= 0.05 else None
    tags = (rng.choice(("replayed", "rehearsed")),) if rng.random() < 0.1 else ()
    return Experience(attempt, (Feedback(score, "pass" if score >= 1 else "fail"),), known, tags=tags)


def _cells(rng: Random, count: int) -> tuple[CellState, ...]:
    made = []
    for i in range(count):
        score, finite = rng.uniform(0.05, 0.9), rng.random() < 0.4
        cell = Cell(FIELD[i % len(FIELD)], 1 + i // len(FIELD))
        made.append(
            CellState(
                cell=cell,
                ability="math" if cell.environment in ("addition", "modular_sum") else "other",
                direction=Direction.PERFORMANCE,
                score=score,
                low=max(0.0, score - 0.1),
                high=min(1.0, score + 0.1),
                n=64,
                latent=min(1.0, score + rng.uniform(0.0, 0.4)),
                chance=0.05,
                finite=finite,
                trend=rng.uniform(-0.1, 0.1),
                tries=rng.randrange(3),
                progress=rng.choice((None, rng.uniform(-0.05, 0.2))),
                provable=0.05,
            )
        )
    return tuple(made)
