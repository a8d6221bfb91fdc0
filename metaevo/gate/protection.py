"""Was anything protected lost? Each rule against parent and reference, looked at after whole rounds of its cells.

The candidate answers an item once, whoever it is compared with. A rule ends when each of its lines is decided, when
one is harmed, or with its items; a held candidate goes on with what was seen, on new items. A cell that weighs less
than others, or is too small to weigh anything, is asked on its own before the rule is kept: its margin can reject.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metaevo.gate.case import Case
from metaevo.gate.evidence import CellHarm, ProtectionFinding, RuleOutcomes
from metaevo.gate.exam import GateExam
from metaevo.gate.lines import (
    ALONE,
    CANDIDATE,
    CHAMPION,
    Frame,
    Series,
    champion_below,
    e_holm,
    harms,
    judge,
    judge_floor,
)
from metaevo.gate.rounds import Reading, RoundPlan, fixed_groups, plan
from metaevo.types import Generation, Tasks
from objectives.goals import Rule
from objectives.types import Cell

PARENT, REFERENCE, BEST = "parent", "reference", "best"
FIRST = 256
"""Items of a first look: a gross loss shows in them."""
LEAST = 128
"""Items between two looks, at least: each is a journal row."""
SPARE = 1.1
"""What is asked beyond the items that the pace so far says are needed."""
BLOCKS = 10_000
"""Blocks that one rule's steps are numbered apart by."""


@dataclass(frozen=True, slots=True)
class Protection:
    """How all rules fared; ``outcomes`` is what a held candidate goes on from."""

    lines: tuple[ProtectionFinding, ...]
    cells_harmed: tuple[CellHarm, ...]
    outcomes: tuple[RuleOutcomes, ...]


def check_protection(exam: GateExam, case: Case) -> Protection:
    """Return how every rule fared; what is harmed ends it, for nothing that comes after can undo a loss."""
    before = {kept.what: kept for kept in case.outcomes}
    number_of_cells = sum(len(rule.cells) for rule in case.rules)
    lines: list[ProtectionFinding] = []
    seen: list[CellHarm] = []
    kept: list[RuleOutcomes] = []
    for number, rule in enumerate(case.rules):
        found = _Examined(
            exam, case, rule, number=number, cells=number_of_cells, series=Series.of(before.get(rule.what))
        )
        lines += found.run()
        seen += found.harms()
        kept.append(found.series.kept(rule.what))
        harmed = e_holm(seen, number_of_cells, exam.rules.odds)
        if harmed or any(line.state == "harmed" for line in stops(lines)):
            return Protection(tuple(lines), harmed, tuple(kept))
    return Protection(tuple(lines), (), tuple(kept))


def stops(lines: Sequence[ProtectionFinding]) -> list[ProtectionFinding]:
    """Return the lines a promotion needs: those against the best of former times only move the reference."""
    return [line for line in lines if not line.against.startswith(BEST)]


