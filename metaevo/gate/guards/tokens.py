"""The operator's own limit on tokens per answer: ``[protect] answer_tokens``, a ratio to the reference generation."""

from metaevo.gate.case import Case
from metaevo.gate.evidence import GuardFinding
from metaevo.gate.exam import GateExam

NAME = "answer_tokens"


def tokens(exam: GateExam, case: Case) -> GuardFinding | None:
    """Return the ratio to the reference on the same items; None where the operator set no limit."""
    if case.answer_tokens is None:
        return None
    items = exam.items(case.cells, exam.at.cycle, exam.rules.screen_items, "guards")
    pairs = exam.pairs("guard_tokens", 0, case.candidate, case.reference, items)
    ratio = pairs.tokens[0] / max(1, pairs.tokens[1])
    return GuardFinding(ratio <= case.answer_tokens, {"ratio": ratio, "limit": case.answer_tokens})
