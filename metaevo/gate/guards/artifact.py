"""A candidate that cannot be served is not promoted: reloaded from disk it must answer as when it was published."""

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.errors import EngineError, MetaevoError
from metaevo.gate.case import Case
from metaevo.gate.evidence import GuardFinding
from metaevo.gate.exam import GateExam
from metaevo.ledger.steps import StepName
from metaevo.runtime.answering import measure_mark
from metaevo.runtime.manifest import Manifest

NAME = "servable artifact"
TOLERANCE = 1e-4
"""Nats a probe's log-probability may differ after reloading (merging an adapter in fp32 costs about 1e-6)."""


def artifact(exam: GateExam, case: Case) -> GuardFinding:
    """Return whether the artifact verifies, loads, and answers its probes as when it was published."""
    mark = fingerprint(measure_mark(exam.host, case.candidate, ()), case.manifest)
    key = exam.at.key(StepName.GUARD_ARTIFACT)
    return exam.journal.step(key, mark, lambda: _found(exam, case), kind=GuardFinding)


def _found(exam: GateExam, case: Case) -> GuardFinding:
    known = Manifest.from_data(exam.host.store.get(case.manifest)).probes
    try:
        now = exam.engine.probe(case.candidate)
    except EngineError:
        raise
    except MetaevoError as error:
        return GuardFinding(False, {"why": f"does not load: {error}"})
    if not known:
        return GuardFinding(bool(now), {"why": "answers" if now else "gives no answer to any probe"})
    same = [a.text == b.text for a, b in zip(now, known, strict=True)]
    worst = max((abs((a.logprob or 0.0) - (b.logprob or 0.0)) for a, b in zip(now, known, strict=True)), default=0.0)
    fine = all(same) and worst <= TOLERANCE
    return GuardFinding(fine, {"probes": len(same), "same": sum(same), "worst_nats": worst})
