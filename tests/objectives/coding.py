"""What the coding environments' tests share: their programs run in a real sandbox, and what is sent there is kept."""

from collections.abc import Sequence
from typing import Any

from objectives.audit import Audit, audit
from objectives.drawing import draw
from objectives.environment import Program, Row, own_answer
from objectives.running import Ran
from objectives.types import Environment, Graded, Split
from sandbox.monty import Monty
from sandbox.types import Kernel

STEPS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 4, 7: 5, 8: 6}
"""Steps of a program by level."""
GARBAGE = (
    "",
    " ",
    "12",
    "f",
    "def f(x): pass",
    "def f(x): return None",
    "def f(x): return x",
    "def f(x): return 0",
    "def f(x): return []",
    "def f(x): return ''",
    "def g(x): return x",
    "Here is the program: def f(x): return x",
    "def f(x): return x\n" * 200,
    "f(x) = x",
    "\x00",
    "def f(x): raise ValueError",
)


class Inside:
    """A `Run` in the embedded sandbox."""

    def __init__(self) -> None:
        self.tier = Monty()
        self.sent: list[tuple[str, list[list[Any]]]] = []

    def __call__(self, source: str, function: str, rows: Sequence[Sequence[Any]]) -> Ran:
        self.sent.append((source, [list(row) for row in rows]))
        result = self.tier.run(Kernel(source, function), rows)
        return Ran(result.verdict.value, result.values, result.note)


def rows_of(program: Program, count: int, seed: int = 7) -> list[Row]:
    assert program.make is not None
    return [program.make(seed, index, level) for level in program.levels for index in range(count)]


def text_of(row: Row) -> str:
    return str(row["prompt"][-1]["content"])


def audited(program: Program, run: Inside) -> Audit:
    tasks = tuple(task for level in (1, 4, 8) for task in draw(program, level, Split.TRAIN, 1, 0, 12).tasks)

    def grade(environment: str, items: Sequence[tuple[str, int, str, str | None]]) -> list[Graded]:
        rows = [(program.row(origin, level, text), said) for origin, level, text, said in items]
        answers = [(row, (own_answer(row) or "") if said is None else said) for row, said in rows]
        return [Graded(program.score(row, answer, run)) for row, answer in answers]

    given = (program.name, program.ability, program.direction, program.levels)
    return audit(Environment(*given, dict.fromkeys(program.levels), 1.0, 2.0, "v"), tasks, grade)


def check_pure(program: Program) -> None:
    """Rows repeat, differ between seeds, have their level and are read back from their text, from nothing else."""
    assert program.make is not None
    assert program.read is not None
    rows = rows_of(program, 12)
    assert rows == rows_of(program, 12)
    assert [text_of(row) for row in rows] != [text_of(row) for row in rows_of(program, 12, seed=8)]
    assert [row["level"] for row in rows] == [level for level in program.levels for _ in range(12)]
    assert [program.read(text_of(row)) for row in rows] == rows
    for text in (text_of(row) for row in rows[::12]):
        head, words, *rest = text.replace(" ", ": ", 1).split(": ", 2)
        broken = [text + " ", " " + text, text + "\n", text.upper(), text.replace(" | ", " |", 1), f"{head} {words}"]
        broken += [text.replace(" -> ", " -> 1", 1), f"{head} {words}: fly; {rest[0]}", text.replace(words, "set", 1)]
        assert [bad for bad in broken if program.read(bad) is not None] == [], text


def check_answers(program: Program, run: Inside) -> None:
    """Own answers pass, also in a fence; what is not an answer does not; levels ask for more and more."""
    rows = rows_of(program, 5)
    for row in rows:
        right = own_answer(row) or ""
        assert program.score(row, right, run) == 1.0, text_of(row)
        assert len(right.split("; ")) == STEPS[row["level"]]
        assert len(right) < 400
    for row in rows[::5]:
        right = own_answer(row) or ""
        assert program.score(row, f"```python\n{right}\n```\n", run) == 1.0
        bad = [*GARBAGE, right[:-1], right * 2, f"Sure! {right}", f"{right} or {right}", f"```\n{right}", "x" * 10_000]
        assert [said for said in bad if said != right and program.score(row, said, run) != 0.0] == [], text_of(row)


def check_hidden(program: Program, run: Inside) -> None:
    """The tests are in no prompt and no row, and what they should give does not enter the sandbox."""
    for row in rows_of(program, 6):
        run.sent.clear()
        assert program.score(row, "def f(x): return 7", run) == 0.0
        ((source, inputs),) = run.sent
        assert source == "def f(x): return 7"
        assert len(inputs) >= 12
        assert all(len(arguments) == 1 for arguments in inputs)
        shown = [part.partition(" -> ")[0] for part in text_of(row).split(" | ")[1:] if " -> " in part]
        assert not {str(x).replace("'", '"') for (x,) in inputs[3:]} & set(shown)
        assert str(inputs[5][0]) not in str({key: value for key, value in row.items() if key != "prompt"}).split()


def check_mistakes(program: Program, run: Inside) -> None:
    """Each named mistake is a program of its own, and mostly wrong."""
    rows = [row for row in rows_of(program, 4) if row["level"] >= 3]
    assert 2 <= len(program.mistakes) <= 4
    for name, wrong in program.mistakes.items():
        said = [wrong(**row) for row in rows]
        assert len(set(said)) > 5, name
        assert all(text == " ".join(text.split()) for text in said), name
        scores = [program.score(row, text, run) for row, text in zip(rows, said, strict=True)]
        assert scores.count(0.0) >= 0.6 * len(rows), name
