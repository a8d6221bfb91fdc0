"""Exam items: of the gate's share only, drawn from a secret, in an order nobody can influence, paired and counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.artifacts.store import Store
from metaevo.errors import CodeChanged
from metaevo.gate.exam import GateExam, Pairs, Void, commitment, gate_seed, interleave, once, pair
from metaevo.gate.settings import GateRules
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.ledger import open_ledger
from metaevo.prompts import load
from metaevo.registry.registry import Registry
from metaevo.runtime.host import Host
from metaevo.testing import ScriptedEngine
from metaevo.testing.effects import TASK
from metaevo.types import Generation
from objectives import drawing
from objectives.environment import Program, from_file, own_answer
from objectives.finder import BUILT_IN
from objectives.splits import NEWEST
from objectives.types import Cell, Environment, Graded, Message, Outcome, Report, Split, Task, Unsaid

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("metaevo")

NAMES = ("addition", "sorting")
PROGRAMS: dict[str, Program] = {name: from_file(name, BUILT_IN / f"{name}.py") for name in NAMES}
LARGE, OTHER, SMALL = Cell("addition", 6), Cell("sorting", 7), Cell("addition", 1)
Item = tuple[str, int, str, str | None]


@dataclass
class InProcess:
    """The grader pool's part of an exam in this process: for the built-in environments only."""

    unsaid: frozenset[str] = frozenset()
    drawn: list[tuple[str, int, Split, int]] = field(default_factory=list)

    def draw_many(self, wanted: Sequence[tuple[str, int, Split, int, int, int]]) -> list[drawing.Drawn]:
        self.drawn += [want[:4] for want in wanted]
        return [drawing.draw(PROGRAMS[name], level, *rest) for name, level, *rest in wanted]  # type: ignore[arg-type]

    def grade(self, environment: str, items: Sequence[Item]) -> list[Graded]:
        return [self._one(PROGRAMS[environment], *item) for item in items]

    def _one(self, program: Program, origin: str, level: int, text: str, said: str | None) -> Graded:
        if text in self.unsaid:
            return Graded(None, "cannot say", unsaid=Unsaid.ROW)
        row = program.row(origin, level, text)
        return Graded(program.score(row, (own_answer(row) or "") if said is None else said))


def environment(program: Program) -> Environment:
    texts = {level: 100 if (program.name, level) == ("addition", 1) else None for level in program.levels}
    return Environment(program.name, program.ability, program.direction, program.levels, texts, 1.0, 2.0, "v")


def exam_at(folder: Path, secret: str = "s" * 64, cycle: int = 3, graders: InProcess | None = None) -> GateExam:
    ledger, store = open_ledger(folder / "metaevo.db", create=True), Store(folder / "artifacts")
    engine = ScriptedEngine(store, environments=NAMES)
    known = {name: environment(program) for name, program in PROGRAMS.items()}
    host = Host(ledger, store, Registry(), graders or InProcess(), [engine], known, load("tiny"))  # type: ignore[arg-type]
    return GateExam(host, Journal(ledger, store, 1), engine, At(cycle), GateRules(), secret)


@pytest.fixture
def exam(tmp_path: Path) -> GateExam:
    return exam_at(tmp_path)


def generation(exam: GateExam, id_: str, **skills: float) -> Generation:
    """Return a generation that answers this share of a level right: ``addition_6 = 0.9``."""
    assert isinstance(exam.engine, ScriptedEngine)
    return Generation(id_, None, {"policy": exam.engine.write({k.replace("_", "/"): v for k, v in skills.items()})})


def ids(tasks: Sequence[Task]) -> list[str]:
    return [task.id for task in tasks]


def test_items_are_of_the_gate_s_share_different_and_whole(exam: GateExam) -> None:
    tasks = exam.items((LARGE, OTHER), 3, 101)
    assert len(tasks) == len(set(ids(tasks))) == 101
    assert {task.split for task in tasks} == {Split.GATE}
    assert all(NEWEST.split(task.environment, task.text) is Split.GATE for task in tasks)
    assert all(task.reference is not None for task in tasks)
    assert [task.cell for task in tasks[:4]] == [LARGE, OTHER, LARGE, OTHER]


