"""What a candidate was trained on is looked at once more: a row that may not be trained on is a veto.

The door stands before every update; this finds what came past it, or became an exam item since.
"""

from metaevo.artifacts.bodies import BodyStore
from metaevo.gate.case import Case
from metaevo.gate.evidence import GuardFinding
from metaevo.gate.exam import GateExam
from metaevo.runtime.door import refusals, texts
from metaevo.runtime.manifest import Manifest
from metaevo.types import Experience, Experiences

NAME = "contamination"
MOST_STEPS = 64
"""Generations between a candidate and its parent that are followed: a recipe has fewer."""


def contamination(exam: GateExam, case: Case) -> GuardFinding:
    """Return how many rows between the parent and the candidate may not be trained on, and the first of them."""
    rows = _trained_on(exam, case)
    found = [(why, row) for why, row in zip(refusals(exam.host, rows), rows, strict=True) if why]
    if not found:
        return GuardFinding(True, {"rows": len(rows)})
    why, row = found[0]
    return GuardFinding(False, {"rows": len(rows), "leaked": len(found), "why": why, "first": texts(row)[0][:120]})


def _trained_on(exam: GateExam, case: Case) -> list[Experience]:
    """Return the rows of every update between the parent and the candidate."""
    host, found = exam.host, list[Experience]()
    manifest = Manifest.from_data(host.store.get(case.manifest))
    for _ in range(MOST_STEPS):
        if manifest.data is not None:
            read: Experiences = BodyStore(host.store).read(manifest.data, None)
            found += read
        if manifest.start in (None, manifest.id, case.parent.id):
            break
        below = host.lineage.row(manifest.start).manifest
        if below is None:
            break
        manifest = Manifest.from_data(host.store.get(below))
    return found
