"""What a home's items can decide is said before anything is trained; what they cannot decide is refused."""

import re
from collections import Counter

import pytest

from metaevo.errors import BadInput
from metaevo.gate.lines import harms
from metaevo.gate.settings import GateRules
from objectives.deciding import power, smallest_harm, smallest_loss, smallest_margin
from objectives.goals import Goal, Goals, Protection
from objectives.types import Cell, Direction, Environment
from services.home.margins import check_gains, check_margins, proposed

FILE, ENDLESS, KEPT = Cell("file", 1), Cell("endless", 1), Cell("kept", 1)
GATE = GateRules()


def environment(name: str, ability: str, texts: int | None, *, train: bool = True) -> Environment:
    return Environment(name, ability, Direction.PERFORMANCE, (1,), {1: texts}, 1.0, 2.0, "v", train)


WORLD = {
    one.name: one
    for one in (
        environment("file", "math", 800),
        environment("endless", "other", None),
        environment("kept", "reasoning", 300, train=False),
    )
}
ITEMS: dict[Cell, int | None] = {FILE: 80, ENDLESS: None, KEPT: 300}


def goals(**margins: float) -> Goals:
    return Goals(protections=tuple(Protection(what, margin=margin) for what, margin in margins.items()))


def test_a_rule_that_an_identical_candidate_could_not_pass_is_refused_with_the_smallest_loss() -> None:
    with pytest.raises(BadInput) as caught:
        check_margins(goals(math=0.02), ITEMS, WORLD, GATE)
    said = str(caught.value)
    assert said.startswith("metaevo.toml: protect.math = margin 0.02: an identical candidate could not pass")
    assert f"80 gate items of math exclude no loss below {smallest_loss(80, 20):.3g}" in said
    assert f"math = {{ margin = {smallest_margin(80, 20):.3g} }}" in said
    assert "train = false" in said


def test_the_default_counts_as_written_and_is_refused_by_its_own_name() -> None:
    with pytest.raises(BadInput, match=r'protect\."\*"'):
        check_margins(Goals(), ITEMS, WORLD, GATE)


def test_a_rule_below_power_is_a_warning_and_a_decidable_one_is_silent() -> None:
    (warning,) = check_margins(goals(math=smallest_loss(80, 20) + 0.01), ITEMS, WORLD, GATE)
    assert "an unchanged candidate passes math at margin" in warning
    assert check_margins(goals(math=smallest_margin(80, 20)), ITEMS, WORLD, GATE) == ()


def test_a_protect_only_file_and_endless_items_decide_the_default_margin() -> None:
    named = Goals(protections=goals(reasoning=0.001, other=0.03).protections, only_named=True)
    assert check_margins(named, ITEMS, WORLD, GATE) == ()


def test_the_way_out_of_a_refusal_takes_no_protection_away() -> None:
    with pytest.raises(BadInput) as caught:
        check_margins(Goals(), ITEMS, WORLD, GATE)
    found = re.search(r"under \[protect\] set math = \{ margin = ([0-9.]+) \}", str(caught.value))
    assert found is not None
    mended = goals(math=float(found[1]))
    assert check_margins(mended, ITEMS, WORLD, GATE) == ()
    assert [rule.what for rule in mended.rules(WORLD)] == ["math", "other", "reasoning"]


def test_the_way_out_quotes_what_toml_wants_in_quotes() -> None:
    with pytest.raises(BadInput, match=r'protect\."file/1" = margin 0\.02: .*set "file/1" = \{ margin'):
        check_margins(goals(**{"math": 0.2, "file/1": 0.02}), ITEMS, WORLD, GATE)


def test_init_proposes_a_margin_for_what_files_alone_measure() -> None:
    ((what, margin, why),) = proposed(Goals(), ITEMS, WORLD, GATE)
    assert (what, margin) == ("math", smallest_margin(80, 20))
    assert why == "file: 80 gate items decide no smaller loss (power 0.8, discordance 0.05)"


def test_more_items_decide_smaller_losses_and_power_is_what_it_says() -> None:
    margins = [smallest_margin(n, 20) for n in (40, 80, 200, 600)]
    assert margins == sorted(margins, reverse=True)
    for n, margin in ((80, smallest_margin(80, 20)), (200, smallest_margin(200, 20))):
        assert power(n, margin, 20) >= 0.8 > power(n, margin - 0.005, 20)
    assert smallest_loss(1, 20) == 1.0