@given(st.integers(1, 150), st.integers(1, 150))
def test_a_longer_exam_begins_with_the_shorter_one(tmp_path_factory: pytest.TempPathFactory, a: int, b: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "prefix"
    folder.mkdir(exist_ok=True)
    exam = exam_at(folder)
    short, long = (exam.items((LARGE, OTHER), 3, n) for n in sorted((a, b)))
    assert ids(long)[: len(short)] == ids(short)
    exam.host.ledger.close()


def test_items_depend_on_secret_cycle_and_use_and_on_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = exam_at(tmp_path / "a"), exam_at(tmp_path / "b", secret="t" * 64)
    first = ids(one.items((LARGE,), 3, 60))
    assert first == ids(one.items((LARGE,), 3, 60))
    for other in (one.items((LARGE,), 4, 60), one.items((LARGE,), 3, 60, "protection"), two.items((LARGE,), 3, 60)):
        assert not set(first) & set(ids(other))


def test_a_finite_cell_has_one_sample_whatever_the_cycle(exam: GateExam) -> None:
    assert (exam.finite(SMALL), exam.finite(LARGE)) == (True, False)
    first = exam.items((SMALL,), 3, 2000)
    assert 3 <= len(first) <= 25
    assert ids(first) == ids(exam.items((SMALL,), 9, 2000)) == ids(exam.items((SMALL,), 3, 2000, "protection"))


@given(st.text(min_size=1, max_size=80), st.integers(0, 10**6))
def test_the_seed_is_a_keyed_hash_and_the_commitment_hides_it(secret: str, cycle: int) -> None:
    seed = gate_seed(secret, cycle)
    assert 0 <= seed < 2**48
    assert seed == gate_seed(secret, cycle)
    assert len({seed, gate_seed(secret, cycle + 1), gate_seed(secret, cycle, "protection")}) == 3
    assert commitment(secret, cycle) == commitment(secret, cycle)
    assert str(seed) not in commitment(secret, cycle)
    assert commitment(secret, cycle) != commitment(secret, cycle + 1)


def test_seeds_do_not_repeat_in_a_long_life() -> None:
    seeds = [gate_seed("s" * 64, cycle, use) for cycle in range(5000) for use in ("gain", "protection", "guards")]
    assert len(set(seeds)) == len(seeds)


def task(number: int, cell: Cell = LARGE) -> Task:
    return Task(f"t{number}", cell.environment, cell.level, Split.GATE, ())


@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 30))
def test_cells_take_turns_until_they_are_dry(lengths: list[int], n: int) -> None:
    lists = [[task(100 * i + j, Cell("e", i)) for j in range(length)] for i, length in enumerate(lengths)]
    found = interleave(lists, n)
    assert len(found) == min(n, sum(lengths))
    assert len(set(ids(found))) == len(found)
    counts = [sum(t.level == i for t in found) for i in range(len(lengths))]
    for count, length in zip(counts, lengths, strict=True):
        assert count >= min(length, max(counts) - 1)


scores = st.none() | st.floats(0.0, 1.0)
outcomes = st.tuples(scores, scores, st.booleans())


@given(st.lists(outcomes, max_size=12))
def test_pairs_leave_out_what_cannot_be_graded_and_any_other_none_is_a_0(
    table: list[tuple[float | None, float | None, bool]],
) -> None:
    tasks = tuple(task(i, LARGE if i % 2 else OTHER) for i in range(len(table)))
    new, old = (
        Report(
            f"g{side}",
            Split.GATE,
            tuple(
                Outcome(t.id, t.cell, row[side], 0, Unsaid.ROW if row[2] and row[side] is None else None)
                for t, row in zip(tasks, table, strict=True)
            ),
        )
        for side in (0, 1)
    )
    found = pair(tasks, new, old, (7, 9))
    said = [
        (t, a or 0.0, b or 0.0) for t, (a, b, bad) in zip(tasks, table, strict=True) if not (bad and None in (a, b))
    ]
    assert found.differences == tuple(a - b for _, a, b in said)
    assert (found.tasks, found.cells) == (tuple(t.id for t, _, _ in said), tuple(t.cell for t, _, _ in said))
    assert found.nones == len(table) - len(said)
    assert found.scores == pytest.approx((sum(a for _, a, _ in said), sum(b for _, _, b in said)))
    assert found.tokens == (7, 9)
    assert sorted(d for part in found.by_cell().values() for d in part) == sorted(found.differences)


def test_both_generations_answer_the_same_items(exam: GateExam) -> None:
    new, old = generation(exam, "g000002", addition_6=0.9), generation(exam, "g000001", addition_6=0.3)
    tasks = exam.items((LARGE,), 3, 120)
    found = exam.pairs("screen", 0, new, old, tasks)
    assert found.tasks == tuple(ids(tasks))
    assert sum(found.differences) / 120 == pytest.approx(0.6, abs=0.15)
    assert found.tokens[0] > 0
    same = exam.pairs("screen", 1, new, new, tasks)
    assert set(same.differences) == {0.0}


