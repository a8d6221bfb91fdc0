"""One environment is one file: what it must export, how rewards are checked, how rows are found again."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.environment import BadEnvironment, Program, from_file, identity, messages, own_answer
from objectives.running import NoSandbox, Ran
from objectives.types import Direction, Message

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

ROWS = 'rows = [{"prompt": "one", "answer": "1"}, {"prompt": "two", "answer": "2", "level": 3}]\n'
REWARD = "def reward(completion, answer, **row):\n    return float(completion == answer)\n"
MAKE = 'def make(seed, index, level):\n    return {"prompt": f"{seed} {index}", "answer": "x", "level": level}\n'


def loaded(folder: Path, source: str, name: str = "mine") -> Program:
    path = folder / f"{name}.py"
    path.write_text(source)
    return from_file(name, path)


def rewarded(folder: Path, value: str) -> float | None:
    program = loaded(folder, ROWS + f"def reward(completion, **row):\n    return {value}\n")
    return program.score({"prompt": "one"}, "x")


def test_rows_file_and_its_defaults(tmp_path: Path) -> None:
    program = loaded(tmp_path, ROWS + REWARD)
    assert program.levels == (1, 3)
    assert (program.ability, program.direction) == ("other", Direction.PERFORMANCE)
    assert (program.pass_mark, program.timeout_s, program.alphabet, program.answer_tokens) == (1.0, 2.0, None, None)
    assert program.rows is not None
    assert [program.score(row, "1") for row in program.rows] == [1.0, 0.0]


def test_every_constant_is_read(tmp_path: Path) -> None:
    constants = (
        'ABILITY = "coding"\nDIRECTION = "safety"\nLEVELS = (2, 4)\nPASS_MARK = 0.5\nTIMEOUT_S = 9\n'
        'ALPHABET = "xyz"\nANSWER_TOKENS = 7\nMISTAKES = {"says no": lambda **row: "no"}\n'
        "def read(text):\n    return None\n"
    )
    program = loaded(tmp_path, MAKE + REWARD + constants)
    assert (program.ability, program.direction, program.levels) == ("coding", Direction.SAFETY, (2, 4))
    assert (program.pass_mark, program.timeout_s, program.alphabet, program.answer_tokens) == (0.5, 9.0, "xyz", 7)
    assert program.mistakes["says no"](prompt="q") == "no"
    assert program.read is not None


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (ROWS, r"export reward\(completion, \*\*row\)"),
        (REWARD, "export either rows or make"),
        (ROWS + MAKE + REWARD, "not both or neither"),
        ("rows = []\n" + REWARD, "at least one dict"),
        ("rows = 'abc'\n" + REWARD, "at least one dict"),
        ("rows = [{'prompt': 'q'}, {'answer': 'q'}]\n" + REWARD, r"rows\[1\] needs a prompt"),
        ("rows = [3]\n" + REWARD, r"rows\[0\] needs a prompt"),
        ("rows = [{'prompt': 'q', 'level': 'hard'}]\n" + REWARD, r"rows\[0\]\.level must be a whole number"),
        ("rows = [{'prompt': []}]\n" + REWARD, "prompt needs turns"),
        ("rows = [{'prompt': [{'role': 'robot', 'content': 'x'}]}]\n" + REWARD, "role system, user or assistant"),
        (ROWS + REWARD + "def reset(seed, level):\n    return None\n", "come with a later part"),
        ("import nothing_of_that_name\n" + ROWS + REWARD, "fails to import: ModuleNotFoundError"),
        ("rows = [\n" + REWARD, "fails to import: SyntaxError"),
        ("raise ValueError('no data')\n", "fails to import: ValueError: no data"),
        ("raise ValueError('two\\nlines')\n", "fails to import: ValueError: two lines"),
        ("raise SystemExit(3)\n", "fails to import: SystemExit: 3"),
        ("rows = [{'prompt': 'q', 'level': -1}]\n" + REWARD, r"rows\[0\]\.level must be a whole number"),
        ("rows = [{'prompt': 'q', 'level': True}]\n" + REWARD, r"rows\[0\]\.level must be a whole number"),
        ("rows = [{'prompt': '\\ud800'}]\n" + REWARD, r"rows\[0\]: prompt holds half of a surrogate pair"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path: Path, source: str, sentence: str) -> None:
    with pytest.raises(BadEnvironment, match=sentence) as caught:
        loaded(tmp_path, source)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match="environment mine: no file"):
        from_file("mine", tmp_path / "mine.py")


@pytest.mark.parametrize(
    "constant",
    [
        'DIRECTION = "up"',
        "LEVELS = 5",
        'LEVELS = ("a",)',
        'PASS_MARK = "high"',
        "MISTAKES = ['x']",
        "ALPHABET = 5",
        "read = 5",
    ],
)
def test_a_constant_of_the_wrong_kind_is_a_bad_environment(tmp_path: Path, constant: str) -> None:
    with pytest.raises(BadEnvironment, match="environment mine"):
        loaded(tmp_path, ROWS + REWARD + constant + "\n")


@pytest.mark.parametrize("constant", ["PASS_MARK = 0.0", "PASS_MARK = 2.0", "TIMEOUT_S = -1", "TIMEOUT_S = 0"])
def test_a_constant_out_of_its_range_is_a_bad_environment(tmp_path: Path, constant: str) -> None:
    with pytest.raises(BadEnvironment, match="environment mine"):
        loaded(tmp_path, ROWS + REWARD + constant + "\n")


def test_a_broken_prompt_is_refused_by_environment_and_row(tmp_path: Path) -> None:
    with pytest.raises(BadEnvironment, match=r"environment mine: rows\[1\]"):
        loaded(tmp_path, "rows = [{'prompt': 'q'}, {'prompt': 5}]\n" + REWARD)


@pytest.mark.parametrize(("value", "score"), [("0.25", 0.25), ("1", 1.0), ("0", 0.0), ("None", None)])
def test_rewards_in_range_and_cannot_say(tmp_path: Path, value: str, score: float | None) -> None:
    assert rewarded(tmp_path, value) == score


@pytest.mark.parametrize("value", ["1.5", "-0.1", "float('nan')", "float('inf')", "'1'", "[1.0]"])
def test_a_reward_that_is_no_share_is_an_error_never_a_score(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadEnvironment, match="want a number in"):
        rewarded(tmp_path, value)


def test_an_answer_outside_the_alphabet_never_reaches_the_reward(tmp_path: Path) -> None:
    reward = "def reward(completion, **row):\n    raise ValueError('called')\n"
    program = loaded(tmp_path, ROWS + 'ALPHABET = "ab"\n' + reward)
    assert program.score({"prompt": "q"}, "abc") == 0.0
    with pytest.raises(ValueError, match="called"):
        program.score({"prompt": "q"}, "abba")


def test_a_row_may_carry_its_own_completion_column(tmp_path: Path) -> None:
    program = loaded(tmp_path, ROWS + REWARD)
    assert program.score({"prompt": "q", "answer": "1", "completion": "9"}, "1") == 1.0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"reference": "r", "answer": "a"}, "r"),
        ({"answer": "a"}, "a"),
        ({"answer": {"b": 1, "a": "ü"}}, '{"a": "ü", "b": 1}'),
        ({"answer": 5}, "5"),
        ({"answer": False}, "false"),
        ({}, None),
    ],
)
def test_the_row_s_own_answer_as_a_completion(row: dict[str, Any], said: str | None) -> None:
    assert own_answer(row) == said


@given(st.text(min_size=1))
def test_a_plain_prompt_is_one_user_turn(text: str) -> None:
    assert messages(text) == (Message("user", text),)
    assert identity({"prompt": text}) == identity({"prompt": [{"role": "user", "content": text}]})


def test_rows_are_found_again_by_their_origin(tmp_path: Path) -> None:
    table = loaded(tmp_path, ROWS + REWARD)
    assert table.row("row:1", 3, "")["answer"] == "2"
    stream = loaded(tmp_path, MAKE + REWARD + "def read(text):\n    return make(0, 0, 1) if text == '0 0' else None\n")
    assert stream.row("made:7:3", 2, "")["prompt"] == "7 3"
    assert stream.row("posed", 1, "0 0")["prompt"] == "0 0"


@pytest.mark.parametrize("origin", ["posed", "made:1:2", "scribbled", ""])
def test_an_origin_that_leads_nowhere_is_an_error(tmp_path: Path, origin: str) -> None:
    with pytest.raises(BadEnvironment, match="no row for origin"):
        loaded(tmp_path, ROWS + REWARD).row(origin, 1, "text")


@pytest.mark.parametrize("origin", ["row:9", "row:-1", "row:x"])
def test_a_row_that_is_gone_is_an_error_of_the_same_kind(tmp_path: Path, origin: str) -> None:
    with pytest.raises(BadEnvironment, match="no row for origin"):
        loaded(tmp_path, ROWS + REWARD).row(origin, 1, "text")


def test_version_follows_code_and_rows(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    read = "from pathlib import Path\ntext = Path(__file__).with_name('data.txt').read_text()\n"
    source = read + "rows = [{'prompt': text}]\n" + REWARD
    data.write_text("one")
    first = loaded(tmp_path, source).version
    assert loaded(tmp_path, source).version == first
    data.write_text("two")
    by_data = loaded(tmp_path, source).version
    by_code = loaded(tmp_path, source + "# changed\n").version
    assert len({first, by_data, by_code}) == 3


@given(st.floats(min_value=0.0, max_value=1.0))
def test_any_share_is_a_score(value: float) -> None:
    program = Program("e", "other", Direction.PERFORMANCE, (1,), lambda _completion, **_row: value, "v", rows=())
    score = program.score({"prompt": "q"}, "x")
    assert score is not None
    assert math.isclose(score, value)


RUNS = (
    "def reward(completion, answer, run, **row):\n    return float(run(completion, 'f', [[2]]).values == (answer,))\n"
)


def test_a_reward_with_run_gets_the_sandbox_that_the_host_gives(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("rows = [{'prompt': 'q', 'answer': 4, 'run': 'no sandbox'}]\n" + RUNS)
    program = from_file("mine", path)
    asked = []

    def run(source: str, function: str, rows: Sequence[Sequence[object]]) -> Ran:
        asked.append((source, function, [list(row) for row in rows]))
        return Ran("ok", (4,))

    row = program.row("row:0", 1, "q")
    assert program.runs
    assert program.score(row, "a program", run) == 1.0
    assert asked == [("a program", "f", [[2]])]
    with pytest.raises(NoSandbox, match=r"environment mine: .* nobody gave it a sandbox"):
        program.score(row, "a program")


def test_a_changed_helper_of_the_package_is_a_changed_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    plain = ROWS + REWARD
    path.write_text(plain + "from objectives.environments._programs import code_of\n")
    before = from_file("mine", path).version
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "_programs.py").write_text("another")
    monkeypatch.setattr("objectives.environment.__file__", str(tmp_path / "environment.py"))
    assert from_file("mine", path).version != before
    path.write_text(plain)
    alone = from_file("mine", path).version
    monkeypatch.undo()
    assert from_file("mine", path).version == alone


@pytest.mark.parametrize("name", ["words.txt", "data/words.txt"])
def test_version_follows_a_file_that_the_source_names(tmp_path: Path, name: str) -> None:
    folder, words = tmp_path / "own", tmp_path / "own" / name
    words.parent.mkdir(parents=True)
    words.write_text("apple")
    path = folder / "mine.py"
    text = f"from pathlib import Path\nWORDS = (Path(__file__).parent / {name!r}).read_text()\n"
    text += "def make(seed, index, level):\n    return {'prompt': WORDS}\n"
    path.write_text(text + "def reward(completion, **row):\n    return 1\n")
    first = from_file("mine", path).version
    (folder / "other.txt").write_text("not named")
    assert from_file("mine", path).version == first
    words.write_text("pear")
    assert from_file("mine", path).version != first
