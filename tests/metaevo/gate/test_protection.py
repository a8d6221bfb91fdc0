"""Protection decides by evidence: what is unchanged is kept, what is lost is not, whole files are counted whole."""

from random import Random

import pytest

from metaevo.gate.evidence import CellHarm
from metaevo.gate.lines import e_holm
from metaevo.gate.rounds import plan, together
from metaevo.gate.settings import GateRules
from objectives.goals import Rule
from objectives.types import Cell
from tests.metaevo.gate.drawn import BASE, NEW, OLD, DrawnExam, kept, protected, tasks_of

CELLS = [Cell(f"env{i}", 1) for i in range(40)]
ONE = (Rule("a", (CELLS[0],), 0.03),)


def share(many: int, rules: tuple[Rule, ...], **exam: object) -> float:
    """Return the share of decisions in which all was kept."""
    found = (protected(DrawnExam(Random(seed), **exam), rules) for seed in range(many))  # type: ignore[arg-type]
    return sum(map(kept, found)) / many


def test_eight_unchanged_abilities_are_kept() -> None:
    """The candidate of DESIGN: discordance .10, margin .03; the evidence `protection` counts it a thousand times."""
    assert share(12, tuple(Rule(f"a{i}", (CELLS[i],), 0.03) for i in range(8))) >= 0.9


def test_what_loses_four_points_under_a_margin_of_two_is_not_kept() -> None:
    assert share(25, (Rule("a", (CELLS[0],), 0.02),), gains={CELLS[0]: -0.04}) == 0


@pytest.mark.parametrize("discordant", [0.05, 0.35])
def test_a_loss_at_the_limit_is_seldom_kept(discordant: float) -> None:
    assert share(40, ONE, gains={CELLS[0]: -0.03}, discordant=discordant) <= 0.05


def test_a_small_loss_in_one_cell_beside_a_large_gain_in_another_is_their_mean() -> None:
    """Cells are asked in whole rounds: a mean at the limit is kept as seldom as a loss everywhere."""
    mixed = (Rule("a", (CELLS[0], CELLS[1]), 0.03, own_cell_margin=1.0),)
    assert share(25, mixed, gains={CELLS[0]: -0.26, CELLS[1]: 0.2}) <= 0.05


def test_no_more_items_are_asked_than_the_rule_may_take_and_each_once() -> None:
    exam = DrawnExam(Random(3), gains={CELLS[0]: -0.03}, discordant=0.35)
    protected(exam, ONE, reference=BASE)
    asked = [task for _, _, tasks in exam.asked for task in tasks]
    assert len(asked) == len(set(asked)) == GateRules().protect_items
    positions = [position for _, position, _ in exam.asked]
    assert len(positions) == len(set(positions))


def test_the_candidate_answers_an_item_once_whoever_it_is_compared_with() -> None:
    exam = DrawnExam(Random(3), discordant=0.0)
    found = protected(exam, ONE, reference=BASE)
    assert [(line.against, line.state) for line in found.lines] == [("parent", "kept"), ("reference", "kept")]
    asked = [task for _, _, tasks in exam.asked for task in tasks]
    assert len(asked) == len(set(asked)) == 256


def test_what_a_hold_saw_counts_and_its_next_examination_asks_new_items() -> None:
    rules = GateRules(protect_items=400)
    first = protected(DrawnExam(Random(1), rules=rules, discordant=0.3), ONE)
    (line,) = first.lines
    assert (line.state, line.n, line.left) == ("open", 400, None)
    second = protected(DrawnExam(Random(2), rules=rules), ONE, first.outcomes)
    assert second.lines[0].n > 400
    assert second.outcomes[0].rounds > first.outcomes[0].rounds


def test_a_finite_cell_goes_on_where_the_hold_stopped_and_says_what_is_left() -> None:
    rules, rows = GateRules(protect_items=100), {CELLS[0]: 150}
    exam = DrawnExam(Random(1), rules=rules, rows_of=rows, discordant=0.3)
    first = protected(exam, ONE)
    assert (first.lines[0].state, first.lines[0].n, first.lines[0].left) == ("open", 100, 50)
    again = DrawnExam(Random(2), rules=rules, rows_of=rows, discordant=0.3)
    second = protected(again, ONE, first.outcomes)
    assert (second.lines[0].n, second.lines[0].left) == (150, 0)
    asked = [task for one in (exam, again) for _, _, tasks in one.asked for task in tasks]
    assert len(set(asked)) == 150