def test_a_block_is_journalled_and_read_again_without_an_engine(exam: GateExam, tmp_path: Path) -> None:
    new, old = generation(exam, "g000002", addition_6=0.9), generation(exam, "g000001", addition_6=0.3)
    tasks = exam.items((LARGE,), 3, 40)
    found = exam.pairs("confirm", 2, new, old, tasks)
    again = GateExam(exam.host, exam.journal, None, At(3), GateRules(), exam.secret)  # type: ignore[arg-type]
    assert again.pairs("confirm", 2, new, old, tasks) == found
    with pytest.raises(CodeChanged, match="confirm changed while the cycle ran"):
        again.pairs("confirm", 2, new, old, tasks[:-1])
    with pytest.raises(CodeChanged, match="confirm changed"):
        again.pairs("confirm", 2, old, new, tasks)


@pytest.mark.parametrize(("unsaid", "void"), [(0, False), (2, False), (3, True)])
def test_too_many_ungraded_items_of_the_whole_decision_void_it_also_when_it_is_read_again(
    tmp_path: Path, unsaid: int, void: bool
) -> None:
    """More than 1 % of 200, however they lie in its blocks: no verdict, and a resumed cycle comes to the same."""
    exam = exam_at(tmp_path)
    tasks = exam.items((LARGE,), 3, 200)
    assert isinstance(exam.host.graders, InProcess)
    exam.host.graders.unsaid = frozenset(task.text for task in tasks[:unsaid])
    new, old = generation(exam, "g000002", addition_6=0.9), generation(exam, "g000001", addition_6=0.3)
    for _ in range(2):
        looked = replace(exam, asked=0, replaced=0, spares=set())
        assert looked.pairs("confirm", 0, new, old, tasks[:64]).nones == unsaid
        looked.pairs("confirm", 1, new, old, tasks[64:])
        if void:
            with pytest.raises(Void, match=r"3 of 200 items could not be graded, more than 1.0%"):
                looked.check_gradable(0.01)
        else:
            looked.check_gradable(0.01)


def test_a_pair_that_cannot_be_said_is_replaced_by_the_next_item(tmp_path: Path) -> None:
    exam = exam_at(tmp_path)
    tasks = exam.items((LARGE,), 3, 100)
    assert isinstance(exam.host.graders, InProcess)
    exam.host.graders.unsaid = frozenset({tasks[0].text})
    new, old = generation(exam, "g000002", addition_6=0.9), generation(exam, "g000001", addition_6=0.3)
    found = exam.pairs("screen", 0, new, old, tasks)
    assert (len(found.differences), found.nones) == (100, 1)
    assert found.tasks[:99] == tuple(ids(tasks[1:]))
    assert found.tasks[99] not in ids(tasks)
    assert set(found.cells) == {LARGE}


def test_a_replacement_is_the_same_when_it_is_read_again_and_is_never_asked_twice(tmp_path: Path) -> None:
    exam = exam_at(tmp_path)
    tasks = exam.items((LARGE,), 3, 80)
    assert isinstance(exam.host.graders, InProcess)
    exam.host.graders.unsaid = frozenset({tasks[0].text})
    new, old = generation(exam, "g000002", addition_6=0.9), generation(exam, "g000001", addition_6=0.3)
    found = exam.pairs("confirm", 0, new, old, tasks[:40])
    (spare,) = exam.spares
    unlucky = (*tasks[40:79], next(t for t in exam.items((LARGE,), 3, 17, "spare/confirm/0/0") if t.id == spare))
    second = exam.pairs("confirm", 1, new, old, unlucky)
    assert spare not in second.tasks
    assert len(second.differences) == 40
    again = GateExam(exam.host, exam.journal, None, At(3), GateRules(), exam.secret)  # type: ignore[arg-type]
    assert again.pairs("confirm", 0, new, old, tasks[:40]) == found
    assert again.pairs("confirm", 1, new, old, unlucky) == second


def test_a_finite_cell_has_no_items_to_replace_others(tmp_path: Path) -> None:
    exam = exam_at(tmp_path)
    tasks = exam.items((SMALL, LARGE), 3, 30)
    assert isinstance(exam.host.graders, InProcess)
    exam.host.graders.unsaid = frozenset({tasks[0].text})
    new, old = generation(exam, "g000002"), generation(exam, "g000001")
    found = exam.pairs("screen", 0, new, old, tasks)
    assert (found.nones, len(found.differences)) == (1, len(tasks) - 1)


def test_nothing_an_exam_draws_is_of_another_split(exam: GateExam) -> None:
    exam.items((LARGE, SMALL), 3, 10)
    exam.items((OTHER,), 4, 10, "guards")
    assert isinstance(exam.host.graders, InProcess)
    assert {want[2] for want in exam.host.graders.drawn} == {Split.GATE}
    assert Pairs((), (), 0, (0, 0)).by_cell() == {}


def test_an_exam_holds_each_text_once_also_across_cells() -> None:
    asked = [replace(TASK, id=f"t{i}", level=i % 3, prompt=(Message("user", f"question {i // 2}"),)) for i in range(12)]
    assert [task.id for task in once(tuple(asked))] == [f"t{i}" for i in range(0, 12, 2)]
