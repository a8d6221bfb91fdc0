"""The grader pool with real processes: what an answer or an environment does wrong, and what becomes of the score."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaevo.engines.grader import GraderPool, Item
from metaevo.errors import BadInput, ModuleFailed
from objectives.finder import Source
from objectives.types import Graded, Split, Unsaid

TRICKY = """\
import os, sys, time
TIMEOUT_S = 0.6
rows = [{"prompt": f"question {i}", "answer": "right"} for i in range(60)]
rows.append({"prompt": " ".join(sorted(os.environ)), "answer": "right"})
MISTAKES = {"raises": lambda **row: 1 // 0, "says left": lambda **row: "left"}
def read(text):
    raise ValueError("not mine")
def reward(completion, answer, **row):
    if completion == "raise":
        raise ValueError("two\\nlines")
    if completion == "hang":
        time.sleep(60)
    if completion == "die":
        os._exit(3)
    if completion == "exit":
        sys.exit(3)
    if completion == "memory":
        return float(len(bytearray(6 << 30)) > 0)
    if completion == "unsure":
        return None
    return float(completion == answer)
"""
CARELESS = """\
TIMEOUT_S = 0.6
rows = [{"prompt": "question", "answer": "1 + 1"}]
def reward(completion, answer, **row):
    return float(eval(completion) == eval(answer))
"""
BROKEN = """\
import os, time
TIMEOUT_S = 0.6
rows = [{"prompt": name, "answer": "right"} for name in ("raise", "hang", "die")]
def reward(completion, prompt, **row):
    if prompt == "raise":
        raise KeyError("hole")
    if prompt == "hang":
        time.sleep(60)
    os._exit(3)
"""
FILES = {"tricky": TRICKY, "careless": CARELESS, "broken": BROKEN}
USES = {**{name: f"{name}.py" for name in FILES}, "sums": "addition"}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraderPool]:
    folder = tmp_path_factory.mktemp("environments")
    for name, source in FILES.items():
        (folder / f"{name}.py").write_text(source)
    os.environ["METAEVO_TOKEN"] = "hunter2"
    made = GraderPool([Source(name, use, str(folder)) for name, use in USES.items()], workers=2)
    made.describe()
    yield made
    made.close()
    del os.environ["METAEVO_TOKEN"]


@pytest.fixture
def events(pool: GraderPool) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    pool.on_event = lambda code, sentence, data: said.append((code, sentence))
    return said


def graded(pool: GraderPool, environment: str, *completions: str | None, row: int = 0) -> list[Graded]:
    return pool.grade(environment, [(f"row:{row}", 1, "question", said) for said in completions])


def test_answers_are_graded_in_order_also_when_they_are_spread_over_processes(pool: GraderPool) -> None:
    items: list[Item] = [(f"row:{i % 60}", 1, "q", "right" if i % 3 else "left") for i in range(250)]
    assert [grade.score for grade in pool.grade("tricky", items)] == [float(bool(i % 3)) for i in range(250)]
    assert pool.grade("tricky", []) == []
    assert graded(pool, "tricky", None) == [Graded(1.0)]


def test_cannot_say_is_none_and_no_event(pool: GraderPool, events: list[tuple[str, str]]) -> None:
    assert graded(pool, "tricky", "unsure", "right") == [Graded(None, unsaid=Unsaid.COMPLETION), Graded(1.0)]
    assert events == []


@pytest.mark.parametrize(
    ("completion", "note"),
    [
        ("raise", "ValueError: two"),
        ("hang", "timeout"),
        ("die", "died"),
        ("exit", "SystemExit: 3"),
        ("memory", "MemoryError"),
    ],
)
def test_an_answer_that_breaks_its_grader_twice_scores_zero_and_is_told(
    pool: GraderPool, events: list[tuple[str, str]], completion: str, note: str
) -> None:
    """The row's own answer passes, so the fault is the answer's; its neighbours keep their scores."""
    found = graded(pool, "tricky", "right", completion, "left", "right")
    assert [grade.score for grade in found] == [1.0, 0.0, 0.0, 1.0]
    assert found[1].note.startswith(note)
    assert [grade.note for grade in found if grade is not found[1]] == [""] * 3
    ((code, sentence),) = events
    assert code == "answer_breaks_grader"
    assert sentence.startswith(f"environment tricky: grading failed twice ({note}")
    assert sentence.endswith("the fault is the answer's")


@pytest.mark.parametrize(("row", "note"), [(0, "KeyError: 'hole'"), (1, "timeout"), (2, "died")])
def test_an_environment_that_fails_on_its_own_answer_says_nothing_and_is_told(
    pool: GraderPool, events: list[tuple[str, str]], row: int, note: str
) -> None:
    assert graded(pool, "broken", "right", row=row) == [Graded(None, note, unsaid=Unsaid.ROW)]
    ((code, sentence),) = events
    assert code == "grader_failed"
    assert sentence.endswith("the fault is the environment's")
    assert graded(pool, "tricky", "right") == [Graded(1.0)]


@pytest.mark.parametrize("attack", ["os.system('touch {}')", "open('{}', 'w')", "os.mkdir('{}')", "os.open('{}', 66)"])
def test_code_in_an_answer_leaves_nothing_behind(pool: GraderPool, tmp_path: Path, attack: str) -> None:
    """Even a reward that evaluates what it is given can start no process and write no file."""
    trap = tmp_path / "trap"
    code = attack.format(trap).replace("os.", "__import__('os').")
    assert [grade.score for grade in graded(pool, "careless", code, "2")] == [0.0, 1.0]
    assert not trap.exists()


@pytest.mark.parametrize("attack", ["__import__('socket').socket()", "__import__('subprocess').run(['true'])"])
def test_code_in_an_answer_reaches_no_network_and_no_process(pool: GraderPool, attack: str) -> None:
    (found,) = graded(pool, "careless", attack)
    assert found.score == 0.0
    assert found.note.startswith("PermissionError")


@pytest.fixture(scope="module")
def gym(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraderPool]:
    """Data sets whose own scorers evaluate the answer."""
    folder = str(tmp_path_factory.mktemp("gym"))
    uses = ("spiral_matrix", "simple_integration")
    made = GraderPool([Source(name, f"reasoning_gym:{name}", folder) for name in uses], workers=1)
    yield made
    made.close()


@pytest.mark.parametrize("name", ["spiral_matrix", "simple_integration"])
def test_code_is_no_answer_and_never_evaluated(gym: GraderPool, tmp_path: Path, name: str) -> None:
    pool, trap = gym, tmp_path / "trap"
    task = pool.draw(name, 1, Split.TRAIN, 1, 0, 1).tasks[0]
    said = [f"__import__('os').system('touch {trap}')", f"open('{trap}', 'w')", "9**9**9", "9 ** 9 ** 9", "[]" * 5000]
    began = time.perf_counter()
    found = pool.grade(name, [(task.origin, task.level, task.text, text) for text in said])
    assert time.perf_counter() - began < 2.0
    assert found == [Graded(0.0)] * len(said)
    assert not trap.exists()


def test_a_power_tower_ends_at_its_limit_even_where_a_reward_evaluates_it(pool: GraderPool) -> None:
    began = time.perf_counter()
    found = graded(pool, "careless", "9**9**9", "2")
    spent = time.perf_counter() - began
    assert [grade.score for grade in found] == [0.0, 1.0]
    assert spent < 2 * 0.6 + 3 * fresh_process_s(pool)


def fresh_process_s(pool: GraderPool) -> float:
    """Return what a killed grader process costs: starting it, importing every environment, one item."""
    began = time.perf_counter()
    for child in pool._children:
        child.kill()
    graded(pool, "sums", "0")
    return time.perf_counter() - began + 1.0


def test_no_secret_reaches_an_environment(pool: GraderPool) -> None:
    drawn = [pool.draw("tricky", 1, split, 0, 0, 99).tasks for split in Split]
    (names,) = [task.text.split() for part in drawn for task in part if not task.text.startswith("question")]
    assert "PATH" in names
    assert not [name for name in names if "TOKEN" in name or "KEY" in name or name.startswith("METAEVO")]


def test_the_doors_are_closed_after_loading(pool: GraderPool) -> None:
    assert pool.closed_doors["memory"]
    assert pool.closed_doors["audit"]


def test_helpers_that_raise_only_name_nothing(pool: GraderPool) -> None:
    assert pool.mistakes("tricky", [("row:0", 1, "q", "left"), ("row:0", 1, "q", "up")]) == ["says left", None]
    found = pool.posed(["add 12+30", "add 13+31", "question 3", "\x00"])
    assert [task.environment for task in found if task is not None] in ([], ["sums"], ["sums", "sums"])
    assert found[2:] == [None, None]


def test_what_a_draw_raises_is_an_error_by_name(pool: GraderPool) -> None:
    with pytest.raises(ModuleFailed, match="nowhere"):
        pool.draw("nowhere", 1, Split.TRAIN, 1, 0, 1)
    assert graded(pool, "tricky", "right") == [Graded(1.0)]


@pytest.mark.parametrize(
    ("use", "content", "sentence"),
    [
        ("dataset", b'{"prompt": "q", "answer": ', r"environments\.mine: mine\.jsonl:1: no JSON"),
        ("dataset", json.dumps({"prompt": "q"}).encode(), r"environments\.mine: mine\.jsonl:1: no 'answer'"),
        ("dataset", b"\xff\xfe", r"environments\.mine: mine\.jsonl:1: no JSON"),
        ("dataset", b"", r"environments\.mine: .*mine\.jsonl holds no rows"),
        ("mine.py", b"raise SystemExit(3)\n", r"environment mine: .*mine\.py fails to import: SystemExit: 3"),
        ("mine.py", b"rows = [{'prompt': 'q'}]\n", r"environment mine: export reward"),
        ("gone.py", b"", r"environment mine: no file .*gone\.py"),
        ("reasoning_gym:coin_flip", b"", "reasoning_gym:coin_flip is refused"),
        ("adition", b"", r"environments\.mine: no environment 'adition'; did you mean 'addition'\?"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_in_one_line(
    tmp_path: Path, use: str, content: bytes, sentence: str
) -> None:
    options: dict[str, Any] = {"path": "mine.jsonl"} if use == "dataset" else {}
    (tmp_path / ("mine.jsonl" if use == "dataset" else "mine.py")).write_bytes(content)
    pool = GraderPool([Source("mine", use, str(tmp_path), options)], workers=1)
    try:
        with pytest.raises(BadInput, match=sentence) as caught:
            pool.describe()
    finally:
        pool.close()
    assert "\n" not in str(caught.value)


CONTRACT = """\
import numpy
from fractions import Fraction
GIVEN = {
    "bool": True, "numpy bool": numpy.True_, "float32": numpy.float32(0.5), "int64": numpy.int64(1),
    "half": Fraction(1, 2),
    "more": 1.0000000000000002, "nan": float("nan"), "ten": 10.0, "less": -0.1, "text": "1", "list": [1.0],
    "array": numpy.array([1.0]), "complex": 1j,
}
rows = [{"prompt": f"question {i}", "answer": "bool", "seen": []} for i in range(4)]
rows.append({"prompt": "no answer fits", "answer": "unsaid", "seen": []})
def reward(completion, seen, **row):
    seen.append(completion)
    if completion == "unsaid":
        return None
    if completion == "first":
        return float(len(seen) == 1)
    return GIVEN[completion]
"""
NUMBERS = {"bool": 1.0, "numpy bool": 1.0, "float32": 0.5, "int64": 1.0, "half": 0.5}
BREACHES = ("more", "nan", "ten", "less", "text", "list", "array", "complex")


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraderPool]:
    folder = tmp_path_factory.mktemp("contract")
    (folder / "contract.py").write_text(CONTRACT)
    made = GraderPool([Source("contract", "contract.py", str(folder))], workers=1)
    made.describe()
    yield made
    made.close()


def test_bools_and_numbers_of_other_kinds_are_numbers(contract: GraderPool) -> None:
    assert [grade.score for grade in graded(contract, "contract", *NUMBERS)] == list(NUMBERS.values())


def test_what_a_reward_returns_outside_its_contract_is_the_environments_fault_and_told_by_cause(
    contract: GraderPool,
) -> None:
    """None for every such answer, never a 0; a request tells each cause once, with its count."""
    said: list[tuple[str, int]] = []
    contract.on_event = lambda code, _sentence, data: said.append((code, int(str(data["answers"]))))
    found = graded(contract, "contract", *BREACHES, "ten", "bool")
    assert [(grade.score, grade.unsaid) for grade in found[:-1]] == [(None, Unsaid.ROW)] * 9
    assert all("want a number in [0, 1] or None" in grade.note for grade in found[:-1])
    assert found[-1] == Graded(1.0)
    assert sorted(said) == [("grader_failed", 1)] * 7 + [("grader_failed", 2)]


def test_a_reward_gets_its_own_copy_of_the_row_every_time(contract: GraderPool) -> None:
    assert [grade.score for grade in graded(contract, "contract", "first", "first", "first")] == [1.0] * 3


def test_a_none_is_the_rows_where_its_own_answer_gets_none_too(contract: GraderPool) -> None:
    assert graded(contract, "contract", "unsaid") == [Graded(None, unsaid=Unsaid.COMPLETION)]
    assert graded(contract, "contract", "unsaid", row=4) == [Graded(None, unsaid=Unsaid.ROW)]
