"""Decide about one candidate: PROMOTE, HOLD or REJECT, each with numbers. The order is fixed, nothing trades.

(a) gain in two steps, (b) only then protection, (c) cells can only reject, (d) guards may veto.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from metaevo.gate.case import Case
from metaevo.gate.evidence import (
    Approval,
    Bets,
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
from metaevo.gate.exam import Confirmed, GateExam, Void
from metaevo.gate.gain import Question, confirm, question, screen, tell, to_keep, unread
from metaevo.gate.guards import ask_guards
from metaevo.gate.protection import check_protection, stops
from metaevo.gate.stopping import none_limit, screened
from metaevo.ledger.confirmations import Asked, Confirmation, Ended, end_confirmation, open_confirmation
from metaevo.types import Decision
from objectives.betting import Wealth


def decide(exam: GateExam, case: Case) -> Verdict:
    """Return the verdict on a candidate.

    Raises:
        Void: Too many items could not be graded: no verdict, nothing is promoted, the error spent stays spent.
        SampleUsedUp: A finite cell's sample served as often as it may.
    """
    asked = question(exam, case)
    found = Evidence(
        tuple(str(cell) for cell in case.cells),
        protects_nothing=not case.rules,
        secret_seed=exam.rules.secret_seed,
        weights=asked.weights,
    )
    limit = none_limit(exam.rules.none_share, [rule.margin for rule in case.rules if rule.margin is not None])
    if case.held is None:
        bar = exam.rules.screen_bar
        first = screen(exam, asked, case.dev_gain)
        seen = Screen(first.mean, first.low, first.high, first.n, bar)
        found = replace(found, screen=seen)
        if not screened(seen.mean, bar):
            exam.check_gradable(limit)
            return _verdict(exam, "reject", [Reason(ReasonCode.SCREEN_FAILED, seen)], found)
    row = _opened(exam, case, asked)
    gained = case.held if case.held_k == row.k else None
    if gained is None or not gained.proven:  # what is proven stays proven: only what is open is asked again
        gained = confirm(exam, asked, row.level, gained)
    try:
        verdict = _confirmed(exam, case, row, gained, replace(found, stream=asked.cycle))
        exam.check_gradable(limit)
    except Void:
        end_confirmation(exam.host.ledger, row, "void", gained.place, gained.wealth.log_e)
        raise
    ended: Ended = "proven" if gained.proven else "unproven" if gained.futile or gained.p_value else "open"
    end_confirmation(exam.host.ledger, row, ended, gained.place, gained.wealth.log_e)
    if verdict.decision == "hold":
        return replace(verdict, evidence=replace(verdict.evidence, bets=to_keep(exam, asked, gained)))
    if verdict.decision == "promote":
        return replace(verdict, evidence=replace(verdict.evidence, told=tell(exam, asked, gained)))
    return verdict


def _confirmed(exam: GateExam, case: Case, row: Confirmation, gained: Confirmed, found: Evidence) -> Verdict:
    """Return the verdict on a candidate whose confirmation stands where it stands."""
    gain = gain_numbers(gained, row)
    found = replace(found, gain=gain)
    if gained.proven:
        return _protected(exam, case, found, gain)
    if gained.futile:
        more = MoreItems(gain, None, exam.rules.max_items)
        return _verdict(exam, "reject", [Reason(ReasonCode.MORE_ITEMS, more)], found)
    # no harm is proven either: the next cycle asks whether more items are worth it
    most = exam.rules.max_items
    left = unread(exam, question(exam, case), gained.place)
    more = MoreItems(gain, gained.wealth.needed(1 / row.level), most, most, left)
    return _verdict(exam, "hold", [Reason(ReasonCode.MORE_ITEMS, more)], found)


def _opened(exam: GateExam, case: Case, asked: Question) -> Confirmation:
    """Return the confirmation's row, which is written before its first item is looked at."""
    about = Asked(
        candidate=case.candidate.id,
        parent=case.parent.id,
        epoch=case.epoch,
        cells=tuple(map(str, asked.cells)),
        weights=asked.weights,
    )
    sizes = {str(cell): exam.texts(cell) for cell in case.cells}
    finite = {cell: texts for cell, texts in sizes.items() if texts is not None}
    marks = {str(cell): exam.marks(cell) for cell in case.cells}
    rules, at = exam.rules, exam.at
    return open_confirmation(
        exam.host.ledger, about, cycle=at.cycle, alpha=rules.alpha, finite=finite, reuse=rules.reuse, marks=marks
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


def resume(gain: BettingGain | ExactGain, bets: Bets | None = None) -> Confirmed:
    """Return where a held confirmation stopped, as its verdict recorded it and the ``bets`` it kept."""
    seen = {name: Counter(dict(counts)) for name, counts in (bets or {}).items()}
    if isinstance(gain, ExactGain):
        wealth = Wealth(n=gain.n, total=gain.mean * gain.n, squares=gain.squares)
        return Confirmed(wealth, gain.place, proven=gain.p <= gain.level, p_value=gain.p, seen=seen)
    wealth = Wealth(gain.logs, gain.n, gain.mean * gain.n, gain.squares)
    return Confirmed(wealth, gain.place, proven=gain.e_value >= gain.threshold, seen=seen)
