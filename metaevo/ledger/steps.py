"""The names of journal steps, and the phase of a cycle each belongs to. Declared here and nowhere else.

The names are keys of every ledger there is and part of every step's random stream: none may ever change.
"""

from enum import StrEnum


class Phase(StrEnum):
    """What a cycle is doing, as people are told."""

    DIAGNOSE = "diagnose"
    OBJECTIVE = "objective"
    SEARCH = "search"
    EXAMINE = "examine"
    DECIDE = "decide"


class StepName(StrEnum):
    """Every name a step may have. A trial's own steps are named after their slot."""

    DIAGNOSE = "diagnose"
    OBJECTIVE = "objective"
    POOL = "pool"
    """A random stream only, without a row: which items the trials stand on."""
    ARCHIVE = "archive"
    KERNEL_ROWS = "kernel.rows"
    KERNEL = "kernel"
    """One proposal of a kernel, and what admission said of it."""
    KERNELS = "kernels"
    KERNEL_TRIAL = "kernel.trial"
    """What the trial of one kernel showed against the same recipe without it."""
    SEARCH_ASK = "search.ask"
    SEARCH_RANDOM = "search.random"
    """A random stream only, without a row: which trial is promoted at random."""
    SCORE = "score"
    TASKS = "tasks"
    SOLUTIONS = "solutions"
    FEEDBACK = "feedback"
    REFINEMENT = "refinement"
    STABILITY = "stability"
    DOOR = "door"
    """Which rows may be trained on."""
    UPDATE = "update"
    CONSOLIDATION = "consolidation"
    EVALUATION = "evaluation"
    SCREEN = "screen"
    CONFIRM = "confirm"
    EXACT = "exact"
    """The exact paired test on the whole sample of finite cells."""
    TOLD = "told"
    """What is told of a proven gain: measured on fresh items, no part of the decision."""
    PROTECT = "protect"
    GUARD_COST = "guard_cost"
    GUARD_TOKENS = "guard_tokens"
    GUARD_ARTIFACT = "guard_artifact"
    ANCHOR = "anchor"

    @property
    def phase(self) -> Phase:
        """Return the phase of a step of the cycle's own."""
        return _PHASES[self]


_PHASES = {
    StepName.DIAGNOSE: Phase.DIAGNOSE,
    StepName.OBJECTIVE: Phase.OBJECTIVE,
    StepName.POOL: Phase.SEARCH,
    StepName.ARCHIVE: Phase.SEARCH,
    StepName.KERNEL_ROWS: Phase.SEARCH,
    StepName.KERNEL: Phase.SEARCH,
    StepName.KERNELS: Phase.SEARCH,
    StepName.KERNEL_TRIAL: Phase.SEARCH,
    StepName.SEARCH_ASK: Phase.SEARCH,
    StepName.SEARCH_RANDOM: Phase.SEARCH,
    StepName.SCORE: Phase.SEARCH,
    StepName.TASKS: Phase.SEARCH,
    StepName.SOLUTIONS: Phase.SEARCH,
    StepName.FEEDBACK: Phase.SEARCH,
    StepName.REFINEMENT: Phase.SEARCH,
    StepName.STABILITY: Phase.SEARCH,
    StepName.DOOR: Phase.SEARCH,
    StepName.UPDATE: Phase.SEARCH,
    StepName.CONSOLIDATION: Phase.SEARCH,
    StepName.EVALUATION: Phase.SEARCH,
    StepName.SCREEN: Phase.EXAMINE,
    StepName.CONFIRM: Phase.EXAMINE,
    StepName.EXACT: Phase.EXAMINE,
    StepName.TOLD: Phase.EXAMINE,
    StepName.PROTECT: Phase.EXAMINE,
    StepName.GUARD_COST: Phase.EXAMINE,
    StepName.GUARD_TOKENS: Phase.EXAMINE,
    StepName.GUARD_ARTIFACT: Phase.EXAMINE,
    StepName.ANCHOR: Phase.DECIDE,
}


def phase_of(step: str, trial: int) -> Phase:
    """Return the phase that a journal row belongs to: whatever a trial does is the search's.

    Raises:
        ValueError: No step of a cycle has that name.
    """
    return Phase.SEARCH if trial else StepName(step).phase