def test_a_protect_only_file_is_counted_whole_without_an_error() -> None:
    """300 rows: an unchanged candidate is kept, one row more than the margin lost is not; nothing is estimated."""
    rule = (Rule("file", (CELLS[0],), 0.02),)
    whole = {"rows_of": {CELLS[0]: 300}, "censuses": frozenset({CELLS[0]})}
    found = protected(DrawnExam(Random(1), discordant=0.0, **whole), rule)  # type: ignore[arg-type]
    (line,) = found.lines
    assert (line.state, line.n, line.whole, line.mean, line.low) == ("kept", 300, 300, 0.0, 0.0)
    lost = protected(DrawnExam(Random(1), gains={CELLS[0]: -0.04}, discordant=0.0, **whole), rule)  # type: ignore[arg-type]
    assert (lost.lines[0].state, lost.lines[0].mean < -0.02) == ("harmed", True)


def test_rows_that_are_counted_whole_move_the_limit_of_the_other_cells() -> None:
    rule = (Rule("a", (CELLS[0], CELLS[1]), 0.03),)
    whole = {"rows_of": {CELLS[0]: 300}, "censuses": frozenset({CELLS[0]}), "discordant": 0.05}
    even = protected(DrawnExam(Random(1), **whole), rule)  # type: ignore[arg-type]
    better = protected(DrawnExam(Random(1), gains={CELLS[0]: 0.5}, **whole), rule)  # type: ignore[arg-type]
    assert (even.lines[0].whole, better.lines[0].whole) == (300, 300)
    assert kept(better)
    assert better.lines[0].n <= even.lines[0].n


def test_a_cell_may_lose_twice_its_ability_s_margin_and_a_sure_small_loss_rejects_nobody() -> None:
    rule = (Rule("a", tuple(CELLS[:8]), 0.03),)
    assert rule[0].cell_margin == 0.06
    small = protected(DrawnExam(Random(1), gains={CELLS[0]: -0.05}, discordant=0.0), rule)
    assert kept(small)
    assert small.lines[0].cell_margin == 0.06
    gains = dict.fromkeys(CELLS[:8], 0.03) | {CELLS[0]: -0.9}
    loose = (Rule("a", tuple(CELLS[:8]), 0.2, own_cell_margin=0.06),)
    worst = protected(DrawnExam(Random(1), gains=gains, discordant=0.0), loose)
    assert [harm.cell for harm in worst.cells_harmed] == [str(CELLS[0])]


def test_e_holm_asks_more_of_the_first_of_many() -> None:
    def harm(cell: str, e_value: float) -> CellHarm:
        return CellHarm(cell, None, e_value, -0.2, 100, 0.06)

    assert e_holm([harm("a", 100.0)], 8, 20) == ()
    assert [one.cell for one in e_holm([harm("a", 161.0), harm("b", 139.0)], 8, 20)] == ["a"]
    assert [one.cell for one in e_holm([harm("a", 141.0), harm("b", 161.0)], 8, 20)] == ["b", "a"]


@pytest.mark.parametrize(
    ("rows", "sampled", "each", "few", "rounds"),
    [
        ({0: None, 1: None}, [0, 1], (1, 1), [], 2048),
        ({0: None, 1: 10}, [0], (1,), [1], 2048),
        ({0: None, 1: 64}, [0, 1], (32, 1), [], 64),
        ({0: 30, 1: 60}, [0, 1], (1, 2), [], 30),
        ({0: 80}, [0], (1,), [], 80),
    ],
    ids=["endless", "too few rows", "a small file", "files only", "one file"],
)
def test_a_round_weighs_cells_alike_but_for_those_that_would_run_dry(
    rows: dict[int, int | None], sampled: list[int], each: tuple[int, ...], few: list[int], rounds: int
) -> None:
    rule = Rule("a", tuple(CELLS[i] for i in rows), 0.03)
    made = plan(rule, {CELLS[i]: n for i, n in rows.items()}, (), 4096)
    assert made.sampled == tuple(CELLS[i] for i in sampled)
    assert made.few == tuple(CELLS[i] for i in few)
    if len(sampled) == len(each) and rows != {0: None, 1: 64}:
        assert made.each == each
    assert made.rounds <= 4096
    assert sum(made.each) * made.rounds <= 4096 + sum(made.each)


