"""tinyprog: what its steps say, write and mean agree; hidden tests decide; only programs are paid for."""

import json

import pytest

from objectives.drawing import sizes
from objectives.environment import Program, from_file, own_answer
from objectives.environments import _programs as programs
from objectives.environments._steps import STEPS
from objectives.finder import BUILT_IN
from tests.objectives.coding import Inside


@pytest.fixture(scope="module")
def program() -> Program:
    return from_file("tinyprog", BUILT_IN / "tinyprog.py")


def test_every_step_means_what_its_text_does(run: Inside) -> None:
    """Two implementations: the step's text in the sandbox, its meaning here."""
    kinds = {(step.takes, step.kind) for step in STEPS.values()}
    assert len(kinds) >= 60
    for takes in ("number", "list", "word"):
        steps = [step for step in STEPS.values() if step.takes == takes and step.given in (None, 1, 2, 5, 17, "a", "t")]
        inputs = programs.hidden(f"{takes}: all")
        tests = ", ".join(f"lambda x: {step.code}" for step in steps)
        ran = run(f"def f(x): return [g(x) for g in [{tests}]]", "f", [[x] for x in inputs])
        assert ran.values is not None, ran.note
        for i, step in enumerate(steps):
            wanted = [step.call(x, step.given) for x in inputs]
            assert json.dumps([value[i] for value in ran.values]) == json.dumps(wanted), (step.words, step.code)


def test_levels_begin_finite_and_become_endless(program: Program) -> None:
    found = sizes(program)
    assert found[1] is not None
    assert found[1] > 100
    assert [level for level, size in found.items() if size is None] == [5, 6, 7, 8]


def test_another_program_that_does_the_same_passes(program: Program, run: Inside) -> None:
    assert program.read is not None
    chain = programs.chain_of("list: keep the even ones; add 3 to each; sum")
    assert chain is not None
    row = programs.row_of(chain, "", "")
    assert own_answer(row) == "def f(x): x = [v for v in x if v % 2 == 0]; x = [v + 3 for v in x]; return sum(x)"
    loop = (
        "def f(x):\n    total = 0\n    for v in x:\n        if not v % 2:\n            total += v + 3\n    return total"
    )
    recursive = "def f(x): return 0 if not x else (x[0] + 3 if x[0] % 2 == 0 else 0) + f(x[1:])"
    named = "f = lambda x: sum([v + 3 for v in x if v % 2 == 0])"
    assert [program.score(row, said, run) for said in (loop, recursive, named)] == [1.0] * 3


@pytest.mark.parametrize(
    "cheat",
    [
        "def f(x): return {s: r for s, r in [EXAMPLES]}[str(x)]",
        "def f(x): return _rows_",
        "def f(x): return [_rows_[0], x]",
        "def f(x): return json",
        "def f(x): return float(sum([v + 3 for v in x if v % 2 == 0]))",
        "def f(x): return str(sum([v + 3 for v in x if v % 2 == 0]))",
        "def f(x): return [sum([v + 3 for v in x if v % 2 == 0])]",
        "class Any:\n    def __eq__(self, other): return True\ndef f(x): return Any()",
        "import json\njson.dumps = lambda v: '[' + ','.join(['0'] * 12) + ']'\ndef f(x): return 0",
    ],
)
def test_a_cheat_gets_nothing(program: Program, run: Inside, cheat: str) -> None:
    """Shown examples learnt by heart, the tests looked for inside, another type, an equality of its own."""
    assert program.read is not None
    chain = programs.chain_of("list: keep the even ones; add 3 to each; sum")
    assert chain is not None
    row = programs.row_of(chain, "", "")
    pairs = ", ".join(f"({str(x)!r}, {programs.result(chain, x)})" for x in ([1, 2, 4], [3, 6, 6]))
    assert program.score(row, cheat.replace("EXAMPLES", pairs), run) == 0.0


def test_only_chains_that_matter_are_asked_for() -> None:
    """A step that changes nothing, a result that hardly varies, numbers without end: no task."""
    for words in (
        "list: sort; sort",
        "list: reverse; reverse",
        "list: keep the even ones; keep the odd ones",
        "number: negate; negate",
        "number: modulo 1",
        "number: square; square; square; square; square",
        "list: sum; sort",
        "list: ",
        "list: " + "; ".join(["add 1 to each", "add 2 to each", "add 3 to each"] * 3),
    ):
        assert programs.chain_of(words) is None, words
    assert programs.chain_of("list: keep the even ones; sum") is not None
