"""bugfix: the program shown is wrong, nearly right, and not an answer; its repair passes hidden tests."""

import json

import pytest

from objectives.environment import Program, from_file, own_answer
from objectives.finder import BUILT_IN
from tests.objectives.coding import Inside, rows_of, text_of


@pytest.fixture(scope="module")
def program() -> Program:
    return from_file("bugfix", BUILT_IN / "bugfix.py")


def test_the_program_shown_fails_the_example_shown(program: Program, run: Inside) -> None:
    """It runs, gives another result there, and is not an answer as it is; the right program gives what is shown."""
    for row in rows_of(program, 4):
        _, example, code = text_of(row).split(" | ")
        given, _, wanted = example.partition(" -> ")
        assert code == row["code"]
        for source, right in ((code, False), (own_answer(row) or "", True)):
            ran = run(source, "f", [[json.loads(given)]])
            assert ran.values is not None, ran.note
            assert (json.dumps(ran.values[0]) == wanted) is right, text_of(row)
        assert program.score(row, code, run) == 0.0


def test_one_bug_of_every_kind_and_one_for_each_chain(program: Program) -> None:
    """Wrong numbers, other steps, left out and changed over; the same words always come with the same bug."""
    found = set()
    bug_of: dict[str, str] = {}
    for row in rows_of(program, 30):
        right, wrong = ((said.removeprefix("def f(x): ").split("; ")) for said in (row["answer"], row["code"]))
        assert bug_of.setdefault(row["words"], row["code"]) == row["code"]
        if len(wrong) < len(right):
            found.add("left out")
        else:
            bare = [[part.removeprefix("x = ").removeprefix("return ") for part in said] for said in (right, wrong)]
            changed = [(a, b) for a, b in zip(*bare, strict=True) if a != b]
            assert len(changed) in (1, 2), row
            digits = [["".join(c for c in part if not c.isdigit()) for part in pair] for pair in changed]
            near = len(changed) == 1 and digits[0][0] == digits[0][1]
            found.add("changed over" if len(changed) == 2 else "number" if near else "step")
    assert found == {"left out", "changed over", "number", "step"}
