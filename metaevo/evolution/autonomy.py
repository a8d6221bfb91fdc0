"""The survey's autonomy level (arXiv:2404.14387, section 2.2), computed from what a run really had fixed."""

from metaevo.evolution.objective_history import objective_of
from metaevo.ledger.cycles import ever_pinned, objectives
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.trials import promoted_other_than
from objectives.types import Cell, Direction


def autonomy(ledger: Ledger, presets: set[tuple[str, ...]]) -> str:
    """Return the survey's level of what really was fixed: L, M or H, computed from the ledger alone.

    ``presets`` are the module combinations that people wrote. H: the objective changed at least once for a recorded
    reason and at least one promoted recipe is a combination of modules that no preset has. With the objective pinned
    the run is M, with the recipe pinned as well L. A run that has not yet shown H is called M.
    """
    pinned = ever_pinned(ledger)
    if "recipe" in pinned:
        return "L"
    if "objective" not in pinned and _changed(ledger) and promoted_other_than(ledger, presets):
        return "H"
    return "M"


def _changed(ledger: Ledger) -> bool:
    """Return whether two cycles pursued different objectives; the first ones usually tell."""
    known = set[tuple[str, Direction, tuple[Cell, ...]]]()
    for data in objectives(ledger):
        objective = objective_of(data)
        known.add((objective.ability, objective.direction, objective.cells))
        if len(known) > 1:
            return True
    return False
