"""In which order a protected rule's items are asked: rows that are counted whole first, then whole rounds of its cells.

A round holds as many items of a cell as in any other round, so that what was asked by the end of one weighs the
cells the same, whenever that is. Cells weigh the same but for finite ones that would run dry: they weigh by their rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from metaevo.gate.exam import GateExam
from metaevo.types import Tasks
from objectives.goals import Rule
from objectives.types import Cell, Task

FEW = 32
"""Gate items below which a finite cell would make rounds too long to stop in time, where others have many more."""
MANY = 8
"""How many times as many that is."""
ALONE = 128
"""Items that a cell which weighs less than others is asked, if it has them: its own margin is judged by them alone."""


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """How the cells of a rule are asked: ``each`` are a sampled cell's items per round."""

    sampled: tuple[Cell, ...]
    each: tuple[int, ...]
    whole: tuple[Cell, ...]
    few: tuple[Cell, ...]
    """Cells with too few items to be part of the ability's mean; they stand for themselves (`harms`)."""
    rounds: int
    """Rounds of one cycle."""
    last: int | None
    """Rounds there are in all; None: without an end."""

    @property
    def light(self) -> tuple[Cell, ...]:
        """Return the cells whose loss the ability's mean hides: without a part in it, or with a smaller one."""
        most = max(self.each, default=0)
        return self.few + tuple(cell for cell, n in zip(self.sampled, self.each, strict=True) if n < most)

    def left(self, done: int) -> int | None:
        """Return the items there are beyond ``done`` rounds; None without an end."""
        return None if self.last is None else (self.last - done) * sum(self.each)


def plan(rule: Rule, rows: dict[Cell, int | None], whole: Sequence[Cell], most: int) -> RoundPlan:
    """Return the plan of a rule whose cells have so many gate items (None: endless), ``most`` of them a cycle."""
    rest = [cell for cell in rule.cells if cell not in whole]
    fair = max(1, most // max(1, len(rest)))
    have = {cell: min(fair, fair if rows[cell] is None else rows[cell] or 0) for cell in rest}
    top = max(have.values(), default=0)
    few = tuple(cell for cell in rest if have[cell] < FEW and have[cell] * MANY < top)
    sampled = tuple(cell for cell in rest if cell not in few)
    if not sampled or not top:
        return RoundPlan((), (), tuple(whole), tuple(rest), rounds=0, last=0)
    rounds = max(1, min(have[cell] for cell in sampled))
    room = max(1, most // max(1, rounds))
    each = _shared([have[cell] // rounds for cell in sampled], room)
    ends = [(rows[cell] or 0) // n for cell, n in zip(sampled, each, strict=True) if rows[cell] is not None]
    return RoundPlan(sampled, each, tuple(whole), few, rounds=rounds, last=min(ends, default=None))


def _shared(each: list[int], room: int) -> tuple[int, ...]:
    """Return at least one item each, the larger ones cut until a round holds at most ``room``."""
    cut = max(each)
    while cut > 1 and sum(min(n, cut) for n in each) > room:
        cut -= 1
    return tuple(max(1, min(n, cut)) for n in each)


@dataclass(slots=True)
class Reading:
    """The items of one rule in one cycle, drawn as far as they are needed; what a hold has read is not read again."""

    exam: GateExam
    plan: RoundPlan
    begun: int
    """Rounds that earlier cycles asked: of finite cells these items were read."""
    lists: dict[Cell, list[Task]] = field(default_factory=dict)

    def round(self, number: int) -> list[Task]:
        """Return the items of the cycle's ``number``-th round; fewer where a cell has no more."""
        found: list[Task] = []
        for cell, n in zip(self.plan.sampled, self.plan.each, strict=True):
            first = number * n + (self.begun * n if self.exam.finite(cell) else 0)
            found += self._drawn(cell, first + n)[first : first + n]
        return found

    def counted_whole(self) -> Tasks:
        """Return all rows of the cells that are counted whole."""
        return tuple(task for cell in self.plan.whole for task in self.exam.rows(cell))

    def alone(self, cell: Cell, rounds: int) -> Tasks:
        """Return the items a light cell is asked for its own margin, beyond those of so many ``rounds`` in all."""
        each = dict(zip(self.plan.sampled, self.plan.each, strict=True)).get(cell, 0)
        return tuple(self._drawn(cell, ALONE)[rounds * each : ALONE])

    def _drawn(self, cell: Cell, n: int) -> list[Task]:
        known = self.lists.get(cell, [])
        if len(known) < n:
            known = list(self.exam.items((cell,), self.exam.at.cycle, max(n, 2 * len(known), 64), "protection"))
            self.lists[cell] = known
        return known