def test_a_goal_whose_items_prove_no_useful_gain_is_told_with_the_rows_that_would() -> None:
    tiny = Cell("file", 1)
    (warning,) = check_gains(Goals(), {**ITEMS, tiny: 13}, WORLD, GATE)
    assert "goals: file/1: 13 gate items prove no gain below" in warning
    assert "never an objective" in warning
    assert warning.endswith("rows would do")
    rows = int(warning.split()[-4])
    assert check_gains(Goals(), {**ITEMS, tiny: rows // 10}, WORLD, GATE) == ()
    assert check_gains(Goals(), {**ITEMS, tiny: rows // 10 - 1}, WORLD, GATE) != ()
    assert check_gains(Goals(), ITEMS, WORLD, GATE) == ()


def test_small_cells_of_one_kind_prove_together_what_none_proves_alone() -> None:
    levels = (1, 2, 3, 4)
    world = {"file": Environment("file", "math", Direction.PERFORMANCE, levels, dict.fromkeys(levels, 200), 1, 2, "v")}
    assert check_gains(Goals(), {Cell("file", n): 20 for n in levels}, world, GATE) == ()
    small = check_gains(Goals(), {Cell("file", n): 5 for n in levels}, world, GATE)
    assert ["never an objective" in line for line in small] == [True] * 4 + [False]


@pytest.mark.parametrize(("rows", "said"), [(30, "no loss below"), (10, "no loss, and"), (40, "no loss below")])
def test_a_cell_beside_much_larger_ones_is_told_what_its_items_cannot_show(rows: int, said: str) -> None:
    """300 rows beside endless cells: the ability's mean hides what they lose, and only their own margin rejects."""
    world = {**WORLD, "more": environment("more", "math", None)}
    items = {**ITEMS, FILE: rows, Cell("more", 1): None}
    (warning,) = check_margins(goals(math=0.05, other=0.05), items, world, GATE)
    assert warning.startswith(f"metaevo.toml: protect.math: {rows} gate items of file/1 show {said}")
    assert warning.endswith("train = false counts all rows")


def test_the_smallest_harm_is_the_first_that_the_gate_calls_one() -> None:
    for n in (16, 30, 100):
        lost = round(n * smallest_harm(n, 0.1, 80))
        for less, found in ((0, True), (1, False)):
            outcomes = Counter({-1.0: lost - less, 0.0: n - lost + less})
            (harm,) = harms(0.1, {"file/1": outcomes})
            assert ((harm.e_value or 0.0) >= 80) is found
    assert smallest_harm(10, 0.1, 80) > 1


ENDS = {Cell("file", 1): 80, Cell("kept", 1): 300}


@pytest.mark.parametrize("cells", [1, 3])
def test_endless_cells_whose_confirmation_is_too_short_are_told_in_one_line(cells: int) -> None:
    levels = tuple(range(1, cells + 1))
    endless = Environment("endless", "other", Direction.PERFORMANCE, levels, dict.fromkeys(levels), 1.0, 2.0, "v")
    world = WORLD | {"endless": endless}
    items = {**ENDS, **{Cell("endless", n): None for n in levels}}
    (warning,) = check_gains(Goals(), items, world, GateRules(max_items=10))
    assert "gate.max_items: 10 items prove no gain" in warning
    assert f"no cell whose items have no end ({cells} of the goals) is ever an objective" in warning
    assert warning.endswith(" would do")
    enough = int(warning.split()[-3])
    assert check_gains(Goals(), items, world, GateRules(max_items=enough)) == ()
    assert check_gains(Goals(), items, world, GateRules(max_items=enough - 50)) != ()


@pytest.mark.parametrize(
    ("goal", "most", "file", "nothing"),
    [
        ("endless", 10, 80, True),
        ("*", 10, 13, True),
        ("*", 10, 80, False),
        ("file", 1500, 13, True),
        ("*", 1500, 13, False),
    ],
)
def test_goals_of_which_no_cell_can_be_raised_are_told_at_the_end(
    goal: str, most: int, file: int, nothing: bool
) -> None:
    told = check_gains(Goals((Goal("g", goal),)), {**ITEMS, FILE: file}, WORLD, GateRules(max_items=most))
    assert [line for line in told if "nothing can be raised" in line] == ([told[-1]] if nothing else [])
    assert len(told) >= 1
