"""Choose the weakest open cells of the weakest ability, whatever they promise: the simplest rule, for comparison.

The survey's "diagnose the deficit, raise it" (arXiv:2404.14387, section 3) without any notion of progress.
"""

from metaevo import History, Objective
from metaevo.history import closed_because, nothing


def weakest_first(history: History) -> Objective:
    """Return an objective over up to four cells of the ability with the lowest score; none where nothing is open."""
    open_ = [cell for cell in history.cells if not closed_because(cell)]
    if not open_:
        return nothing("weakest_first", history.cells)
    worst = min(open_, key=lambda c: ((c.score or 0.0) / c.weight, str(c.cell)))
    same = [c for c in open_ if (c.ability, c.direction, c.finite) == (worst.ability, worst.direction, worst.finite)]
    chosen = sorted(same, key=lambda c: (c.score or 0.0, str(c.cell)))[:4]
    reason = f"{worst.cell} scores {worst.score:.2f}, the lowest of {len(open_)} open cells"
    return Objective(worst.ability, worst.direction, tuple(sorted(c.cell for c in chosen)), reason, "weakest_first")