def test_the_best_of_former_times_binds_the_reference_and_not_the_promotion() -> None:
    exam = DrawnExam(Random(1), gains={CELLS[0]: 0.0}, discordant=0.0)
    best = {"a": BASE}
    found = protected(exam, ONE, best=best)
    assert [line.against for line in found.lines] == ["parent", "best g000000"]
    assert NEW.id != OLD.id


@pytest.mark.parametrize(
    ("floor", "skill", "gain", "said"),
    [
        (0.5, 0.8, 0.0, [("floor", "kept")]),
        (0.9, 0.8, 0.0, [("parent", "kept"), ("reference", "kept")]),
        (0.9, 0.8, -0.05, [("parent", "harmed"), ("reference", "harmed")]),
        (0.7, 0.8, -0.3, [("floor", "harmed")]),
    ],
    ids=["above", "the champion is below", "worse than a champion below", "falls below"],
)
def test_a_floor_is_judged_by_bounds_and_where_the_champion_is_below_by_a_third_of_the_margin(
    floor: float, skill: float, gain: float, said: list[tuple[str, str]]
) -> None:
    rule = (Rule("a", (CELLS[0],), None, floor),)
    exam = DrawnExam(Random(1), gains={CELLS[0]: gain}, discordant=0.0, skill=skill)
    found = protected(exam, rule, reference=BASE)
    assert [(line.against, line.state) for line in found.lines] == said
    if len(said) == 2:
        assert {line.limit for line in found.lines} == {-0.01}


@pytest.mark.parametrize("rows", [20, 31, 32, 100])
@pytest.mark.parametrize("others", [1, 8])
def test_a_small_cell_that_is_lost_wholly_is_found_beside_larger_ones(rows: int, others: int) -> None:
    """It weighs little in the mean, or nothing: its own margin rejects, on all its gate items."""
    small = CELLS[20]
    rule = (Rule("a", (*CELLS[:others], small), 0.05),)
    exam = DrawnExam(Random(1), gains={small: -1.0}, discordant=0.02, rows_of={small: rows})
    found = protected(exam, rule)
    assert not kept(found)
    assert [harm.cell for harm in found.cells_harmed] == [str(small)] or found.lines[0].state == "harmed"
    same = DrawnExam(Random(1), discordant=0.02, rows_of={small: rows})
    assert kept(protected(same, rule))
    asked = [task for _, _, tasks in same.asked for task in tasks]
    assert sum(task.startswith(f"{small}/") for task in asked) == rows
    assert len(set(asked)) == len(asked)


def test_a_large_loss_of_a_small_cell_is_found_and_what_it_was_asked_is_kept_over_a_hold() -> None:
    small, other = CELLS[20], CELLS[1]
    rules = (Rule("a", (CELLS[0], small), 0.05), Rule("b", (other,), 0.03))
    lost = [protected(DrawnExam(Random(i), gains={small: -0.6}, rows_of={small: 60}), rules[:1]) for i in range(10)]
    assert sum(map(kept, lost)) <= 1
    tight = GateRules(protect_items=400)
    losing = DrawnExam(Random(1), gains={other: -0.03}, discordant=0.02, rows_of={small: 31}, rules=tight)
    first = protected(losing, rules)
    assert [line.state for line in first.lines] == ["kept", "open"]
    again = DrawnExam(Random(2), rows_of={small: 31}, rules=tight)
    second = protected(again, rules, first.outcomes)
    assert not any(task.startswith(f"{small}/") for _, _, tasks in again.asked for task in tasks)
    assert second.outcomes[0].series == first.outcomes[0].series


