"""Is the gain real? A screen that spends no error, then one confirmation at a level the ledger gives.

A betting e-process looked at after every block, each item's cell drawn at random by fixed weights. Pass and fail on
finite cells alone: the exact paired test on the whole fixed sample, screened on dev items, for its gate items are few.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from metaevo.gate.case import Case
from metaevo.gate.evidence import Bets, ToldCell, ToldGain
from metaevo.gate.exam import Confirmed, GateExam
from metaevo.gate.stopping import is_pass_or_fail, standing
from metaevo.types import Generation, Tasks
from objectives.betting import Wealth, confidence_sequence
from objectives.statistics import Interval, exact_paired
from objectives.types import Cell


@dataclass(frozen=True, slots=True)
class Question:
    """What a confirmation asks: which two, on which cells by which weights, in which cycle's stream of items."""

    candidate: Generation
    parent: Generation
    cells: tuple[Cell, ...]
    weights: tuple[float, ...]
    cycle: int
    partial: bool = False
    """Whether scores between 0 and 1 are known there."""


def question(exam: GateExam, case: Case) -> Question:
    """Return what is asked about a candidate; its weights are fixed by this."""
    stream = exam.at.cycle if case.stream is None else case.stream
    weights = exam.weights(case.cells)
    return Question(case.candidate, case.parent, case.cells, weights, cycle=stream, partial=case.partial)


def screen(exam: GateExam, asked: Question, dev_gain: float) -> Interval:
    """Return the screen's estimate of the gain. Finite cells alone are screened by the trial's dev estimate."""
    if all(exam.finite(cell) for cell in asked.cells):
        return Interval(dev_gain, dev_gain, dev_gain, 0)
    tasks = _joined(_first(_units(exam, asked), exam.rules.screen_items))
    return Wealth().bet(exam.pairs("screen", 0, asked.candidate, asked.parent, tasks).bets()).gain()


def confirm(exam: GateExam, asked: Question, error: float, before: Confirmed | None = None) -> Confirmed:
    """Return where the confirmation stands after at most ``max_items`` further items.

    A held candidate goes on in the stream it began, with items it has not seen.
    """
    finite = all(exam.finite(cell) for cell in asked.cells)
    if finite and not asked.partial and (before is None or before.p_value is not None):
        found = _exact(exam, asked, error)
        if found is not None:
            return found
    units, most = _units(exam, asked), exam.rules.max_items
    skipped = 0 if finite else len(_first(_units(exam, asked), exam.rules.screen_items))
    wealth, place = (before.wealth, before.place) if before else (Wealth(), skipped)
    rest, items, position = islice(units, place, None), 0, 0
    seen = before.seen if before else {}
    stands = standing(wealth, error, most)
    while stands == "open" and items < most:
        block = _first(rest, min(exam.rules.block, most - items))
        if not block:
            break
        found_ = exam.pairs("confirm", position, asked.candidate, asked.parent, _joined(block))
        seen = _more(seen, found_.counted())
        wealth = wealth.bet(found_.bets())
        place, items, position = place + len(block), items + sum(map(len, block)), position + 1
        exam.on_items(items, most)
        stands = standing(wealth, error, most - items)
    return Confirmed(wealth, place, proven=stands == "proven", futile=stands == "futile", seen=seen)


def _exact(exam: GateExam, asked: Question, error: float) -> Confirmed | None:
    """Return what the exact test says, None where partial credit or groups came: then it is no test of the mean."""
    tasks = _joined(list(_units(exam, asked)))
    found = exam.pairs("exact", 0, asked.candidate, asked.parent, tasks)
    if any(task.group for task in tasks) or not is_pass_or_fail(Counter(found.differences)):
        return None
    p = exact_paired(found.differences)
    return Confirmed(Wealth().bet(found.differences), len(tasks), p <= error, p, seen=found.counted())


def unread(exam: GateExam, asked: Question, place: int) -> int | None:
    """Return how many bets there are beyond a place of the stream; None where it has no end."""
    if not all(exam.finite(cell) for cell in asked.cells):
        return None
    return sum(1 for _ in islice(_units(exam, asked), place, None))


def tell(exam: GateExam, asked: Question, gained: Confirmed) -> ToldGain | None:
    """Return what is told of a proven gain, and is no part of the decision.

    Fresh items, their number fixed beforehand; where a cell is finite there are none, and the interval is a confidence
    sequence, which holds whenever one stopped; None where a hold of an older gate kept no differences for it.
    """
    if any(exam.finite(cell) for cell in asked.cells):
        if not gained.seen:
            return None
        found_ = {name: confidence_sequence(counts) for name, counts in gained.seen.items()}
        cells = {name: ToldCell(*interval) for name, interval in found_.items() if name}
        return ToldGain(*found_[""], test="confidence sequence", cells=cells)
    tasks = _joined(_first(_units(exam, asked, "told"), exam.rules.told_items))
    found = exam.pairs("told", 0, asked.candidate, asked.parent, tasks)
    cells = {str(cell): ToldCell(*Wealth().bet(values).gain()) for cell, values in found.by_cell().items()}
    return ToldGain(*Wealth().bet(found.bets()).gain(), test="fresh items", cells=cells)


def to_keep(exam: GateExam, asked: Question, gained: Confirmed) -> Bets | None:
    """Return the differences that a hold keeps, to tell of the gain later; None where fresh items will tell of it."""
    if not any(exam.finite(cell) for cell in asked.cells):
        return None
    return {name: tuple(sorted(counts.items())) for name, counts in gained.seen.items()}


def _more(seen: Mapping[str, Counter[float]], more: Mapping[str, Counter[float]]) -> dict[str, Counter[float]]:
    return {name: seen.get(name, Counter()) + more.get(name, Counter()) for name in {**seen, **more}}


def _units(exam: GateExam, asked: Question, use: str = "gain") -> Iterator[Tasks]:
    return exam.units(asked.cells, asked.weights, asked.cycle if use == "gain" else exam.at.cycle, use)


def _first(units: Iterator[Tasks], items: int) -> list[Tasks]:
    """Return the next bets until they have so many items, fewer at the end."""
    taken: list[Tasks] = []
    while sum(map(len, taken)) < items and (unit := next(units, None)) is not None:
        taken.append(unit)
    return taken


def _joined(units: Sequence[Tasks]) -> Tasks:
    return tuple(task for unit in units for task in unit)
