"""An exam whose outcomes are drawn: what protection decides, and how often, without a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from metaevo.gate.case import Case
from metaevo.gate.evidence import RuleOutcomes
from metaevo.gate.exam import GateExam, Panel
from metaevo.gate.protection import Protection, check_protection
from metaevo.gate.settings import GateRules
from metaevo.ledger.journal import At
from metaevo.types import Generation
from objectives.goals import Rule
from objectives.types import Cell, Message, Split, Task

NEW, OLD, BASE = (Generation(f"g00000{i}", None, {"policy": str(i)}) for i in (2, 1, 0))
ASKED = (Message("user", "q"),)


def tasks_of(cell: Cell, n: int = 5000, world: int = 1) -> tuple[Task, ...]:
    """Return tasks of one cell, so many of each world."""
    groups = [f"{cell} {i // world}" if world > 1 else None for i in range(n)]
    return tuple(
        Task(f"{cell}/{i}", cell.environment, cell.level, Split.GATE, ASKED, group=group)
        for i, group in enumerate(groups)
    )


KNOWN: dict[tuple[Cell, int], tuple[Task, ...]] = {}


@dataclass
class DrawnExam:
    """Per cell a true difference from every older generation, and how often two answers differ at all.

    ``rows`` names the finite cells and their gate items, ``censuses`` the protect-only ones among them.
    """

    rng: Random
    gains: Mapping[Cell, float] = field(default_factory=dict)
    discordant: float = 0.1
    rules: GateRules = field(default_factory=GateRules)
    rows_of: Mapping[Cell, int] = field(default_factory=dict)
    censuses: frozenset[Cell] = frozenset()
    skill: float = 0.8
    sampled: bool = False
    """Answers are drawn anew for every generation, all of one skill: an identical candidate under sampled decoding."""
    unreadable: float = 0.0
    """Share of answers that cannot be read: 0, on either side alone."""
    world: int = 1
    """Items that share a world, and with it what all answer."""
    at: At = field(default_factory=lambda: At(4))
    asked: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list)

    def on_items(self, _done: int, _most: int) -> None:
        return

    def finite(self, cell: Cell) -> bool:
        return cell in self.rows_of

    def whole(self, cell: Cell) -> bool:
        return cell in self.censuses

    def rows(self, cell: Cell) -> tuple[Task, ...]:
        return self.items((cell,), 0, 10**6)

    def items(self, cells: Sequence[Cell], _cycle: int, n: int, _use: str = "gain") -> tuple[Task, ...]:
        (cell,) = cells
        if (cell, self.world) not in KNOWN:
            KNOWN[cell, self.world] = tasks_of(cell, world=self.world)
        known = KNOWN[cell, self.world]
        return known[: min(n, self.rows_of.get(cell, n))]

    def panel(self, step: str, position: int, generations: Sequence[Generation], tasks: Sequence[Task]) -> Panel:
        self.asked.append((step, position, tuple(task.id for task in tasks)))
        rows: list[tuple[float, ...]] = []
        for before, task in zip((None, *tasks), tasks, strict=False):
            same = before is not None and task.group is not None and task.group == before.group
            rows.append(rows[-1] if same else self._one(task.cell, len(generations)))
        scores = tuple(tuple(row[i] for row in rows) for i in range(len(generations)))
        return Panel(tuple(task.cell for task in tasks), tuple(task.id for task in tasks), scores, 0, 0)

    def _one(self, cell: Cell, many: int) -> tuple[float, ...]:
        if self.sampled:
            right = self.skill * (1 - self.unreadable)
            return tuple(float(self.rng.random() < right) for _ in range(many))
        gain = self.gains.get(cell, 0.0)
        share = max(self.discordant, abs(gain))
        if self.rng.random() >= share:
            same = 1.0 if self.rng.random() < self.skill else 0.0
            return (same,) * many
        mine = 1.0 if self.rng.random() < (1 + gain / share) / 2 else 0.0
        return (mine, *(1.0 - mine for _ in range(many - 1)))


def protected(
    exam: DrawnExam,
    rules: Sequence[Rule],
    outcomes: tuple[RuleOutcomes, ...] = (),
    reference: Generation = OLD,
    **more: Any,
) -> Protection:
    """Return what protection finds of a candidate whose gain is proven."""
    case = Case(NEW, OLD, reference, (), tuple(rules), 0.1, 1, "", outcomes=outcomes, **more)
    return check_protection(cast(GateExam, exam), case)


def kept(found: Protection) -> bool:
    """Return whether nothing stands against a promotion."""
    return not found.cells_harmed and all(line.state == "kept" for line in found.lines)


def over_nights(
    exams: Sequence[DrawnExam], rules: Sequence[Rule], reference: Generation = OLD
) -> tuple[bool, int, int]:
    """Return whether all was kept in the end, after how many nights, and how many items were asked."""
    outcomes: tuple[RuleOutcomes, ...] = ()
    nights = 0
    for exam in exams:
        nights += 1
        found = protected(exam, rules, outcomes, reference)
        outcomes = found.outcomes
        if kept(found) or any(line.state == "harmed" for line in found.lines) or found.cells_harmed:
            break
    return kept(found), nights, sum(len(tasks) for exam in exams for _, _, tasks in exam.asked)
