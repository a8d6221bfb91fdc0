"""A cell whose exam proves nothing useful is no objective alone: it has company, or it is closed."""

from dataclasses import replace

import pytest

from metaevo.evolution.provable import in_company, smallest_provable, with_company
from metaevo.gate.settings import GateRules
from metaevo.history import USEFUL, CellState, History, closed_because
from metaevo.modules.objective.learning_progress import learning_progress
from metaevo.modules.objective.weakest_first import weakest_first
from objectives.statistics import level
from objectives.types import Cell, Direction, Environment, Objective

RULES = GateRules()
ERROR = level(RULES.alpha, 1)


def world(name: str, level: int, texts: int, groups: dict[int, int] | None = None) -> Environment:
    sizes = {level: texts}
    return Environment(name, "reading", Direction.PERFORMANCE, (level,), sizes, 1.0, 2.0, "v", groups=groups or {})


def state(name: str, at: int, texts: int, score: float = 0.2) -> CellState:
    return CellState(
        Cell(name, at),
        ability="reading",
        direction=Direction.PERFORMANCE,
        score=score,
        low=score - 0.1,
        high=score + 0.1,
        n=64,
        latent=score + 0.3,
        chance=0.0,
        finite=True,
        provable=smallest_provable(world(name, at, texts), at, RULES, ERROR),
    )


def seen(*cells: tuple[CellState, int]) -> History:
    found: dict[str, Environment] = {}
    for cell, size in cells:
        name, level = cell.cell.environment, cell.cell.level
        known = found.get(name, world(name, level, size))
        found[name] = replace(known, texts={**known.texts, level: size})
    return History(in_company([cell for cell, _ in cells], found, {cell.cell: ERROR for cell, _ in cells}))


@pytest.mark.parametrize("rule", [weakest_first, learning_progress])
def test_one_cell_of_thirteen_gate_items_is_no_objective(rule) -> None:
    known = seen((state("file", 1, 130), 130))
    assert known.cells[0].provable > USEFUL
    assert closed_because(known.cells[0]) == "too few exam items to prove a useful gain"
    objective = rule(known)
    assert objective.cells == ()
    assert "too few exam items" in objective.reason


@pytest.mark.parametrize("rule", [weakest_first, learning_progress])
def test_what_is_too_small_alone_is_pursued_with_others_of_its_kind(rule) -> None:
    cells = [(state("file", at, 200, 0.1 * at), 200) for at in (1, 2, 3, 4, 5)]
    known = seen(*cells)
    assert all(not closed_because(cell) for cell in known.cells)
    chosen = with_company(rule(known), known)
    assert len(chosen.cells) == 4
    assert {cell.environment for cell in chosen.cells} == {"file"}


def test_a_rule_that_chose_one_small_cell_gets_its_company_and_says_so() -> None:
    known = seen(*[(state("file", at, 200), 200) for at in (1, 2, 3)])
    alone = Objective("reading", Direction.PERFORMANCE, (Cell("file", 2),), "because", "some")
    joined = with_company(alone, known)
    assert joined.cells == (Cell("file", 1), Cell("file", 2), Cell("file", 3))
    assert joined.reason.startswith("because; with others of its kind")
    assert with_company(joined, known) == joined


def test_a_large_cell_needs_no_company_and_a_small_one_beside_it_comes_along_with_it() -> None:
    known = seen((state("large", 1, 4000), 4000), (state("small", 1, 100), 100))
    large, small = known.cells
    assert large.company == ()
    assert small.company == (large.cell, small.cell)
    assert small.provable < USEFUL
    alone = Objective("reading", Direction.PERFORMANCE, (large.cell,), "because", "some")
    assert with_company(alone, known) == alone


def test_what_is_parked_outside_the_goals_or_not_measured_is_no_company() -> None:
    first = state("file", 1, 200)
    for other in (
        replace(state("file", 2, 200), parked="needs rows"),
        replace(state("file", 2, 200), weight=0.0),
        replace(state("file", 2, 200), score=None),
    ):
        assert seen((first, 200), (other, 200)).cells[0].company == ()


def test_a_group_is_one_bet_and_groups_have_no_exact_test() -> None:
    rows, grouped = world("file", 1, 800), world("file", 1, 800, {1: 100})
    assert smallest_provable(grouped, 1, RULES, ERROR) > USEFUL > smallest_provable(rows, 1, RULES, ERROR)
    many = world("file", 1, 8000, {1: 800})
    assert smallest_provable(rows, 1, RULES, ERROR) < smallest_provable(many, 1, RULES, ERROR) < USEFUL
