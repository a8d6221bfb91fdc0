"""How often a cell was tried in vain: one pass over the remembered objectives, whatever their order and width."""

from random import Random

from metaevo.evolution.objective_history import PastObjective, tries_per_cell
from objectives.types import Cell, Direction, Objective

CELLS = tuple(Cell("addition", level) for level in range(1, 6))


def remembered(seed: int) -> list[PastObjective]:
    """Return a history of forty objectives, drawn."""
    draw = Random(seed)
    past: list[PastObjective] = []
    for number in range(1, 41):
        cells = tuple(draw.sample(CELLS, draw.randint(1, 4)))
        outcome = draw.choice(("promote", "hold", "reject", "none"))
        objective = Objective("math", Direction.PERFORMANCE, cells, "drawn", "test")
        past.append((number, objective, outcome, draw.choice((None, draw.random()))))
    return past


def test_tries_are_what_a_walk_for_each_cell_alone_counts() -> None:
    for seed in range(50):
        past = remembered(seed)
        found = tries_per_cell(past)
        for cell in CELLS:
            mine = [(number, outcome, gain) for number, objective, outcome, gain in past if cell in objective.cells]
            vain = 0
            for _, outcome, _ in mine:
                vain = 0 if outcome == "promote" else vain + (outcome != "hold")
            assert found[cell] == (vain, mine[-1][0], mine[-1][2])


def test_a_cell_that_was_never_an_objective_has_no_tries() -> None:
    assert tries_per_cell([]) == {}
