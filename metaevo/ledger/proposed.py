"""What the journal knows of kernels: which were proposed, what their trials showed."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.steps import StepName
from metaevo.ledger.tables import STEP, JsonMap


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One finished journal row: what it counted, and where its body is (`metaevo.ledger.journal.read_body`)."""

    cycle: int
    module: str
    counts: JsonMap
    digest: str | None
    body: bytes | None


def proposal_counts(ledger: Ledger, before: int) -> list[JsonMap]:
    """Return what the rows of all proposals of earlier cycles say of them."""
    query = select(STEP.c.counts).where(STEP.c.step == StepName.KERNEL, STEP.c.cycle < before)
    with ledger.look() as connection:
        return list(connection.execute(query.order_by(STEP.c.cycle, STEP.c.position)).scalars())


def measured_kernels(ledger: Ledger, before: int, most: int) -> list[StepRecord]:
    """Return the newest trials of kernels in earlier cycles, oldest cycle first."""
    mine = (STEP.c.step == StepName.KERNEL_TRIAL, STEP.c.cycle < before, STEP.c.digest.is_not(None))
    newest = _STEPS.where(*mine).order_by(STEP.c.cycle.desc(), STEP.c.position).limit(most)
    with ledger.look() as connection:
        return [StepRecord(*row) for row in reversed(connection.execute(newest).all())]


def proposals_of(ledger: Ledger, cycles: Collection[int]) -> list[StepRecord]:
    """Return the finished proposals of some cycles, in their order."""
    mine = (STEP.c.step == StepName.KERNEL, STEP.c.cycle.in_(sorted(cycles)), STEP.c.digest.is_not(None))
    with ledger.look() as connection:
        return [
            StepRecord(*row) for row in connection.execute(_STEPS.where(*mine).order_by(STEP.c.cycle, STEP.c.position))
        ]


_STEPS = select(STEP.c.cycle, STEP.c.module, STEP.c.counts, STEP.c.digest, STEP.c.body)
