"""What an exam can prove of a cell: the smallest gain, and the company that a cell of few items needs.

One definition everywhere (`objectives.deciding.smallest_gain`): power .8 at discordance .2, screen included.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from metaevo.gate.settings import GateRules
from metaevo.history import USEFUL, CellState, History
from objectives.deciding import smallest_gain
from objectives.splits import share
from objectives.types import Cell, Environment, Objective, Split

TOGETHER = 4
"""Cells of one objective."""


def smallest_provable(environment: Environment, level: int, rules: GateRules, error: float) -> float:
    """Return the smallest gain that a confirmation at this level of error proves on a cell.

    Groups are one bet each, and then there is no exact test.
    """
    bets = environment.bets(level)
    if bets is None:
        return smallest_gain(rules.max_items, error, False, rules.screen_items, rules.screen_bar)
    return smallest_gain(gate_share(bets), error, level not in environment.groups)


def gate_share(texts: int) -> int:
    """Return how many of a file's texts the gate's split holds, about."""
    return int(texts * share(Split.GATE))


def companies(sizes: Mapping[Cell, int]) -> dict[Cell, tuple[Cell, ...]]:
    """Return each cell with the largest ones of its kind, as many as an objective has. ``sizes`` are of one kind."""
    ordered = sorted(sizes, key=lambda cell: (-sizes[cell], str(cell)))
    return {cell: tuple(sorted([cell, *[c for c in ordered if c != cell][: TOGETHER - 1]])) for cell in sizes}


def in_company(
    cells: Sequence[CellState],
    environments: Mapping[str, Environment],
    errors: Mapping[Cell, float],
) -> tuple[CellState, ...]:
    """Return the cells; one that proves nothing useful alone stands with the company that does, if there is one."""
    kinds: dict[tuple[str, str], dict[Cell, int]] = defaultdict(dict)
    for one in cells:
        bets = environments[one.cell.environment].bets(one.cell.level)
        if bets is not None and one.weight > 0 and one.score is not None and not one.parked:
            kinds[one.ability, one.direction.value][one.cell] = gate_share(bets)
    found = {cell: company for sizes in kinds.values() for cell, company in companies(sizes).items()}
    made = []
    for one in cells:
        company = found.get(one.cell, ())
        if one.provable > USEFUL and len(company) > 1:
            items = sum(kinds[one.ability, one.direction.value][cell] for cell in company)
            exact = not any(cell.level in environments[cell.environment].groups for cell in company)
            provable = smallest_gain(items, min(errors[cell] for cell in company), exact)
            made.append(replace(one, provable=provable, company=company if provable <= USEFUL else ()))
        else:
            made.append(one)
    return tuple(made)


def with_company(objective: Objective, seen: History) -> Objective:
    """Return the objective; cells that prove nothing useful alone are joined by their company."""
    known = {one.cell: one for one in seen.cells}
    chosen = [known[cell] for cell in objective.cells]
    if not chosen or not all(one.company for one in chosen):
        return objective
    first = min(chosen, key=lambda one: (one.score or 0.0, str(one.cell)))
    if set(first.company) <= set(objective.cells):
        return objective
    reason = f"{objective.reason}; with others of its kind: its exam items alone are too few to prove a useful gain"
    return replace(objective, cells=first.company, reason=reason)


def too_small(
    sizes: Mapping[Cell, int], environments: Mapping[str, Environment], error: float
) -> Iterable[tuple[Cell, int, float]]:
    """Return (cell, bets, smallest gain) of those of one kind that prove nothing useful, not even in company."""

    def exact(cells: Iterable[Cell]) -> bool:
        return not any(cell.level in environments[cell.environment].groups for cell in cells)

    for cell, company in companies(sizes).items():
        items = sum(sizes[one] for one in company)
        alone = smallest_gain(sizes[cell], error, exact([cell]))
        provable = smallest_gain(items, error, exact(company))
        if min(alone, provable) > USEFUL:
            yield cell, items, min(alone, provable)
