"""Choose what to raise next: repair what was lost, then what promises most for its cost, and leave what is flat.

Follows E5 of the survey reading: f_E emits E_{t+1} (arXiv:2404.14387, sections 2.2 and 7). Promise of a cell is
what its own samples already solve beyond its greedy answers, both corrected for chance; tries in vain halve it,
measured progress tempers hope. Learning progress as a motive: Oudeyer et al. 2007.
"""

from collections import defaultdict
from typing import Annotated

from metaevo import Cell, History, Knob, Objective
from metaevo.history import USEFUL, CellState, closed_because, nothing

DROPPED = 0.05


def learning_progress(
    history: History,
    *,
    cells: Annotated[int, Knob(1, 4, least=1, most=4)] = 4,
    hope: Annotated[float, Knob(0.01, 0.2, least=0.0, most=1.0)] = 0.15,
) -> Objective:
    """Return the objective with the largest promise, without cells where nothing is open.

    ``hope`` is what a cell is worth whose samples show nothing, as a share of what it lacks: a skill that was lost
    altogether is tried before a polish elsewhere.
    """
    lost = [
        cell
        for cell in history.cells
        if cell.drop > DROPPED and cell.weight > 0 and not cell.parked and cell.provable <= USEFUL
    ]
    if lost:
        worst = max(lost, key=lambda cell: (cell.drop, str(cell.cell)))
        chosen = _together(worst, lost, cells)
        text = f"recover what was lost: {worst.cell} is {100 * worst.drop:.1f} points below its best generation"
        return Objective(worst.ability, worst.direction, chosen, text, "learning_progress")
    groups: dict[tuple[str, str, bool], list[tuple[float, CellState]]] = defaultdict(list)
    for cell in history.cells:
        promise = _promise(cell, hope)
        if promise > 0:
            groups[cell.ability, cell.direction.value, cell.finite].append((promise, cell))
    if not groups:
        return nothing("learning_progress", history.cells)
    sums = {key: sum(p for p, _ in _best(group, cells)) for key, group in groups.items()}
    key = max(sums, key=lambda k: (sums[k], k))
    best = _best(groups[key], cells)
    runner = max((k for k in sums if k != key), key=lambda k: (sums[k], k), default=None)
    return Objective(
        best[0][1].ability, best[0][1].direction, _cells(best), _why(best, sums, key, runner), "learning_progress"
    )


def _promise(cell: CellState, hope: float) -> float:
    """Return the gain one can expect from practising a cell, weighted by the goals; 0 where it is not open."""
    if closed_because(cell) or cell.score is None:
        return 0.0
    room = cell.target - cell.score
    latent = cell.latent if cell.latent is not None else 0.0
    shown = max(0.0, min(room, latent - max(0.0, cell.score - cell.chance)))
    if cell.progress is not None:
        shown = (shown + max(0.0, cell.progress)) / 2
    return cell.weight * max(shown, hope * room) * 0.5**cell.tries


def _best(group: list[tuple[float, CellState]], cells: int) -> list[tuple[float, CellState]]:
    """Return the most promising cells of a group; those far below the best one would only dilute it."""
    ordered = sorted(group, key=lambda item: (-item[0], str(item[1].cell)))[:cells]
    return [item for item in ordered if item[0] >= 0.25 * ordered[0][0]]


def _together(worst: CellState, lost: list[CellState], cells: int) -> tuple[Cell, ...]:
    same = [c for c in lost if (c.ability, c.direction, c.finite) == (worst.ability, worst.direction, worst.finite)]
    ordered = sorted(same, key=lambda cell: (-cell.drop, str(cell.cell)))
    return tuple(sorted(cell.cell for cell in ordered[:cells]))


def _cells(best: list[tuple[float, CellState]]) -> tuple[Cell, ...]:
    return tuple(sorted(cell.cell for _, cell in best))


def _why(best: list[tuple[float, CellState]], sums: dict, key: object, runner: object) -> str:  # type: ignore[type-arg]
    first = best[0][1]
    shown = "not sampled" if first.latent is None else f"{first.latent:.2f} of its tasks are solved by some sample"
    text = f"promise {sums[key]:.2f}; {first.cell} scores {first.score:.2f}, {shown}"
    return text if runner is None else f"{text}; next {runner[0]} with {sums[runner]:.2f}"  # type: ignore[index]
