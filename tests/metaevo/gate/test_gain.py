"""The gain: which test, which items in which order, when it ends, and what is told of it."""

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from random import Random
from typing import Any

import pytest

from metaevo.gate.exam import Confirmed, Pairs
from metaevo.gate.gain import Question, confirm, tell, unread
from metaevo.gate.settings import GateRules
from metaevo.gate.stopping import cell_weights, is_hopeless, mean_of_groups, none_limit, screened, standing
from metaevo.gate.stream import Wanted, units
from metaevo.types import Generation, Tasks
from objectives.betting import Wealth
from objectives.drawing import Drawn
from objectives.statistics import exact_paired, level
from objectives.types import Cell, Message, Split, Task

FILE, OTHER, ENDLESS = Cell("file", 1), Cell("other", 1), Cell("addition", 5)
NEW, OLD = (Generation(f"g00000{i}", None, {"policy": str(i)}) for i in (2, 1))


@dataclass
class Drawer:
    """Draws items of numbered texts; a finite cell ends, and items may share groups of ``together``."""

    together: int = 1

    def draw(self, wanted: Wanted) -> Drawn:
        name, level_, _, seed, start, n = wanted
        tasks = tuple(self._task(name, level_, seed, i) for i in range(start, start + n))
        return Drawn(tasks, start + n, dry=False)

    def _task(self, name: str, level_: int, seed: int, i: int) -> Task:
        group = f"{name}{i // self.together}" if self.together > 1 else None
        text = f"{name} {seed} {i}"
        return Task(text, name, level_, Split.GATE, (Message("user", text),), group=group)


@dataclass
class FileExam:
    """An exam on finite cells whose differences are given by a function of the item."""

    one: Any
    rules: GateRules = field(default_factory=GateRules)
    sizes: dict[Cell, int | None] = field(default_factory=lambda: {FILE: 30})
    together: int = 1
    steps: list[str] = field(default_factory=list)
    at: Any = None

    def finite(self, cell: Cell) -> bool:
        return self.sizes[cell] is not None

    def units(self, cells: Any, weights: Any, cycle: int, use: str = "gain") -> Any:
        sized = [(cell, self.sizes[cell]) for cell in cells]
        return units(Drawer(self.together).draw, sized, weights, 7 if use == "gain" else 8)

    def on_items(self, _done: int, _most: int) -> None:
        return

    def pairs(self, step: str, _position: int, _new: Generation, _old: Generation, tasks: Tasks) -> Pairs:
        self.steps.append(step)
        made = tuple(self.one(task) for task in tasks)
        groups = tuple(task.group or "" for task in tasks) if self.together > 1 else ()
        return Pairs(tuple(t.cell for t in tasks), made, 0, (0, 0), tuple(t.id for t in tasks), (0.0, 0.0), groups)


def asked(*cells: Cell, partial: bool = False) -> Question:
    return Question(NEW, OLD, cells, (1 / len(cells),) * len(cells), 4, partial)


def run(exam: FileExam, question: Question, error: float = 0.005) -> Confirmed:
    return confirm(exam, question, error)  # type: ignore[arg-type]


@pytest.mark.parametrize("known", [True, False])
def test_partial_credit_is_never_proven_by_sign_flips(known: bool) -> None:
    """30 rows, 98 % win .02 and 2 % lose .98: the mean is 0, and sign flips called it proven in 51 %."""
    proven = flipped = 0
    for seed in range(200):
        rng = Random(seed)
        exam = FileExam(lambda _task, rng=rng: 0.02 if rng.random() < 0.98 else -0.98)
        found = run(exam, asked(FILE, partial=known), 0.025)
        proven += found.proven
        rng = Random(seed)
        flipped += exact_paired([0.02 if rng.random() < 0.98 else -0.98 for _ in range(30)]) <= 0.025
    assert proven == 0
    assert flipped > 80


def test_pass_and_fail_on_a_fixed_sample_is_the_exact_test_on_all_of_it() -> None:
    exam = FileExam(lambda task: float(task.text.endswith(("1", "3", "5"))))
    found = run(exam, asked(FILE))
    assert (found.proven, found.p_value, found.wealth.n, exam.steps) == (True, 2.0**-9, 30, ["exact"])


