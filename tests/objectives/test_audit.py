"""The audit: a good environment is usable, each known way to pay for nothing is found by the check made for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import pytest

from objectives.audit import Audit, audit
from objectives.drawing import draw, sizes
from objectives.environment import Program, Row, from_file, own_answer
from objectives.finder import BUILT_IN, built_in
from objectives.types import Direction, Environment, Graded, Split, Task, Unsaid

Item = tuple[str, int, str, str | None]
Score = Callable[[Row, str], float | None]


@dataclass
class Grader:
    """What the grader pool does, in this process: for rewards written in this file only."""

    program: Program
    score: Score

    def __call__(self, environment: str, items: Sequence[Item]) -> list[Graded]:
        assert environment == self.program.name
        return [self._one(*item) for item in items]

    def _one(self, origin: str, level: int, text: str, completion: str | None) -> Graded:
        row = self.program.row(origin, level, text)
        try:
            score = self.score(row, (own_answer(row) or "") if completion is None else completion)
        except ZeroDivisionError as error:
            return Graded(None, f"ZeroDivisionError: {error}", unsaid=Unsaid.ROW)
        return Graded(score, unsaid=Unsaid.ROW if score is None else None)


def questions(n: int = 60, answer: Callable[[int], object] = lambda i: f"word{i}") -> Program:
    rows = tuple({"prompt": f"question {i}", "answer": answer(i), "level": 1} for i in range(n))
    return Program("e", "other", Direction.PERFORMANCE, (1,), exact_reward, "v", rows=rows)


def exact_reward(completion: str, answer: object, **_row: object) -> float:
    return float(completion == answer)


def exact(row: Row, said: str) -> float:
    return float(said == row["answer"])


def audited(score: Score, program: Program | None = None, tasks: tuple[Task, ...] | None = None) -> Audit:
    program = program or questions()
    known = Environment(program.name, program.ability, program.direction, program.levels, sizes(program), 1.0, 2.0, "v")
    given = tasks if tasks is not None else draw(program, 1, Split.TRAIN, 1, 0, 30).tasks
    return audit(known, given, Grader(program, score))


def failed(found: Audit) -> set[str]:
    return {finding.name for finding in found.findings if not finding.ok}


def test_a_strict_reward_is_usable() -> None:
    found = audited(exact)
    assert failed(found) == set()
    assert found.usable
    assert {f.name: f.detail for f in found.findings}["its own answers pass"] == "30 of 30"


@pytest.mark.parametrize("name", [name for name in built_in() if not from_file(name, BUILT_IN / f"{name}.py").runs])
def test_the_built_in_environments_pass(name: str) -> None:
    """Those whose answers run in a sandbox are audited in test_tinyprog.py and test_bugfix.py."""
    program = from_file(name, BUILT_IN / f"{name}.py")
    tasks = tuple(task for level in (1, 4, 8) for task in draw(program, level, Split.TRAIN, 1, 0, 10).tasks)
    narrow = Program(
        name,
        program.ability,
        program.direction,
        (1,),
        program.reward,
        "v",
        make=program.make,
        alphabet=program.alphabet,
    )
    assert audited(narrow.score, narrow, tasks).usable


@pytest.mark.parametrize(
    ("score", "check"),
    [
        (lambda row, said: 1.0, "empty answers fail"),
        (lambda row, said: float(said != ""), "code payloads fail"),
        (lambda row, said: float(len(said) > 500) or exact(row, said), "10,000 characters fail"),
        (lambda row, said: float("system" in said) or exact(row, said), "code payloads fail"),
        (lambda row, said: float(said == "0") or exact(row, said), "no constant answer pays"),
        (lambda row, said: 0.0, "its own answers pass"),
        (lambda row, said: None, "its own answers pass"),
        (lambda row, said: 0.9 * exact(row, said), "its own answers pass"),
        (lambda row, said: exact(row, said) if said else None, "empty answers fail"),
        (lambda row, said: exact(row, said) if len(said) < 99 else None, "10,000 characters fail"),
        (lambda row, said: exact(row, said) / (said != "zzz"), "no grading fails"),
    ],
)
def test_a_reward_that_pays_for_nothing_is_refused(score: Score, check: str) -> None:
    found = audited(score)
    assert check in failed(found)
    assert not found.usable


def test_credit_for_hedging_is_told_but_does_not_refuse() -> None:
    found = audited(lambda row, said: float(str(row["answer"]) in said))
    assert failed(found) == {"padding and hedging fail"}
    assert found.usable


def test_a_reward_that_changes_its_mind_is_refused() -> None:
    toss = count()
    found = audited(lambda row, said: exact(row, said) if said != "zzz" else float(next(toss) % 3 == 0))
    assert "grading is repeatable" in failed(found)
    assert not found.usable


def test_a_cell_with_one_right_answer_is_worthless() -> None:
    found = audited(exact, questions(answer=lambda _: "always"))
    assert "no constant answer pays" in failed(found)
    assert found.cells[0].constant == 1.0


def test_rows_without_answers_cannot_be_checked() -> None:
    program = Program(
        "e", "other", Direction.PERFORMANCE, (1,), exact_reward, "v", rows=tuple({"prompt": f"q{i}"} for i in range(60))
    )
    found = audited(lambda row, said: 0.0, program)
    assert {f.name: f.detail for f in found.findings}["its own answers pass"].startswith("no row names its answer")
    assert not found.usable


def test_a_payload_that_runs_is_noticed_and_cleaned_up() -> None:
    def careless(row: Row, said: str) -> float:
        if said.startswith("open("):
            eval(said)
        return exact(row, said)

    assert "payloads leave nothing behind" in failed(audited(careless))
    assert "payloads leave nothing behind" not in failed(audited(exact))


def test_a_stream_that_repeats_itself_is_refused() -> None:
    program = questions()
    task = draw(program, 1, Split.TRAIN, 1, 0, 1).tasks[0]
    assert "seeds give different tasks" in failed(audited(exact, program, (task,) * 10))


def test_sizes_and_shares_are_told() -> None:
    found = audited(exact, questions(200))
    assert found.cells[0].texts == 200
    assert found.cells[0].splits == {"train": 120, "probe": 20, "dev": 20, "gate": 20, "anchor": 10, "vault": 10}


def test_an_audit_without_tasks_does_not_pass() -> None:
    assert not audited(exact, tasks=()).usable


def test_the_first_distinct_causes_are_named_with_their_counts() -> None:
    """Whoever reads why no own answer passes reads what went wrong, not only that something did."""
    found = {f.name: f.detail for f in audited(lambda row, said: 1 / 0).findings}
    assert found["its own answers pass"].startswith("0 of 30: ZeroDivisionError: division by zero (30), for example ")
    assert found["no grading fails"].startswith("ZeroDivisionError: division by zero (")
    ten = {f.name: f.detail for f in audited(lambda row, said: 0.5).findings}
    assert ten["its own answers pass"].startswith("0 of 30: it gave 0.5 (30)")


def test_a_reward_that_counts_its_calls_is_refused() -> None:
    """The first grading is compared with a later one in another order, not the second with the third."""
    asked: set[str] = set()

    def once(row: Row, said: str) -> float:
        fresh = row["prompt"] not in asked
        asked.add(row["prompt"])
        return exact(row, said) * fresh

    found = audited(once)
    assert "grading is repeatable" in failed(found)
    assert not found.usable


def worlds(group: bool) -> Program:
    """Five questions about each of a dozen stories."""
    rows = []
    for i in range(60):
        story = " ".join(f"{word}{i // 5}" for word in ("an", "old", "king", "of", "far", "lands") * 6)
        row = {"prompt": f"Read and answer. {story} Question {i}?", "answer": f"word{i}", "level": 1}
        rows.append(row | ({"group": f"story {i // 5}"} if group else {}))
    return Program("e", "other", Direction.PERFORMANCE, (1,), exact_reward, "v", rows=tuple(rows))


def test_rows_about_one_world_that_do_not_say_so_are_refused() -> None:
    found = audited(exact, worlds(group=False))
    assert failed(found) == {"no undeclared groups"}
    assert not found.usable
    assert audited(exact, worlds(group=True)).usable
