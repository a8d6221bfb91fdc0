"""One examination: paired items nobody has seen, in an order fixed before the candidate had a name.

Items of endless cells come from a stream seeded by H(secret, cycle); finite cells have one fixed sample, used a
limited number of times. Every block of a confirmation is one journal row, so a killed examination goes on.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from metaevo.artifacts.bodies import Shelf
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.protocol import Engine
from metaevo.errors import MetaevoError
from metaevo.gate.rules import GateRules
from metaevo.ledger.journal import At, Journal
from metaevo.line.answer import examined, measure_mark
from metaevo.line.host import Host
from metaevo.types import Generation, Tasks
from objectives.statistics import Wealth
from objectives.types import Cell, Report, Split, Task

FIXED = 1
"""Stream seed of a finite cell's fixed sample."""


class Void(MetaevoError):
    """Too many items could not be graded: the decision is void and promotes nothing."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two generations did on the same items, in order; items with a None are counted and left out."""

    cells: tuple[Cell, ...]
    differences: tuple[float, ...]
    nones: int
    tokens: tuple[int, int]
    """Mean-able token sums: (candidate, parent)."""
    tasks: tuple[str, ...] = ()
    scores: tuple[float, float] = (0.0, 0.0)
    """Sums of the scores: (candidate, parent)."""

    def by_cell(self) -> dict[Cell, list[float]]:
        """Return the differences of each cell."""
        found: dict[Cell, list[float]] = {}
        for cell, difference in zip(self.cells, self.differences, strict=True):
            found.setdefault(cell, []).append(difference)
        return found


@dataclass(slots=True)
class Exam:
    """The instruments of one examination."""

    host: Host
    journal: Journal
    engine: Engine
    at: At
    rules: GateRules
    secret: str
    shelf: Shelf = field(init=False)
    on_items: Callable[[int, int], None] = lambda _done, _most: None

    def __post_init__(self) -> None:
        self.shelf = self.journal.shelf()

    def items(self, cells: Sequence[Cell], cycle: int, n: int, use: str = "gain") -> Tasks:
        """Return ``n`` whole gate items of the cells, taken in turn; gain and protection have streams of their own."""
        each = -(-n // max(1, len(cells)))
        seed = gate_seed(self.secret, cycle, use)
        wanted = [
            (cell.environment, cell.level, Split.GATE, FIXED if self.finite(cell) else seed, 0, each) for cell in cells
        ]
        drawn = self.host.graders.draw_many(wanted)
        return interleaved([list(found.tasks) for found in drawn], n)

    def finite(self, cell: Cell) -> bool:
        """Return whether a cell has a fixed sample."""
        return self.host.environments[cell.environment].texts[cell.level] is not None

    def pairs(self, step: str, position: int, candidate: Generation, parent: Generation, tasks: Tasks) -> Pairs:
        """Return the paired outcomes on these items, as one journalled step.

        Raises:
            Void: More than the allowed share could not be graded.
        """
        marks = (measure_mark(self.host, candidate, tasks), measure_mark(self.host, parent, tasks))
        mark = fingerprint(marks, self.rules.hash)

        def run() -> Pairs:
            new, new_tokens = examined(self.host, self.engine, candidate, tasks, Split.GATE)
            old, old_tokens = examined(self.host, self.engine, parent, tasks, Split.GATE)
            return paired(tasks, new, old, (new_tokens, old_tokens))

        found: Pairs = self.journal.step(
            self.at.key(step, position), mark, run, kind=Pairs, shelf=self.shelf, counts=_counts
        )
        if found.nones > self.rules.none_share * max(1, len(tasks)):
            raise Void(
                f"{found.nones} of {len(tasks)} items could not be graded, more than {self.rules.none_share:.0%}"
            )
        return found


def gate_seed(secret: str, cycle: int, use: str = "gain") -> int:
    """Return H(secret, cycle): what the exam items of a cycle are drawn from. 48 bits."""
    text = f"{use}/{cycle}".encode()
    return int.from_bytes(hashlib.blake2b(text, key=secret.encode()[:64], digest_size=6).digest(), "big")


def commitment(secret: str, cycle: int) -> str:
    """Return a hash of the cycle's exam seed, written before anything is trained."""
    return fingerprint("commitment", gate_seed(secret, cycle))


def interleaved(lists: Sequence[list[Task]], n: int) -> Tasks:
    """Return up to ``n`` items, one of each list in turn; the order of a test is fixed by this."""
    taken: list[Task] = []
    for row in range(max((len(items) for items in lists), default=0)):
        taken += [items[row] for items in lists if row < len(items)]
    return tuple(taken[:n])


def paired(tasks: Tasks, new: Report, old: Report, tokens: tuple[int, int]) -> Pairs:
    """Return the paired differences of two reports on the same items."""
    cells, differences, used, sums = [], [], [], [0.0, 0.0]
    for task, a, b in zip(tasks, new.outcomes, old.outcomes, strict=True):
        if a.score is None or b.score is None:
            continue
        cells.append(task.cell)
        differences.append(a.score - b.score)
        used.append(task.id)
        sums[0] += a.score
        sums[1] += b.score
    return Pairs(tuple(cells), tuple(differences), len(tasks) - len(cells), tokens, tuple(used), (sums[0], sums[1]))


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Where a confirmation stands: its wealth, its place in the item order, and whether it proved the gain."""

    wealth: Wealth
    place: int
    proven: bool
    p_value: float | None = None


def _counts(pairs: Pairs) -> dict[str, int]:
    return {"items": len(pairs.differences), "tokens": sum(pairs.tokens), "nones": pairs.nones}