def test_partial_credit_on_a_file_ends_with_it_and_nothing_is_left() -> None:
    exam = FileExam(lambda _task: 0.1, sizes={FILE: 30, OTHER: 10, ENDLESS: None})
    files = asked(FILE, OTHER, partial=True)
    found = run(exam, files)
    assert (found.proven, found.p_value) == (False, None)
    assert unread(exam, files, found.place) == 0  # type: ignore[arg-type]
    assert unread(exam, files, found.place - 7) == 7  # type: ignore[arg-type]
    assert unread(exam, asked(FILE, ENDLESS), 0) is None  # type: ignore[arg-type]


def test_finite_and_endless_cells_mix_and_the_finite_one_s_share_lets_it_last() -> None:
    weights = cell_weights([None, 30], 600)
    assert weights == (0.95, 0.05)
    assert cell_weights([None, None], 600) == (0.5, 0.5)
    assert cell_weights([None, 10_000], 600) == (0.5, 0.5)
    assert cell_weights([30, 90], 600) == (0.25, 0.75)
    exam = FileExam(lambda _task: 0.0, sizes={ENDLESS: None, FILE: 30}, rules=GateRules(max_items=200, screen_items=16))
    cells = Counter(task.cell for unit in islice(exam.units((ENDLESS, FILE), weights, 4), 400) for task in unit)
    assert cells[FILE] == pytest.approx(20, abs=10)
    assert sum(cells.values()) == 400


def test_it_ends_when_a_drawn_cell_is_dry_and_no_other_takes_its_place() -> None:
    exam = FileExam(lambda _task: 0.0, sizes={ENDLESS: None, FILE: 30})
    made = list(exam.units((ENDLESS, FILE), (0.5, 0.5), 4))
    counts = Counter(task.cell for unit in made for task in unit)
    assert counts[FILE] == 30
    assert 15 <= counts[ENDLESS] <= 50


def test_the_order_is_random_not_in_rotation_and_the_same_however_far_it_is_read() -> None:
    exam = FileExam(lambda _task: 0.0, sizes={ENDLESS: None, OTHER: None})
    first = [unit[0] for unit in islice(exam.units((ENDLESS, OTHER), (0.5, 0.5), 4), 64)]
    again = [unit[0] for unit in islice(exam.units((ENDLESS, OTHER), (0.5, 0.5), 4), 600)]
    assert again[:64] == first
    assert len({task.text for task in again}) == 600
    pairs = Counter((a.cell, b.cell) for a, b in pairwise(again))
    assert all(count > 100 for count in pairs.values())
    assert len(pairs) == 4


def test_one_group_is_one_bet_on_its_mean() -> None:
    """Clusters of 8 whose members agree: bet on one by one they are proven far too often, together hardly ever."""
    assert mean_of_groups([1.0, 0.0, -1.0, 0.5], ["a", "", "a", ""]) == (0.0, 0.0, 0.5)
    apart = together = 0
    for seed in range(150):
        rng = Random(seed)
        worlds = [rng.choice((-0.4, 0.4)) for _ in range(64)]
        values = [[1.0 if rng.random() < 0.5 + w else -1.0 for _ in range(8)] for w in worlds]
        apart += any(Wealth().bet(list(chain(*values[:n]))).e_value >= 20 for n in range(8, 65, 8))
        means = [sum(v) / 8 for v in values]
        together += any(Wealth().bet(means[:n]).e_value >= 20 for n in range(8, 65, 8))
    assert apart > 0.15 * 150
    assert together <= 0.05 * 150
    exam = FileExam(lambda _task: 1.0, sizes={FILE: 64}, together=8)
    found = run(exam, asked(FILE))
    assert found.wealth.n <= 8
    assert all(len({task.group for task in unit}) == 1 for unit in exam.units((FILE,), (1.0,), 4))


@pytest.mark.parametrize(("unreadable", "low"), [(0.03, -0.05), (0.0, -0.02)])
def test_a_candidate_that_turns_right_answers_unreadable_is_not_promoted(unreadable: float, low: float) -> None:
    """Half a point worse besides: an answer that only the candidate made unreadable is a wrong one."""
    proven = 0
    for seed in range(120):
        rng, wealth = Random(seed), Wealth()
        for _ in range(20):
            block = [
                -1.0 if rng.random() < unreadable else rng.choices((1.0, -1.0, 0.0), (0.0975, 0.1025, 0.8))[0]
                for _ in range(64)
            ]
            wealth = wealth.bet(block)
            if standing(wealth, level(0.05, 1), 1000) == "proven":
                proven += 1
                break
        assert wealth.gain().mean > low - 0.1
    assert proven <= 0.025 * 120