@dataclass(slots=True)
class _Examined:
    """One rule in one examination."""

    exam: GateExam
    case: Case
    rule: Rule
    number: int
    cells: int
    """Cells that are protected in all: what e-Holm corrects for."""
    series: Series

    def run(self) -> list[ProtectionFinding]:
        """Ask items until every line is decided, one is harmed, or the cycle's items end; return the lines."""
        made = self._plan()
        reading = Reading(self.exam, made, self.series.rounds)
        block, done, asked, most = 0, 0, 0, self.exam.rules.protect_items
        last = made.rounds if made.last is None else min(made.rounds, max(0, made.last - self.series.rounds))
        if made.whole and not self.series.rounds and not self.series.outcomes:
            self._ask(block, reading.counted_whole(), self._others(), whole=True)
            block += 1
        lines = self._judged(made, reading)
        width = max(1, sum(made.each))
        want = FIRST
        while done < last and asked < most and self._goes_on(lines):
            tasks, rounds = reading.rounds(done, last, min(want, most - asked))
            self._ask(block, tasks, self._open_ones(lines) if block else self._others())
            block, done, asked = block + 1, done + rounds, asked + len(tasks)
            self.series.rounds += rounds
            lines = self._judged(made, reading)
            self.exam.on_items(asked, max(asked, min(most, last * width)))
            pace = [math.ceil(SPARE * (line.needed or 4 * LEAST)) for line in lines if line.state == "open"]
            want = min(max([LEAST, *pace]), max(FIRST, asked // 2))  # an early pace says little
        if all(line.state == "kept" for line in stops(lines)):
            self._ask_alone(block, made, reading)
        return lines

    def _ask_alone(self, block: int, made: RoundPlan, reading: Reading) -> None:
        """Ask what is left of the light cells, once: a whole cell may be lost and its ability's mean be kept."""
        seen = self.series.of_series(ALONE)
        tasks = [
            task for cell in made.light if str(cell) not in seen for task in reading.alone(cell, self.series.rounds)
        ]
        if tasks and not e_holm(self.harms(), self.cells, self.exam.rules.odds):
            self._ask(block, tuple(tasks), {ALONE: self.case.parent})

    def harms(self) -> list[CellHarm]:
        """Return the evidence that each cell lost more than its margin, against the parent."""
        return harms(self.rule.cell_margin, self.series.of_series(PARENT), self.series.of_series(ALONE))

    def _goes_on(self, lines: Sequence[ProtectionFinding]) -> bool:
        if any(line.state == "harmed" for line in stops(lines)):
            return False
        if e_holm(self.harms(), self.cells, self.exam.rules.odds):
            return False
        return any(line.state == "open" for line in lines)

    def _plan(self) -> RoundPlan:
        exam = self.exam
        rows: dict[Cell, int | None] = {}
        whole: list[Cell] = []
        for cell in self.rule.cells:
            if exam.whole(cell):
                whole.append(cell)
            rows[cell] = len(fixed_groups(exam, cell)) if exam.finite(cell) else None
        return plan(self.rule, rows, whole, exam.rules.protect_items)

    def _others(self) -> dict[str, Generation]:
        """Return whom the rule is compared with, by name; nobody twice."""
        found = {PARENT: self.case.parent}
        if self.case.reference.id not in (self.case.parent.id, self.case.candidate.id):
            found[REFERENCE] = self.case.reference
        best = self.case.best.get(self.rule.what)
        if best is not None and best.id not in {self.case.candidate.id, *(one.id for one in found.values())}:
            found[f"{BEST} {best.id}"] = best
        return found

    def _open_ones(self, lines: Sequence[ProtectionFinding]) -> dict[str, Generation]:
        """Return those of the others whose line is not kept yet; a floor needs all of them to the end."""
        kept = {line.against for line in lines if line.state == "kept"}
        return {name: one for name, one in self._others().items() if name not in kept or self._floor()}

    def _ask(self, block: int, tasks: Tasks, others: Mapping[str, Generation], *, whole: bool = False) -> None:
        """Ask these items of the candidate and of the others, and count what came: one outcome a group.

        Rows that are counted ``whole`` count one by one, for what is said is said of them.
        """
        found = self.exam.panel("protect", self.number * BLOCKS + block, (self.case.candidate, *others.values()), tasks)
        mine, theirs = found.scores[0], dict(zip(others, found.scores[1:], strict=True))
        groups = {} if whole else {task.id: task.group for task in tasks if task.group}
        bets: dict[tuple[str, str], list[int]] = {}
        for place, (cell, task) in enumerate(zip(map(str, found.cells), found.tasks, strict=True)):
            bets.setdefault((cell, groups.get(task) or f"\0{place}"), []).append(place)
        for (cell, _), places in bets.items():
            own = _mean_at(places, mine)
            for name, scores in theirs.items():
                self.series.add(name, cell, own - _mean_at(places, scores))
            if self._floor() and PARENT in theirs:
                self.series.add(CANDIDATE, cell, own)
                self.series.add(CHAMPION, cell, _mean_at(places, theirs[PARENT]))

    def _floor(self) -> bool:
        return self.rule.floor is not None

    def _frame(self, made: RoundPlan, items: float) -> Frame:
        sampled, whole = tuple(map(str, made.sampled)), tuple(map(str, made.whole))
        left = made.left(self.series.rounds)
        left = None if left is None else round(left * items)
        return Frame(self.rule, sampled, whole, self.exam.rules.odds, left=left, items=items)

    def _judged(self, made: RoundPlan, reading: Reading) -> list[ProtectionFinding]:
        """Return every line of the rule as it stands."""
        frame, rule = self._frame(made, reading.items_a_bet()), self.rule
        if rule.floor is None:
            return [judge(frame, self.series, name, rule.margin or 0.0) for name in self._others()]
        own = judge_floor(frame, self.series, rule.floor)
        if own.state == "kept" or not champion_below(frame, self.series, rule.floor):
            return [own]
        against = [judge(frame, self.series, name, rule.slack) for name in self._others()]
        return [replace(line, what=f"{rule.what} (below its floor)") for line in against]


def _mean_at(places: Sequence[int], scores: Sequence[float]) -> float:
    return sum(scores[place] for place in places) / len(places)
