"""The environments the tiny model speaks: own answers pass, wrong ones fail, posed texts are read strictly."""

from pathlib import Path

import pytest

import objectives
from objectives.environment import Program, Row, from_file, identity, own_answer
from objectives.types import ABILITIES, Direction

FOLDER = Path(objectives.__file__).parent / "environments"
ABILITY_OF = {
    "addition": "math",
    "modular_sum": "math",
    "letter_count": "reasoning",
    "reversal": "other",
    "sorting": "other",
    "letter_shift": "other",
    "extremes": "other",
    "format_orders": "instruction_following",
    "grid_navigation": "embodied_control",
    "block_unstacking": "planning",
}
EXAMPLES = {  # user text: (level, right completion)
    ("addition", "add 71+12"): (2, "83"),
    ("addition", "add 47+85"): (2, "231"),
    ("addition", "add 0+0"): (1, "0"),
    ("modular_sum", "mod 3-4-4"): (2, "371"),
    ("letter_count", "cnt a abba"): (2, "2"),
    ("letter_count", "cnt c cccccccccc"): (8, "10"),
    ("reversal", "rev abc"): (2, "cba"),
    ("sorting", "srt fjf"): (2, "ffj"),
    ("letter_shift", "nxt acj"): (2, "bdk"),
    ("extremes", "max bfad"): (2, "fa"),
    ("format_orders", "fmt dd:jga"): (2, "jgaaa"),
    ("format_orders", "fmt urdb:abcde"): (8, "DCBAAE"),
    ("grid_navigation", "nav 21 RL"): (2, "11"),
    ("block_unstacking", "blk efla:a"): (2, "eflA"),
}
NO_TASKS = {
    "addition": ["add 47+8", "add 40+12", "add 4+-1", "add 123456789+123456789", "add ４+５"],
    "modular_sum": ["mod 3", "mod 3-44", "mod 3+4", "mod 1-2-3-4-5-6-7-8-9-0"],
    "letter_count": ["cnt d abba", "cnt a ab", "cnt a abbd", "cnt  a abba"],
    "reversal": ["rev a", "rev abk", "rev abcdefghij", "rev ab c"],
    "sorting": ["srt a", "srt fjk", "srt FJF"],
    "letter_shift": ["nxt a", "nxt abk", "nxt ABC"],
    "extremes": ["max ab", "max abk", "max abcdefghija"],
    "format_orders": ["fmt :abc", "fmt x:abc", "fmt uuuuu:abc", "fmt u:abcd"],
    "grid_navigation": ["nav 21", "nav 31 R", "nav 21 X", "nav 21 RLRLRLRLR"],
    "block_unstacking": ["blk efla:e", "blk effa:a", "blk efla:b", "blk ef:f", "blk efla:A"],
}


@pytest.fixture(scope="module", params=sorted(ABILITY_OF))
def program(request: pytest.FixtureRequest) -> Program:
    return from_file(request.param, FOLDER / f"{request.param}.py")


def rows_of(program: Program, count: int = 40) -> list[Row]:
    assert program.make is not None
    return [program.make(7, index, level) for level in program.levels for index in range(count)]


def test_folder_holds_exactly_these_and_the_coding_environments() -> None:
    """Those have tests of their own: their answers run in a sandbox."""
    assert {path.stem for path in FOLDER.glob("[a-z]*.py")} == {*ABILITY_OF, "tinyprog", "bugfix"}


def test_exports(program: Program) -> None:
    assert program.ability == ABILITY_OF[program.name]
    assert program.ability in ABILITIES
    assert program.direction is Direction.PERFORMANCE
    assert program.levels == tuple(range(1, 9))
    assert 2 <= len(program.mistakes) <= 4


def test_own_answers_pass_and_lie_in_the_alphabet(program: Program) -> None:
    for row in rows_of(program):
        for right in (row["answer"], own_answer(row) or ""):
            assert set(right) <= set(program.alphabet or ""), row
            assert program.score(row, right) == 1.0, row
            assert program.reward(f" {right}\n", **row) == 1.0, row


def test_constants_padding_code_and_novels_fail(program: Program) -> None:
    for row in rows_of(program, 5):
        right = own_answer(row) or ""
        bad = ["", " ", "?", right + right + right, f"the answer is {right}", "__import__('os').getcwd()", "0" * 10_000]
        assert [wrong for wrong in bad if program.reward(wrong, **row)] == [], row


def test_levels_are_as_asked_and_texts_vary(program: Program) -> None:
    assert program.make is not None
    for level in program.levels:
        rows = [program.make(3, index, level) for index in range(50)]
        assert {row["level"] for row in rows} == {level}
        assert len({identity(row) for row in rows}) >= 20


def test_make_is_pure_and_seeds_differ(program: Program) -> None:
    assert program.make is not None
    assert rows_of(program, 5) == rows_of(program, 5)
    one, two = ([identity(program.make(seed, index, 6)) for index in range(10)] for seed in (1, 2))
    assert one != two
    first = program.make(1, 0, 3)
    first["prompt"][0]["content"] = "spoiled"
    assert program.make(1, 0, 3)["prompt"][0]["content"] != "spoiled"


def test_read_gives_back_the_made_row(program: Program) -> None:
    assert program.read is not None
    for row in rows_of(program):
        assert program.read(row["prompt"][-1]["content"]) == row


def test_read_refuses_what_is_not_exactly_a_task(program: Program) -> None:
    assert program.read is not None
    text = rows_of(program, 1)[0]["prompt"][-1]["content"]
    broken = ["", text + " ", " " + text, text + "\n", text.upper(), text.replace(" ", ""), text + ">", "add 1+1" * 50]
    assert [bad for bad in [*broken, *NO_TASKS[program.name]] if program.read(bad) is not None] == []


def test_mistakes_are_wrong_answers_a_reader_would_recognise(program: Program) -> None:
    rows = [row for row in rows_of(program) if row["level"] >= 2]
    for name, wrong in program.mistakes.items():
        given = [(wrong(**row), row) for row in rows]
        assert all(isinstance(text, str) for text, _ in given), name
        graded_wrong = [program.score(row, text) == 0.0 for text, row in given]
        assert sum(graded_wrong) >= 0.25 * len(rows), name
        assert len({text for text, _ in given}) > 1, name


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_examples(name: str, text: str) -> None:
    program = from_file(name, FOLDER / f"{name}.py")
    assert program.read is not None
    row = program.read(text)
    assert row is not None
    level, right = EXAMPLES[name, text]
    assert row["level"] == level
    assert own_answer(row) == right
    assert program.score(row, right) == 1.0


@pytest.mark.parametrize(
    ("completion", "score"),
    [("1", 1.0), ("371", 1.0), ("31", 1.0), ("3711", 0.0), ("372", 0.0), ("", 0.0), ("3 1", 0.0), ("x1", 0.0)],
)
def test_modular_sum_takes_the_bare_answer_and_the_working(completion: str, score: float) -> None:
    program = from_file("modular_sum", FOLDER / "modular_sum.py")
    assert program.read is not None
    row = program.read("mod 3-4-4")
    assert row is not None
    assert program.score(row, completion) == score
