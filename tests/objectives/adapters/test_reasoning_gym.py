"""The reasoning-gym adapter: its own answers pass, its known loopholes are closed, code never reaches a scorer."""

import re
import time

import pytest

from objectives.adapters import reasoning_gym as adapter
from objectives.adapters.reasoning_gym import BROKEN, EXECUTES, FORMULA, final, load
from objectives.environment import BadEnvironment, Program, identity, own_answer
from objectives.types import ABILITIES

CODE = [
    "__import__('os').system('touch /tmp/metaevo-reasoning-gym-trap')",
    "(lambda: __import__('os').getcwd())()",
    "[c for c in ().__class__.__base__.__subclasses__()]",
    "open('/tmp/metaevo-reasoning-gym-trap','w')",
    "9**9**9",
    "9 ** 9 ** 9 ** 9",
    "1if 1else 1",
    "exec('1')",
    "x.__class__",
    "factorial(99999999)",
]
SAMPLE = ["countdown", "chain_sum", "letter_counting", "spiral_matrix", "family_relationships"]


@pytest.fixture(scope="module", params=SAMPLE)
def program(request: pytest.FixtureRequest) -> Program:
    return load("mine", request.param)


def test_own_answers_pass_and_empty_ones_fail(program: Program) -> None:
    assert program.make is not None
    for level in program.levels[:2]:
        for index in range(3):
            row = program.make(1, index, level)
            assert program.score(row, own_answer(row) or "") == 1.0
            assert program.score(row, f"I think so. answer: {own_answer(row)}") == 1.0
            assert program.score(row, "") == 0.0


def test_ability_is_one_of_the_survey_s_and_levels_rise(program: Program) -> None:
    assert program.ability in ABILITIES
    assert program.levels == tuple(range(1, len(program.levels) + 1))
    assert program.version.startswith("reasoning_gym ")


def test_make_is_pure_and_nearby_seeds_share_nothing(program: Program) -> None:
    assert program.make is not None
    one, again, two = ([identity(program.make(seed, i, 1)) for i in range(12)] for seed in (1, 1, 2))
    assert one == again
    assert not set(one) & set(two)


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("name", sorted(EXECUTES))
def test_code_never_reaches_a_scorer_that_would_run_it(name: str, code: str) -> None:
    assert EXECUTES[name].fullmatch(code) is None


@pytest.mark.parametrize(
    "tower",
    ["9^9^9", "9**(9**9)", "(9**9)**(9**9)", "9**9999", "2**(99*99)", "9**-9**9", "9**(9)**9", "E**9**9", "E**(9**9)"],
)
def test_no_exponent_is_large_or_a_power_itself(tower: str) -> None:
    assert FORMULA.fullmatch(f"x + {tower}") is None


@pytest.mark.parametrize(
    "formula", ["x**100 - 3", "4*(x + 1)**(3/2)/3 + C", "E**(2*x + 1)*x**3", "E**x", "exp(-x**2)", "x ** -1", "X^2/3"]
)
def test_plain_formulas_reach_the_scorer(formula: str) -> None:
    assert FORMULA.fullmatch(formula) is not None


def test_an_item_whose_own_answer_only_repeats_the_integral_is_left_out() -> None:
    program = load("mine", "intermediate_integration")
    assert program.make is not None
    rows = [program.make(3, index, level) for level in program.levels for index in range(40)]
    assert not [row["answer"] for row in rows if "Integral" in row["answer"]]


@pytest.mark.parametrize("name", sorted(EXECUTES))
def test_code_scores_zero_at_once(name: str) -> None:
    program = load("mine", name)
    assert program.make is not None
    row = program.make(1, 0, 1)
    began = time.perf_counter()
    for code in CODE:
        if EXECUTES[name].fullmatch(code) is None:
            said = (code, f"<answer>{code}</answer>", f"answer: {code}")
            assert [program.score(row, text) for text in said] == [0.0] * 3
    assert time.perf_counter() - began < 2.0


def test_a_power_tower_ends_at_once_in_countdown() -> None:
    program = load("mine", "countdown")
    assert program.make is not None
    began = time.perf_counter()
    assert program.score(program.make(1, 0, 1), "9**9**9") == 0.0
    assert time.perf_counter() - began < 2.0


@pytest.mark.parametrize("name", sorted(EXECUTES))
def test_the_right_answers_of_dangerous_scorers_still_pass(name: str) -> None:
    program = load("mine", name)
    assert program.make is not None
    rows = [program.make(2, index, 1) for index in range(8)]
    assert [program.score(row, own_answer(row) or "") for row in rows] == [1.0] * 8


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_scorers_are_refused_with_the_reason(name: str) -> None:
    with pytest.raises(BadEnvironment, match=re.escape(f"reasoning_gym:{name} is refused: {BROKEN[name]}")):
        load("mine", name)


def test_an_unknown_data_set_is_named() -> None:
    with pytest.raises(BadEnvironment, match="no data set 'countdwon'"):
        load("mine", "countdwon")


def test_partial_credit_is_no_pass() -> None:
    program = load("mine", "letter_counting")
    assert program.make is not None
    row = program.make(1, 0, 1)
    assert program.score(row, f"{own_answer(row)} or 99") == 0.0


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("<answer> 4 </answer>", "4"),
        ("<answer>3</answer> no, <answer>4</answer>", "4"),
        ("The Answer : 4", "4"),
        ("answer: 3\nAnswer: 4\n", "4"),
        ("  4 ", "4"),
        ("<answer>unclosed", "<answer>unclosed"),
        ("", ""),
    ],
)
def test_final_answer_of_a_completion(completion: str, answer: str) -> None:
    assert final(completion) == answer


def test_every_level_asks_for_something_else() -> None:
    levels = adapter._levels("chain_sum")
    assert len(levels) > 1
    assert len({repr(sorted(level.items())) for level in levels}) == len(levels)


@pytest.mark.parametrize("dataset", ["caesar_cipher", "knight_swap", "modulo_grid", "survo"])
def test_levels_that_the_data_set_itself_refuses_are_left_out(dataset: str) -> None:
    program = adapter.load(dataset, dataset)
    assert program.make is not None
    assert [program.make(1, 0, level)["level"] for level in program.levels] == list(program.levels)
