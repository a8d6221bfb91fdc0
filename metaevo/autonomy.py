"""The survey's autonomy level (arXiv:2404.14387, section 2.2), computed from what a run really had fixed."""

from sqlmodel import col, select

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import CycleRow, GenerationRow, RecipeRow
from metaevo.outlook import objective_of


def autonomy(ledger: Ledger, presets: set[tuple[str, ...]]) -> str:
    """Return the survey's level of what really was fixed: L, M or H, computed from the ledger alone.

    ``presets`` are the module combinations that people wrote. H: the objective changed at least once for a recorded
    reason and at least one promoted recipe is a combination of modules that no preset has. With the objective pinned
    the run is M, with the recipe pinned as well L. A run that has not yet shown H is called M.
    """
    with ledger.read() as session:
        rows = session.exec(select(CycleRow).order_by(col(CycleRow.number))).all()
        pinned_objective = any((row.fixed or {}).get("objective") for row in rows)
        pinned_recipe = any((row.fixed or {}).get("recipe") for row in rows)
        objectives = [objective_of(row.objective) for row in rows if row.objective]
        used = {
            row.recipe
            for row in session.exec(select(GenerationRow))
            if row.recipe and row.status in ("champion", "retired")
        }
        modules = {tuple(r.modules) for r in session.exec(select(RecipeRow)) if r.hash in used}
    if pinned_recipe:
        return "L"
    changed = len({(o.ability, o.direction, o.cells) for o in objectives}) > 1
    if not pinned_objective and changed and modules - presets:
        return "H"
    return "M"
