"""Decide about one candidate: PROMOTE, HOLD or REJECT, each with numbers. The order is fixed, nothing trades.

(a) gain in two steps, (b) only then protection, (c) cells can only reject, (d) guards may veto.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from metaevo.gate.exam import Confirmed, Exam
from metaevo.gate.gain import confirm, screen
from metaevo.gate.guards.cost import cost
from metaevo.gate.guards.servable import servable
from metaevo.gate.protection import harmed_cells, needed_items, protect
from metaevo.ledger.confirmations import open_confirmation
from metaevo.types import Decision, Generation, Reason, Verdict
from objectives.goals import Rule
from objectives.statistics import Interval, Wealth, level
from objectives.types import Cell


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be decided. ``held`` is where an earlier confirmation of the same candidate stopped."""

    candidate: Generation
    parent: Generation
    reference: Generation
    cells: tuple[Cell, ...]
    rules: tuple[Rule, ...]
    dev_gain: float
    epoch: int
    manifest: str
    answer_tokens: float | None = None
    """The operator's limit on tokens per answer, as a ratio to the reference generation."""
    held: Confirmed | None = None
    stream: int | None = None
    """The cycle whose item stream a held candidate goes on with."""
    protection_items: int = 0
    """Items each protected rule takes at least: what a held candidate was found to need."""
    pinned: bool = False
    approval: bool = False


def decide(exam: Exam, case: Case) -> Verdict:
    """Return the verdict on a candidate.

    Raises:
        Void: Too many items could not be graded: no verdict, nothing is promoted, the error spent stays spent.
    """
    numbers: dict[str, Any] = {"cells": [str(cell) for cell in case.cells], "protects_nothing": not case.rules}
    if case.held is None:
        found = screen(exam, case.candidate, case.parent, case.cells, case.dev_gain)
        numbers["screen"] = interval(found) | {"bar": exam.rules.screen_bar}
        if found.mean < exam.rules.screen_bar:
            return _verdict(exam, "reject", [Reason("screen failed", numbers["screen"])], numbers)
    row = open_confirmation(
        exam.host.ledger,
        epoch=case.epoch,
        candidate=case.candidate.id,
        cycle=exam.at.cycle,
        cells=numbers["cells"],
        level=partial(level, exam.rules.alpha),
    )
    stream = exam.at.cycle if case.stream is None else case.stream
    gained = confirm(exam, case.candidate, case.parent, case.cells, row.level, cycle=stream, before=case.held)
    numbers["gain"] = gain_numbers(gained, row.k, row.level)
    numbers["stream"] = stream
    if not gained.proven:
        return _unproven(exam, gained, row.level, numbers)
    return _protected(exam, case, numbers)


def _unproven(exam: Exam, gained: Confirmed, error: float, numbers: dict[str, Any]) -> Verdict:
    """Return hold: the gain is not proven, and no harm either. The next cycle asks whether more items are worth it."""
    facts = numbers["gain"] | {"needed": gained.wealth.needed(1 / error), "limit": exam.rules.max_items}
    return _verdict(exam, "hold", [Reason("needs more items", facts)], numbers)


def _protected(exam: Exam, case: Case, numbers: dict[str, Any]) -> Verdict:
    """Return the verdict on a candidate whose gain is proven."""
    kept, p_values = protect(exam, case.candidate, case.parent, case.reference, case.rules, case.protection_items)
    numbers["kept"] = [asdict(line) for line in kept]
    bad_cells = harmed_cells(p_values)
    numbers["cells_harmed"] = {cell: p_values[cell] for cell in bad_cells}
    rejections = [Reason("ability harmed", asdict(line)) for line in kept if line.state == "harmed"]
    rejections += [Reason("cell harmed", {"cell": cell, "p": p_values[cell]}) for cell in bad_cells]
    if not rejections:
        numbers["guards"] = guards = _guards(exam, case)
        rejections = [Reason(f"guard {name}", found) for name, found in guards.items() if not found["ok"]]
    if rejections:
        return _verdict(exam, "reject", rejections, numbers)
    undecided = [line for line in kept if line.state == "open"]
    if undecided:
        more = max(needed_items(line, exam.rules) for line in undecided)
        reasons = [Reason("needs more items", asdict(line) | {"needed": more}) for line in undecided]
        return _verdict(exam, "hold", reasons, numbers)
    if case.pinned or case.approval:
        why = {"pinned": case.pinned, "approval": case.approval}
        return _verdict(exam, "hold", [Reason("awaits approval", why)], numbers)
    return _verdict(exam, "promote", [Reason("gain proven", numbers["gain"])], numbers)


def _guards(exam: Exam, case: Case) -> dict[str, dict[str, Any]]:
    """Return what each guard found."""
    few = exam.items(case.cells, exam.at.cycle, exam.rules.screen_items, "guards")
    found = {
        "servable artifact": servable(exam, case.candidate, case.manifest),
        "cost per answer": cost(exam, case.candidate, case.parent, few),
    }
    if case.answer_tokens is not None:
        pairs = exam.pairs("guard_tokens", 0, case.candidate, case.reference, few)
        ratio = pairs.tokens[0] / max(1, pairs.tokens[1])
        found["answer_tokens"] = {"ok": ratio <= case.answer_tokens, "ratio": ratio, "limit": case.answer_tokens}
    return found


def _verdict(exam: Exam, decision: Decision, reasons: Sequence[Reason], numbers: dict[str, Any]) -> Verdict:
    return Verdict(decision, tuple(reasons), exam.rules.hash, numbers)


def interval(found: Interval) -> dict[str, Any]:
    """Return an interval as plain numbers."""
    return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.n}


def gain_numbers(gained: Confirmed, k: int, error: float) -> dict[str, Any]:
    """Return what a confirmation showed, as plain numbers."""
    facts = interval(gained.wealth.gain()) | {"k": k, "level": error, "threshold": 1 / error, "place": gained.place}
    facts["squares"] = gained.wealth.squares
    if gained.p_value is not None:
        return facts | {"test": "exact paired", "p": gained.p_value}
    return facts | {"test": "betting", "e_value": gained.wealth.e_value, "logs": list(gained.wealth.logs)}


def resumed(numbers: dict[str, Any]) -> Confirmed:
    """Return where a held confirmation stopped, as its verdict recorded it."""
    gain = numbers["gain"]
    n = int(gain["n"])
    if "p" in gain:
        wealth = Wealth(n=n, total=gain["mean"] * n, squares=gain["squares"])
        return Confirmed(wealth, int(gain["place"]), proven=gain["p"] <= gain["level"], p_value=gain["p"])
    wealth = Wealth(tuple(gain["logs"]), n, gain["mean"] * n, gain["squares"])
    return Confirmed(wealth, int(gain["place"]), proven=gain["e_value"] >= gain["threshold"])
