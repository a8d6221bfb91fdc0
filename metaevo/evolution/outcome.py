"""What a cycle came to: its objective, its trials, its candidate, the gate's verdict, and why it ended as it did."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from metaevo.gate.evidence import Verdict
from metaevo.types import CycleEnd, Decision, Generation, Tokens, Trial
from objectives.types import Objective, Report

Outcome: TypeAlias = Literal["promote", "hold", "reject", "none", "void", "abandoned"]

NOTHING = Tokens()
ENDINGS: dict[Decision, CycleEnd] = {
    "promote": CycleEnd.PROMOTED,
    "hold": CycleEnd.INCONCLUSIVE,
    "reject": CycleEnd.LIMIT_OF_RECIPE,
}
"""Why a decided cycle promoted, or did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One decision, or the reason why there is none. ``why`` says to people what ``ending`` says to code."""

    number: int
    outcome: Outcome
    ending: CycleEnd
    why: str = ""
    objective: Objective | None = None
    trials: tuple[Trial, ...] = ()
    candidate: Generation | None = None
    verdict: Verdict | None = None
    reports: tuple[Report, ...] = ()
    spent: Tokens = NOTHING
    """What went through the engines for it, from diagnosis to anchor."""

    @property
    def tokens(self) -> int:
        """Return what it is charged."""
        return self.spent.total

    @classmethod
    def decided(
        cls,
        number: int,
        candidate: Generation,
        verdict: Verdict,
        *,
        objective: Objective | None = None,
        trials: tuple[Trial, ...] = (),
        reports: tuple[Report, ...] = (),
    ) -> "Cycle":
        """Return a cycle that ended with a verdict."""
        ending = ENDINGS[verdict.decision]
        reasons = ", ".join(reason.label for reason in verdict.reasons)
        return cls(
            number=number,
            outcome=verdict.decision,
            ending=ending,
            why="" if ending is CycleEnd.PROMOTED else f"{ending}: {reasons}",
            objective=objective,
            trials=trials,
            candidate=candidate,
            verdict=verdict,
            reports=reports,
        )

    @classmethod
    def nothing(
        cls,
        number: int,
        ending: CycleEnd,
        sentence: str,
        *,
        objective: Objective | None = None,
        trials: tuple[Trial, ...] = (),
    ) -> "Cycle":
        """Return a cycle that had no candidate to decide about."""
        why = f"{ending}: {sentence}"
        return cls(number=number, outcome="none", ending=ending, why=why, objective=objective, trials=trials)

    @classmethod
    def void(cls, number: int, ending: CycleEnd, why: str) -> "Cycle":
        """Return a cycle of which nothing counts."""
        return cls(number=number, outcome="void", ending=ending, why=why)
