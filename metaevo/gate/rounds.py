"""In which order a protected rule's items are asked: rows that are counted whole first, then whole rounds of its cells.

A round holds as many items of a cell as in any other round, so that what was asked by the end of one weighs the
cells the same, whenever that is. Cells weigh the same but for finite ones that would run dry: they weigh by their rows.
A group of items (one world, one document) is one item here: it is asked whole, and it is one bet.
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
EVERY = 20_000
"""More gate items than any finite cell has."""
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
    lists: dict[Cell, list[Tasks]] = field(default_factory=dict)

    def round(self, number: int) -> list[Task]:
        """Return the items of the cycle's ``number``-th round; fewer where a cell has no more."""
        found: list[Tasks] = []
        for cell, n in zip(self.plan.sampled, self.plan.each, strict=True):
            first = number * n + (self.begun * n if self.exam.finite(cell) else 0)
            found += self._drawn(cell, first + n)[first : first + n]
        return [task for group in found for task in group]

    def rounds(self, first: int, last: int, want: int) -> tuple[Tasks, int]:
        """Return so many items in whole rounds from ``first``, before ``last``; and how many rounds they are."""
        tasks: list[Task] = []
        done = 0
        while first + done < last and (not done or len(tasks) < want):
            tasks += self.round(first + done)
            done += 1
        return tuple(tasks), done

    def counted_whole(self) -> Tasks:
        """Return all rows of the cells that are counted whole."""
        return tuple(task for cell in self.plan.whole for task in self.exam.rows(cell))

    def alone(self, cell: Cell, rounds: int) -> Tasks:
        """Return the items a light cell is asked for its own margin, beyond those of so many ``rounds`` in all."""
        each = dict(zip(self.plan.sampled, self.plan.each, strict=True)).get(cell, 0)
        return tuple(task for group in self._drawn(cell, ALONE)[rounds * each : ALONE] for task in group)

    def items_a_bet(self) -> float:
        """Return how many items one bet takes, by those drawn so far: 1 where no items share a group."""
        drawn = [group for groups in self.lists.values() for group in groups]
        return sum(map(len, drawn)) / len(drawn) if drawn else 1.0

    def _drawn(self, cell: Cell, n: int) -> list[Tasks]:
        known = self.lists.get(cell, [])
        if self.exam.finite(cell):
            self.lists[cell] = known = known or fixed_groups(self.exam, cell)
        want, had = max(n, 2 * len(known), 64), -1
        while len(known) < n:
            drawn = self.exam.items((cell,), self.exam.at.cycle, want, "protection")
            if len(drawn) == had or self.exam.finite(cell):
                break
            self.lists[cell] = known = together(drawn, whole=False)
            want, had = 2 * want, len(drawn)
        return known


def fixed_groups(exam: GateExam, cell: Cell) -> list[Tasks]:
    """Return all gate items of a finite cell, those of a group together."""
    return together(exam.items((cell,), exam.at.cycle, EVERY, "protection"), whole=True)


def together(tasks: Tasks, *, whole: bool) -> list[Tasks]:
    """Return the items one bet at a time: those of a group together, at the place of its first.

    Unless the list is the ``whole`` of its cell, a group ends where another item follows, and the last one may go on:
    so what was returned stays the same however far is drawn.
    """
    found: dict[str, list[Task]] = {}
    last = ""
    for place, task in enumerate(tasks):
        name = task.group or f"\0{place}"
        if whole or name == last or name not in found:
            found.setdefault(name, []).append(task)
            last = name
    if not whole and tasks and tasks[-1].group:
        found.pop(last)
    return [tuple(group) for group in found.values()]