def test_the_none_limit_is_a_third_of_the_smallest_margin_where_that_is_less() -> None:
    assert none_limit(0.01, []) == 0.01
    assert none_limit(0.01, [0.05, 0.03]) == pytest.approx(0.01)
    assert none_limit(0.01, [0.05, 0.015]) == pytest.approx(0.005)


def test_the_screen_has_a_bar_and_a_confirmation_ends_without_hope() -> None:
    assert [screened(mean, 0.0125) for mean in (0.012, 0.0125)] == [False, True]
    losing = Wealth().bet([-1.0, 0.0, 0.0, 0.0] * 100)
    assert (standing(losing, 0.005, 9000), standing(Wealth().bet([1.0] * 40), 0.005, 9000)) == ("futile", "proven")
    found = run(FileExam(lambda _task: 0.0, sizes={ENDLESS: None}), asked(ENDLESS))
    assert (found.futile, found.proven) == (True, False)


def test_what_is_told_is_fresh_or_holds_whenever_one_stopped() -> None:
    rng = Random(1)
    exam = FileExam(lambda _task: float(rng.random() < 0.3), sizes={ENDLESS: None, OTHER: None, FILE: 90})
    exam.at = type("At", (), {"cycle": 4})()
    both = asked(ENDLESS, OTHER)
    told = tell(exam, both, run(exam, both))  # type: ignore[arg-type]
    assert told is not None
    assert (told.test, told.n, exam.steps[-1]) == ("fresh items", 1600, "told")
    assert told.low < 0.3 < told.high
    assert told.high - told.low < 0.06
    assert set(told.cells) == {str(ENDLESS), str(OTHER)}
    assert sum(cell.n for cell in told.cells.values()) == 1600
    fixed = run(exam, asked(FILE))
    told = tell(exam, asked(FILE), fixed)  # type: ignore[arg-type]
    assert told is not None
    assert (told.test, told.n) == ("confidence sequence", 90)
    assert told.low < told.mean < told.high


def test_the_levels_of_a_life_sum_to_alpha_and_grow_with_promotions() -> None:
    assert sum(level(0.05, k) for k in range(1, 200_000)) == pytest.approx(0.05 * (1 - math.log(5) / math.log(200_004)))
    assert level(0.05, 7, promotions=3) == pytest.approx(4 * level(0.05, 7))
    assert level(0.05, 1) == pytest.approx(0.05 * (1 - math.log(5) / math.log(6)))


def test_futility_ends_only_what_cannot_succeed() -> None:
    assert is_hopeless(Wealth().bet([-1.0, 0.0] * 200), math.log(40), 10_000)
    assert is_hopeless(Wealth().bet([1.0, -1.0, 0.0] * 100 + [1.0] * 20), math.log(1e6), 64)
    assert not is_hopeless(Wealth().bet([1.0] * 300), math.log(1e30), 64)
    assert not is_hopeless(Wealth().bet([-1.0] * 200), math.log(40), 64)


@pytest.mark.parametrize("sizes", [{ENDLESS: None, OTHER: None}, {FILE: 400, OTHER: 400}], ids=["fresh", "sequence"])
def test_the_cells_beside_what_is_told_bet_once_a_group_and_cover_the_true_gain(sizes: dict[Cell, int | None]) -> None:
    """Worlds of 8 whose items agree: item by item the fresh intervals covered half, the sequence three quarters."""
    covered = 0
    both = asked(*sizes)
    for seed in range(10):
        rng = Random(seed)
        worlds: dict[str, float] = {}

        def one(task: Task, rng: Random = rng, worlds: dict[str, float] = worlds) -> float:
            return worlds.setdefault(task.group or "", rng.choice((1.0, 0.0, 0.0, -1.0)))

        exam = FileExam(one, GateRules(told_items=400), sizes, together=8)
        exam.at = type("At", (), {"cycle": 4})()
        told = tell(exam, both, run(exam, both))  # type: ignore[arg-type]
        assert told is not None
        assert set(told.cells) == set(map(str, sizes))
        assert sum(cell.n for cell in told.cells.values()) == told.n <= 100
        covered += sum(cell.low <= 0 <= cell.high for cell in told.cells.values())
    assert covered >= 18