def test_a_small_cell_s_items_leave_the_ability_s_mean_as_it_is() -> None:
    small, rule = CELLS[20], (Rule("a", (CELLS[0],), 0.05),)
    (alone,) = protected(DrawnExam(Random(1), discordant=0.02), rule).lines
    both = (Rule("a", (CELLS[0], small), 0.05),)
    (line,) = protected(DrawnExam(Random(1), discordant=0.02, rows_of={small: 31}), both).lines
    assert (line.mean, line.n, line.e_kept) == (alone.mean, alone.n, alone.e_kept)


@pytest.mark.parametrize("world", [8, 32])
def test_items_that_share_a_world_are_one_bet(world: int) -> None:
    """Item by item 42 and 58 of 100 losses at the limit were kept, and 16 and 34 unchanged candidates harmed."""
    lost = [protected(DrawnExam(Random(i), gains={CELLS[0]: -0.03}, world=world), ONE) for i in range(25)]
    assert sum(map(kept, lost)) <= 1
    same = [protected(DrawnExam(Random(i), discordant=0.2, world=world), ONE) for i in range(25)]
    assert not any(line.state == "harmed" for found in same for line in found.lines)
    assert not any(found.cells_harmed for found in same)


def test_a_world_is_asked_whole_in_one_look_and_within_the_items_of_a_cycle() -> None:
    exam = DrawnExam(Random(1), discordant=0.3, world=32, rules=GateRules(protect_items=1000))
    first = protected(exam, ONE)
    looks = [{(int(task.split("/")[-1])) // 32 for task in tasks} for _, _, tasks in exam.asked]
    asked = [task for _, _, tasks in exam.asked for task in tasks]
    assert all(not a & b for i, a in enumerate(looks) for b in looks[:i])
    assert (len(asked), len(set(asked)), first.lines[0].n) == (1024, 1024, 32)
    assert len(exam.asked[0][2]) == 256


def test_a_held_file_of_worlds_goes_on_with_worlds_it_has_not_asked_and_tells_items() -> None:
    rules, rows = GateRules(protect_items=160), {CELLS[0]: 320}
    exam = DrawnExam(Random(1), rules=rules, rows_of=rows, discordant=0.3, world=8)
    first = protected(exam, ONE)
    assert (first.lines[0].state, first.lines[0].n, first.lines[0].left) == ("open", 20, 160)
    again = DrawnExam(Random(2), rules=rules, rows_of=rows, discordant=0.3, world=8)
    second = protected(again, ONE, first.outcomes)
    assert (second.lines[0].n, second.lines[0].left) == (40, 0)
    asked = [task for one in (exam, again) for _, _, tasks in one.asked for task in tasks]
    assert len(asked) == len(set(asked)) == 320
    counts = second.outcomes[0].series["parent"][str(CELLS[0])]
    assert sum(times for _, times in counts) == 40


def test_a_group_that_a_draw_cuts_waits_for_the_next_and_one_that_comes_again_is_left_out() -> None:
    tasks = tasks_of(CELLS[0], 20, world=8)
    assert [len(group) for group in together(tasks, whole=False)] == [8, 8]
    assert [len(group) for group in together(tasks, whole=True)] == [8, 8, 4]
    apart = (*tasks[:4], *tasks[8:12], *tasks[4:8], *tasks[16:])
    assert [len(group) for group in together(apart, whole=True)] == [8, 4, 4]
    assert [len(group) for group in together(apart, whole=False)] == [4, 4]
    alone = tasks_of(CELLS[0], 20)
    assert together(alone, whole=False) == together(alone, whole=True) == [(task,) for task in alone]


def test_a_protect_only_file_counts_its_rows_and_not_its_worlds() -> None:
    whole = {"rows_of": {CELLS[0]: 320}, "censuses": frozenset({CELLS[0]}), "world": 8}
    (line,) = protected(DrawnExam(Random(1), discordant=0.0, **whole), ONE).lines  # type: ignore[arg-type]
    assert (line.state, line.n, line.whole) == ("kept", 320, 320)
