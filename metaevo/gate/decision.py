"""Decide about one candidate: PROMOTE, HOLD or REJECT, each with numbers. The order is fixed, nothing trades.

(a) gain in two steps, (b) only then protection, (c) cells can only reject, (d) guards may veto.
"""

from collections.abc import Sequence
from dataclasses import replace

from metaevo.gate.case import Case
from metaevo.gate.evidence import (
    Approval,
    BettingGain,
    Evidence,
    ExactGain,
    MoreItems,
    ProtectionFinding,
    Reason,
    ReasonCode,
    Screen,
    Verdict,
)
from metaevo.gate.exam import Confirmed, GateExam
from metaevo.gate.gain import confirm, screen
from metaevo.gate.guards import ask_guards
from metaevo.gate.protection import check_protection, stops
from metaevo.ledger.confirmations import Asked, Confirmation, end_confirmation, open_confirmation
from metaevo.types import Decision
from objectives.betting import Wealth


def decide(exam: GateExam, case: Case) -> Verdict:
    """Return the verdict on a candidate.

    Raises:
        Void: Too many items could not be graded: no verdict, nothing is promoted, the error spent stays spent.
    """
    found = Evidence(
        tuple(str(cell) for cell in case.cells), protects_nothing=not case.rules, secret_seed=exam.rules.secret_seed
    )
    if case.held is None:
        bar = exam.rules.screen_bar
        first = screen(exam, case.candidate, case.parent, case.cells, case.dev_gain)
        seen = Screen(first.mean, first.low, first.high, first.n, bar)
        found = replace(found, screen=seen)
        if seen.mean < bar:
            return _verdict(exam, "reject", [Reason(ReasonCode.SCREEN_FAILED, seen)], found)
    row = _opened(exam, case)
    stream = exam.at.cycle if case.stream is None else case.stream
    gained = case.held  # what is proven stays proven: only what is open is asked again
    if gained is None or not gained.proven:
        gained = confirm(exam, case.candidate, case.parent, case.cells, row.level, cycle=stream, before=gained)
    end_confirmation(exam.host.ledger, row, "proven" if gained.proven else "open", gained.place, gained.wealth.log_e)
    gain = gain_numbers(gained, row)
    found = replace(found, gain=gain, stream=stream)
    if not gained.proven:  # no harm is proven either: the next cycle asks whether more items are worth it
        most = exam.rules.max_items
        left = 0 if isinstance(gain, ExactGain) else None
        more = MoreItems(gain, gained.wealth.needed(1 / row.level), most, most, left)
        return _verdict(exam, "hold", [Reason(ReasonCode.MORE_ITEMS, more)], found)
    return _protected(exam, case, found, gain)


def _opened(exam: GateExam, case: Case) -> Confirmation:
    """Return the confirmation's row, which is written before its first item is looked at."""
    share = 1 / len(case.cells)
    asked = Asked(
        candidate=case.candidate.id,
        parent=case.parent.id,
        epoch=case.epoch,
        cells=tuple(map(str, case.cells)),
        weights=(share,) * len(case.cells),
    )
    sizes = {str(cell): exam.texts(cell) for cell in case.cells}
    finite = {cell: texts for cell, texts in sizes.items() if texts is not None}
    rules = exam.rules
    return open_confirmation(
        exam.host.ledger, asked, cycle=exam.at.cycle, alpha=rules.alpha, finite=finite, reuse=rules.reuse
    )


def _protected(exam: GateExam, case: Case, found: Evidence, gain: BettingGain | ExactGain) -> Verdict:
    """Return the verdict on a candidate whose gain is proven."""
    seen = check_protection(exam, case)
    kept = stops(seen.lines)
    harmed = {harm.cell: harm.e_value or 0.0 for harm in seen.cells_harmed}
    found = replace(found, kept=seen.lines, cells_harmed=harmed)
    rejections = [Reason(ReasonCode.ABILITY_HARMED, line) for line in kept if line.state == "harmed"]
    rejections += [Reason(ReasonCode.CELL_HARMED, harm) for harm in seen.cells_harmed]
    if not rejections:
        guards = ask_guards(exam, case)
        found = replace(found, guards=guards)
        rejections = [Reason(ReasonCode.GUARD, said, name) for name, said in guards.items() if not said.ok]
    if rejections:
        return _verdict(exam, "reject", rejections, found)
    undecided = [line for line in kept if line.state == "open"]
    if undecided:
        reasons = [Reason(ReasonCode.MORE_ITEMS, _more_of(exam, line)) for line in undecided]
        return _verdict(exam, "hold", reasons, replace(found, outcomes=seen.outcomes))
    if case.pinned or case.approval:
        awaited = Approval(pinned=case.pinned, approval=case.approval)
        found = replace(found, outcomes=seen.outcomes)
        return _verdict(exam, "hold", [Reason(ReasonCode.AWAITS_APPROVAL, awaited)], found)
    return _verdict(exam, "promote", [Reason(ReasonCode.GAIN_PROVEN, gain)], found)


def _more_of(exam: GateExam, line: ProtectionFinding) -> MoreItems:
    return MoreItems(line, line.needed, most=exam.rules.protect_items, left=line.left)


def _verdict(exam: GateExam, decision: Decision, reasons: Sequence[Reason], found: Evidence) -> Verdict:
    return Verdict(decision, tuple(reasons), exam.rules.hash, found)


def gain_numbers(gained: Confirmed, row: Confirmation) -> BettingGain | ExactGain:
    """Return what a confirmation showed at its level of error."""
    seen, wealth, error = gained.wealth.gain(), gained.wealth, row.level
    common = (seen.mean, seen.low, seen.high, seen.n, row.k, error, 1 / error, gained.place, wealth.squares)
    if gained.p_value is not None:
        return ExactGain(*common, p=gained.p_value, promotions=row.promotions, budget=row.budget)
    return BettingGain(*common, e_value=wealth.e_value, logs=wealth.logs, promotions=row.promotions, budget=row.budget)


def resume(gain: BettingGain | ExactGain) -> Confirmed:
    """Return where a held confirmation stopped, as its verdict recorded it."""
    if isinstance(gain, ExactGain):
        wealth = Wealth(n=gain.n, total=gain.mean * gain.n, squares=gain.squares)
        return Confirmed(wealth, gain.place, proven=gain.p <= gain.level, p_value=gain.p)
    wealth = Wealth(gain.logs, gain.n, gain.mean * gain.n, gain.squares)
    return Confirmed(wealth, gain.place, proven=gain.e_value >= gain.threshold)
