"""Goals, protections and prohibitions: what they cover, and every contradiction refused by its name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.goals import DEFAULT_MARGIN, BadGoals, Forbidden, Goal, Goals, Protection, Rule, cells_of, check
from objectives.types import Cell, Direction, Environment

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

METHODS = ("star", "rft", "self_rewarding", "metric_filter")


def environment(name: str, ability: str, *, train: bool = True, levels: int = 2, safety: bool = False) -> Environment:
    direction = Direction.SAFETY if safety else Direction.PERFORMANCE
    places = tuple(range(1, levels + 1))
    return Environment(name, ability, direction, places, dict.fromkeys(places), 1.0, 2.0, "v", train=train)


WORLD = {
    e.name: e
    for e in (
        environment("addition", "math"),
        environment("carry", "math", levels=1),
        environment("sorting", "other", levels=3),
        environment("refusals", "communication", train=False, safety=True),
    )
}
EVERY = {cell for e in WORLD.values() for cell in e.cells}


def checked(
    *goals: Goal, protect: tuple[Protection, ...] = (), nothing: bool = False, **forbid: tuple[str, ...]
) -> Goals:
    made = Goals(goals, protect, nothing, forbidden=Forbidden(**forbid))
    check(made, WORLD, METHODS)
    return made


def refused(sentence: str, *goals: Goal, protect: tuple[Protection, ...] = (), **more: object) -> None:
    with pytest.raises(BadGoals, match=sentence) as caught:
        checked(*goals, protect=protect, **more)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("what", "cells"),
    [
        ("*", EVERY),
        ("math", {Cell("addition", 1), Cell("addition", 2), Cell("carry", 1)}),
        ("addition", {Cell("addition", 1), Cell("addition", 2)}),
        ("addition/2", {Cell("addition", 2)}),
    ],
)
def test_what_a_name_covers(what: str, cells: set[Cell]) -> None:
    assert cells_of(what, WORLD, "goals.g.raise") == cells


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("adition", r"goals\.g\.raise = 'adition': no such ability or environment; did you mean 'addition'\?"),
        ("qqq", r"known: addition, carry, communication, math, other, refusals, sorting"),
        ("coding", r"goals\.g\.raise = 'coding': no environment measures it; add one, or name one of addition"),
        ("addition/9", r"goals\.g\.raise = 'addition/9': addition has levels 1, 2"),
        ("addition/", r"addition has levels"),
        ("math/1", r"no such ability or environment"),
    ],
)
def test_a_goal_that_nothing_measures_is_refused_by_name(what: str, sentence: str) -> None:
    refused(sentence, Goal("g", what))


def test_no_goal_is_one_goal_for_everything_that_may_be_trained() -> None:
    weights = checked().weights(WORLD)
    assert set(weights) == {cell for cell in EVERY if cell.environment != "refusals"}
    assert set(weights.values()) == {(1.0, None)}


def test_the_heaviest_weight_and_the_most_demanding_target_win() -> None:
    goals = checked(Goal("a", "math", target=0.8, weight=3.0), Goal("b", "addition/1", target=0.9), Goal("c", "carry"))
    weights = goals.weights(WORLD)
    assert weights[Cell("addition", 1)] == (3.0, 0.9)
    assert weights[Cell("addition", 2)] == (3.0, 0.8)
    assert weights[Cell("carry", 1)] == (3.0, 0.8)
    assert Cell("sorting", 1) not in weights


def test_forbidden_abilities_are_no_objective() -> None:
    assert {cell.environment for cell in checked(abilities=("math",)).weights(WORLD)} == {"sorting"}
    assert checked(abilities=("role_play",)).forbidden.abilities == ("role_play",)


@pytest.mark.parametrize(
    ("goal", "forbid", "sentence"),
    [
        (Goal("g", "math"), {"abilities": ("math",)}, r"goals\.g\.raise = 'math': contradicts forbid\.abilities: math"),
        (Goal("g", "carry"), {"abilities": ("math",)}, r"'carry': contradicts forbid\.abilities: math; drop one"),
        (Goal("g", "refusals", Direction.SAFETY), {}, r"environment refusals has train = false, it is only measured"),
        (Goal("g", "math", Direction.SAFETY), {}, r"goals\.g\.direction = 'safety': math is measured for performance"),
        (Goal("g"), {"methods": ("self_reward",)}, r"forbid\.methods: no recipe or module 'self_reward'; did you mean"),
        (Goal("g"), {"methods": ("qqq",)}, r"forbid\.methods: no recipe or module 'qqq'; known: star"),
        (Goal("g"), {"abilities": ("mathh",)}, r"forbid\.abilities = 'mathh'.*did you mean 'math'\?"),
        (Goal("g"), {"abilities": ("math", "other")}, r"every cell they name is forbidden or has train = false"),
    ],
)
def test_goals_against_prohibitions(goal: Goal, forbid: dict[str, tuple[str, ...]], sentence: str) -> None:
    refused(sentence, goal, **forbid)


@pytest.mark.parametrize("name", ["addition", "addition/2", "*"])
def test_forbidding_what_is_no_ability_is_refused_not_ignored(name: str) -> None:
    refused(r"forbid\.abilities", Goal("g"), abilities=(name,))


def test_known_methods_and_generated_ones_may_be_forbidden() -> None:
    assert checked(methods=("star", "metric_filter", "generated:feedback")).forbidden.methods[0] == "star"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (Protection("math"), r"protect\.math: give exactly one of margin, floor and at_most, got none"),
        (Protection("math", margin=0.1, floor=0.5), r"protect\.math: .*got margin, floor"),
        (Protection("math", at_most=2.0), r"protect\.math: at_most is for answer_tokens"),
        (Protection("answer_tokens", margin=0.1), r"protect\.answer_tokens: at_most is for answer_tokens"),
        (Protection("latency_s", at_most=2.0), r"protect\.latency_s: nothing measures it yet"),
        (Protection("refusal_rate", at_most=0.1), r"protect\.refusal_rate: nothing measures it yet"),
        (Protection("maths", margin=0.1), r"protect\.maths = 'maths': no such ability.*did you mean 'math'\?"),
        (Protection("coding", margin=0.1), r"protect\.coding = 'coding': no environment measures it"),
        (Protection("sorting/7", floor=0.1), r"sorting has levels 1, 2, 3"),
    ],
)
def test_protections_that_cannot_be_kept_are_refused_by_name(line: Protection, sentence: str) -> None:
    refused(sentence, protect=(line,))


@pytest.mark.parametrize(
    "line",
    [Protection("math", margin=0.02), Protection("sorting/3", floor=0.1), Protection("answer_tokens", at_most=1.25)],
)
def test_naming_one_thing_takes_no_protection_from_the_others(line: Protection) -> None:
    rules = {rule.what: rule for rule in checked(protect=(line,)).rules(WORLD)}
    assert set(rules) - {line.what} >= {"communication", "math", "other"} - {line.what}
    assert {rule.margin for what, rule in rules.items() if what != line.what} == {DEFAULT_MARGIN}
    assert not checked(protect=(line,)).protects_nothing


def test_without_the_others_only_what_is_named_is_protected() -> None:
    named = checked(protect=(Protection("math", margin=0.02),), nothing=True)
    assert [(rule.what, rule.margin) for rule in named.rules(WORLD)] == [("math", 0.02)]
    assert not named.protects_nothing
    tokens = checked(protect=(Protection("answer_tokens", at_most=1.25),), nothing=True)
    assert (tokens.rules(WORLD), tokens.answer_tokens, tokens.protects_nothing) == ((), 1.25, True)


def test_a_target_below_the_floor_is_a_contradiction() -> None:
    goal, line = Goal("g", "math", target=0.7), Protection("math", floor=0.9)
    refused(r"goals\.g\.target = 0\.7: lies below protect\.math\.floor = 0\.9", goal, protect=(line,))
    assert checked(Goal("g", "math", target=0.95), protect=(line,))


def test_no_protection_means_every_ability_with_the_default_margin() -> None:
    rules = checked().rules(WORLD)
    assert {rule.what: rule.margin for rule in rules} == dict.fromkeys(
        ("communication", "math", "other"), DEFAULT_MARGIN
    )
    assert {cell for rule in rules for cell in rule.cells} == EVERY


def test_protecting_nothing_gives_no_rule() -> None:
    assert checked(nothing=True).rules(WORLD) == ()


def test_a_named_ability_has_its_own_rule_and_cells_may_stand_beside_it() -> None:
    lines = (Protection("*", margin=0.02), Protection("math", floor=0.5), Protection("sorting/3", margin=0.01))
    rules = {rule.what: rule for rule in checked(protect=lines).rules(WORLD)}
    assert (rules["math"].margin, rules["math"].floor) == (None, 0.5)
    assert rules["sorting/3"] == Rule("sorting/3", (Cell("sorting", 3),), 0.01)
    assert rules["other"].margin == 0.02


def test_the_order_of_the_lines_does_not_matter() -> None:
    lines = (Protection("math", floor=0.5), Protection("*", margin=0.02))
    assert set(checked(protect=lines).rules(WORLD)) == set(checked(protect=lines[::-1]).rules(WORLD))


def test_answer_tokens_is_a_limit_of_its_own() -> None:
    goals = checked(protect=(Protection("answer_tokens", at_most=1.25), Protection("*", margin=0.1)))
    assert goals.answer_tokens == 1.25
    assert {rule.what for rule in goals.rules(WORLD)} == {"communication", "math", "other"}
    assert checked().answer_tokens is None


def test_no_environment_is_named_like_an_ability_in_use() -> None:
    world = {e.name: e for e in (environment("logic", "other"), environment("puzzles", "logic"))}
    with pytest.raises(BadGoals, match="logic"):
        check(Goals((Goal("g", "logic"),)), world, METHODS)


@given(st.lists(st.sampled_from(["*", "math", "other", "addition", "sorting/2", "carry"]), min_size=1, max_size=5))
def test_objectives_lie_inside_the_goals(names: list[str]) -> None:
    goals = checked(*(Goal(f"g{i}", name) for i, name in enumerate(names)))
    covered = {cell for name in names for cell in cells_of(name, WORLD, "x")}
    assert set(goals.weights(WORLD)) == {cell for cell in covered if WORLD[cell.environment].train}
