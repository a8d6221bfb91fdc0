"""What is known when the next objective is chosen: every cell as it stands, and what former cycles tried."""

from collections import Counter
from dataclasses import dataclass

from objectives.types import Cell, Direction, Objective

USEFUL = 0.4
"""A cell whose exam proves no gain below this is no objective: a search for so rare a gain is not worth its cost."""


@dataclass(frozen=True, slots=True)
class CellState:
    """What is known of one cell when the next objective is chosen. Scores are of the champion.

    ``score`` is the probe's mean with its interval; ``latent`` the chance-corrected share of tasks that one of
    ``k`` samples solves; ``chance`` how likely two tasks' answers agree; ``progress`` the gain that the last try at
    it showed; ``drop`` what was lost since the best generation; ``tries`` how often it was tried since in vain.
    """

    cell: Cell
    ability: str
    direction: Direction
    score: float | None
    low: float
    high: float
    n: int
    latent: float | None
    chance: float
    finite: bool
    trend: float = 0.0
    drop: float = 0.0
    tries: int = 0
    progress: float | None = None
    parked: str = ""
    weight: float = 1.0
    """The operator's goal weight; 0 means that no goal covers the cell."""
    target: float = 0.95
    provable: float = 1.0
    """The smallest gain one decision can prove on this cell, with its company where it needs one."""
    company: tuple[Cell, ...] = ()
    """The cells it is pursued with, itself among them, because alone its few items prove nothing useful."""


@dataclass(frozen=True, slots=True)
class History:
    """What an objective rule may see: the cells, and the objectives of former cycles with their outcomes."""

    cells: tuple[CellState, ...]
    past: tuple[tuple[Objective, str], ...] = ()
    """(objective, decision) of former cycles, oldest first."""


def closed_because(cell: CellState) -> str:
    """Return why a cell is not an objective now; empty where it is open."""
    if cell.weight <= 0:
        return "outside the goals"
    if cell.score is None:
        return "not measured"
    if cell.parked:
        return "parked"
    if cell.low >= cell.target or cell.score >= cell.target:
        return "mastered"
    if cell.provable > USEFUL:
        return "too few exam items to prove a useful gain"
    return "too little room to prove a gain" if cell.provable > max(cell.target - cell.score, 0.05) else ""


def nothing(rule: str, cells: tuple[CellState, ...]) -> Objective:
    """Return the objective of a rule that found no open cell: no cells, and why.

    Such an objective ends its cycle as `none`, a successful one.
    """
    counts = Counter(closed_because(cell) or "without promise" for cell in cells)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    return Objective("", Direction.PERFORMANCE, (), f"no cell is open: {why or 'there is none'}", rule)
