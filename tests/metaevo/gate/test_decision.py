"""The gate: error spent per confirmation and never given back, null rate and power by simulation, every verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from metaevo.artifacts.bodies import dump
from metaevo.artifacts.store import Store
from metaevo.gate.case import Case
from metaevo.gate.decision import decide, gain_numbers, resume
from metaevo.gate.evidence import BettingGain, ExactGain, ReasonCode, Verdict
from metaevo.gate.exam import Confirmed, Pairs, Panel
from metaevo.gate.gain import Question, confirm, screen
from metaevo.gate.settings import GateRules
from metaevo.gate.stopping import cell_weights
from metaevo.ledger.confirmations import (
    Asked,
    Confirmation,
    SampleUsedUp,
    budget_count,
    confirmation_count,
    confirmations_per_cell,
    end_confirmation,
    next_level,
    open_budget,
    open_confirmation,
)
from metaevo.ledger.journal import At
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.tables import ConfirmationRow
from metaevo.types import Completion, Generation
from objectives.betting import Wealth
from objectives.goals import Rule
from objectives.statistics import level
from objectives.types import Cell, Message, Split, Task
from services.text.format import WORDS, reason_words

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

AIM, SIDE, OTHER, SMALL = Cell("addition", 5), Cell("addition", 2), Cell("sorting", 4), Cell("sorting", 1)
CELLS = (AIM, SIDE, OTHER, SMALL)
ASKED = (Message("user", "q"),)
TASKS = {c: tuple(Task(f"{c}/{i}", c.environment, c.level, Split.GATE, ASKED) for i in range(16_000)) for c in CELLS}
NEW, OLD, BASE = (Generation(f"g00000{i}", None, {"policy": str(i)}) for i in (2, 1, 0))
ASK = Question(NEW, OLD, (AIM,), (1.0,), 4)


@dataclass
class Ground:
    """What a verdict needs of a host: the error ledger and the candidate's manifest."""

    ledger: Ledger
    store: Store


@dataclass
class SimulatedExam:
    """An exam whose outcomes are drawn: per cell a true gain, and how often two generations differ at all."""

    rng: Random
    gains: dict[Cell, float] = field(default_factory=dict)
    rules: GateRules = field(default_factory=GateRules)
    host: Any = None
    at: At = field(default_factory=lambda: At(4))
    discordant: float = 0.2
    skill: float = 1.0
    token_ratio: float = 1.0
    answers: tuple[Completion, ...] = (Completion("42", 1, -0.5),)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    @property
    def engine(self) -> "SimulatedExam":
        return self

    def probe(self, _generation: Generation) -> tuple[Completion, ...]:
        return self.answers

    def on_items(self, _done: int, _most: int) -> None:
        return

    def finite(self, cell: Cell) -> bool:
        return cell == SMALL

    def texts(self, cell: Cell) -> int | None:
        return 1200 if cell == SMALL else None

    def weights(self, cells: Sequence[Cell]) -> tuple[float, ...]:
        return cell_weights([self.texts(cell) for cell in cells], self.rules.max_items)

    def units(
        self, cells: Sequence[Cell], weights: Sequence[float], _cycle: int, use: str = "gain"
    ) -> Iterator[tuple[Task, ...]]:
        """Yield items one by one, told ones from the other end, so that none is seen twice."""
        rng = Random(len(use))
        left = {
            cell: iter(TASKS[cell][: 120 if cell == SMALL else None][:: 1 if use == "gain" else -1]) for cell in cells
        }
        while (task := next(left[rng.choices(cells, weights)[0]], None)) is not None:
            yield (task,)

    def check_gradable(self, _limit: float) -> None:
        return

    def items(self, cells: Sequence[Cell], _cycle: int, n: int, _use: str = "gain") -> tuple[Task, ...]:
        if cells[0] == SMALL:
            return TASKS[SMALL][:120]
        each = min(-(-n // len(cells)), 16_000)
        return tuple(task for row in zip(*(TASKS[c][:each] for c in cells), strict=True) for task in row)[:n]

    def whole(self, _cell: Cell) -> bool:
        return False

    def panel(self, step: str, _position: int, generations: Sequence[Generation], tasks: tuple[Task, ...]) -> Panel:
        self.asked.append((step, tuple(task.id for task in tasks)))
        drawn = [self._one(task.cell) for task in tasks]
        mine, theirs = tuple(a for a, _ in drawn), tuple(b for _, b in drawn)
        cells, ids = tuple(task.cell for task in tasks), tuple(task.id for task in tasks)
        return Panel(cells, ids, (mine, *(theirs for _ in generations[1:])), 0, 0)

    def pairs(self, step: str, _position: int, _new: Generation, _old: Generation, tasks: tuple[Task, ...]) -> Pairs:
        self.asked.append((step, tuple(task.id for task in tasks)))
        cells = tuple(task.cell for task in tasks)
        scores = [self._one(cell) for cell in cells]
        differences = tuple(a - b for a, b in scores)
        tokens = (round(100 * self.token_ratio * len(tasks)), 100 * len(tasks))
        return Pairs(cells, differences, 0, tokens, (), (sum(a for a, _ in scores), sum(b for _, b in scores)))

    def _one(self, cell: Cell) -> tuple[float, float]:
        gain = self.gains.get(cell, 0.0)
        share = max(self.discordant, abs(gain))
        if self.rng.random() >= share:
            return (1.0, 1.0) if self.skill == 1.0 or self.rng.random() < self.skill else (0.0, 0.0)
        return (1.0, 0.0) if self.rng.random() < (1 + gain / share) / 2 else (0.0, 1.0)


def proven(exam: SimulatedExam, error: float) -> Confirmed:
    return confirm(exam, ASK, error)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gain", "discordant"), [(0.0, 0.2), (0.0, 0.5), (-0.02, 0.2)])
def test_a_candidate_that_is_no_better_is_hardly_ever_confirmed(gain: float, discordant: float) -> None:
    """900 nulls in all, each confirmed as an epoch's first: the rate stays under that level, so under alpha."""
    rules, nulls = GateRules(max_items=512, screen_items=16), 300
    exam = SimulatedExam(Random(f"{gain}{discordant}"), {AIM: gain}, rules, discordant=discordant)
    passed = sum(proven(exam, level(rules.alpha, 1)).proven for _ in range(nulls))
    assert passed <= level(rules.alpha, 1) * nulls + 1


def test_a_whole_epoch_of_nulls_promotes_one_with_a_chance_of_alpha_at_most() -> None:
    rules, epochs = GateRules(max_items=384, screen_items=16), 60
    exam = SimulatedExam(Random(8), {}, rules)
    wrong = sum(any(proven(exam, level(rules.alpha, k)).proven for k in range(1, 11)) for _ in range(epochs))
    assert wrong <= rules.alpha * epochs


@pytest.mark.parametrize(
    ("gain", "discordant", "k", "least"),
    [
        (0.10, 0.2, 1, 0.90),
        (0.10, 0.2, 7, 0.85),
        (0.20, 0.4, 7, 0.95),
        (0.10, 0.4, 1, 0.90),
        (0.05, 0.2, 1, 0.65),
    ],
)
def test_a_real_gain_is_confirmed(gain: float, discordant: float, k: int, least: float) -> None:
    exam = SimulatedExam(Random(k), {AIM: gain}, GateRules(), discordant=discordant)
    found = [proven(exam, level(0.05, k)) for _ in range(40)]
    assert sum(c.proven for c in found) / len(found) >= least
    assert sum(c.wealth.n for c in found) / len(found) < 1400


def test_a_confirmation_looks_at_no_item_of_the_screen_and_at_none_twice() -> None:
    exam = SimulatedExam(Random(1), {AIM: 0.03})
    both = replace(ASK, cells=(AIM, SIDE), weights=(0.5, 0.5))
    screen(exam, both, 0.0)  # type: ignore[arg-type]
    confirm(exam, both, 1e-9)  # type: ignore[arg-type]
    seen = [id_ for _, ids in exam.asked for id_ in ids]
    assert len(seen) == len(set(seen))
    assert len(exam.asked[0][1]) == exam.rules.screen_items
    assert {len(ids) for step, ids in exam.asked[1:-1] if step == "confirm"} == {exam.rules.block}


def test_a_held_candidate_goes_on_where_it_stopped_with_new_items() -> None:
    rules = GateRules(max_items=256, block=64)
    exam = SimulatedExam(Random(3), {AIM: 0.2}, rules)
    first = confirm(exam, ASK, 1e-18)  # type: ignore[arg-type]
    assert not first.proven
    again = resume(numbers_of(first, 1e-18))
    second = confirm(exam, ASK, 1e-18, again)  # type: ignore[arg-type]
    assert (first.wealth.n, first.place, second.proven) == (256, 400 + 256, True)
    assert second.wealth.n > first.wealth.n
    seen = [id_ for _, ids in exam.asked for id_ in ids]
    assert seen == [task.id for task in TASKS[AIM][400 : 400 + second.wealth.n]]


def numbers_of(found: Confirmed, error: float) -> BettingGain | ExactGain:
    return gain_numbers(found, Confirmation(1, error))


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=1, max_size=80))
def test_where_a_confirmation_stopped_survives_its_verdict(differences: list[float]) -> None:
    found = Confirmed(Wealth().bet(differences), 300, proven=False)
    again = resume(numbers_of(found, 1e-9))
    assert again.wealth.log_e == pytest.approx(found.wealth.log_e)
    assert (again.place, again.wealth.n, again.proven) == (300, len(differences), False)
    assert again.wealth.gain() == pytest.approx(found.wealth.gain())


def test_a_finite_confirmation_that_awaits_approval_survives_its_verdict_too() -> None:
    found = Confirmed(Wealth().bet([1.0] * 40), 40, proven=True, p_value=1e-9)
    again = resume(numbers_of(found, 0.025))
    assert (again.proven, again.p_value, again.place) == (True, 1e-9, 40)
    assert again.wealth.gain() == pytest.approx(found.wealth.gain())
    assert not resume(numbers_of(replace(found, p_value=0.03), 0.025)).proven


def test_a_confirmation_without_a_gain_ends_long_before_its_limit() -> None:
    exam = SimulatedExam(Random(9))
    items = [proven(exam, level(0.05, 1)).wealth.n for _ in range(60)]
    assert sum(items) / len(items) < exam.rules.max_items / 3


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(open_ledger(tmp_path / "metaevo.db", create=True), Store(tmp_path / "artifacts"))


def test_the_kth_confirmation_of_an_epoch_has_its_level_and_its_row_for_good(ground: Ground) -> None:
    def opened(epoch: int, candidate: str, cells: tuple[Cell, ...]) -> Confirmation:
        asked = Asked(candidate, "g000000", epoch, tuple(map(str, cells)), (1 / len(cells),) * len(cells))
        return open_confirmation(ground.ledger, asked, cycle=7, alpha=0.05, finite={}, reuse=10)

    rows = [opened(1, f"g{i:06d}", (AIM, SMALL)) for i in (3, 4, 5)]
    assert [(row.k, row.level) for row in rows] == [(k, level(0.05, k)) for k in (1, 2, 3)]
    again = opened(1, "g000004", (AIM, SMALL))
    assert (again.k, again.level) == (2, rows[1].level)
    assert [opened(2, "g000004", (AIM, SMALL)).k, opened(1, "g000004", (AIM,)).k] == [4, 5]
    with ground.ledger.read() as session:
        known = session.exec(select(ConfirmationRow).where(ConfirmationRow.epoch == 1)).all()
    assert [row.candidate for row in known] == ["g000003", "g000004", "g000005", "g000004"]
    assert known[0].cells == ["addition/5", "sorting/1"]
    assert [confirmation_count(ground.ledger, before) for before in (7, 8)] == [0, 5]
    found = confirmations_per_cell(ground.ledger, 8, {"addition/5": 90, "sorting/1": 90, "other/1": 9})
    assert found == {"addition/5": (5, 0), "sorting/1": (4, 0), "other/1": (0, 0)}
    assert confirmations_per_cell(ground.ledger, 7, {"addition/5": 90}) == {"addition/5": (0, 0)}


def test_only_a_person_opens_another_budget_and_it_begins_at_one(ground: Ground) -> None:
    asked = Asked("g000003", "g000000", 1, ("addition/5",), (1.0,))
    about: dict[str, Any] = {"cycle": 1, "alpha": 0.05, "finite": {}, "reuse": 10}
    assert [open_confirmation(ground.ledger, replace(asked, epoch=e), **about).k for e in (1, 2, 3)] == [1, 2, 3]
    assert (budget_count(ground.ledger), next_level(ground.ledger, 0.05, 9)) == (1, (4, level(0.05, 4)))
    assert open_budget(ground.ledger, "somebody", "another base") == budget_count(ground.ledger) == 2
    found = open_confirmation(ground.ledger, asked, **about)
    assert (found.budget, found.k, found.level) == (2, 1, level(0.05, 1))


def test_what_was_void_keeps_its_row_and_is_never_begun_again_under_its_k(ground: Ground) -> None:
    asked = Asked("g000003", "g000000", 1, ("addition/5",), (1.0,))
    about: dict[str, Any] = {"cycle": 1, "alpha": 0.05, "finite": {}, "reuse": 10}
    first = open_confirmation(ground.ledger, asked, **about)
    end_confirmation(ground.ledger, first, "void", 464, 1.25)
    assert open_confirmation(ground.ledger, asked, **about).k == 2
    with ground.ledger.read() as session:
        row = session.exec(select(ConfirmationRow).where(ConfirmationRow.k == 1)).one()
    assert (row.outcome, row.place, row.log_e) == ("void", 464, 1.25)


def test_a_fixed_sample_pays_for_every_look_and_is_refused_once_used_up(ground: Ground) -> None:
    """Its level is divided by j C(j-1, r); twice as many texts are another sample."""

    def opened(number: int, texts: int) -> Confirmation:
        asked = Asked(f"g{number:06d}", "g000000", 1, ("file/1",), (1.0,))
        return open_confirmation(ground.ledger, asked, cycle=1, alpha=0.05, finite={"file/1": texts}, reuse=3)

    first = opened(1, 90)
    end_confirmation(ground.ledger, first, "proven", 9, 5.0)
    second, third = opened(2, 90), opened(3, 100)
    assert [first.level, second.level, third.level] == pytest.approx(
        [level(0.05, 1), level(0.05, 2) / 2, level(0.05, 3) / 6]
    )
    with pytest.raises(SampleUsedUp, match=r"file/1: .* 3 confirmations; 100 new rows"):
        opened(4, 100)
    assert opened(4, 200).level == pytest.approx(level(0.05, 4))


def verdict(ground: Ground, exam: SimulatedExam, manifest: Any = None, **case: Any) -> Verdict:
    exam.host = ground
    digest = ground.store.put(dump(BASE_MANIFEST if manifest is None else manifest))
    facts = {"cells": (AIM,), "rules": (), "dev_gain": 0.1, "epoch": 1, "manifest": digest}
    return decide(exam, Case(NEW, OLD, BASE, **(facts | case)))  # type: ignore[arg-type]


PROBES = [Completion("42", 1, -0.5)]
BASE_MANIFEST: dict[str, Any] = {"id": "g000000", "parent": None, "parts": {}, "runtime": "r", "probes": PROBES}
MARGIN = (Rule("math", (SIDE,), 0.05), Rule("other", (OTHER,), 0.05))
GAIN = {AIM: 0.3}
VERDICTS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "a gain, nothing lost": ({"gains": GAIN, "discordant": 0.02}, {"rules": MARGIN}, "promote", "gain proven"),
    "nothing is protected": ({"gains": GAIN}, {}, "promote", "gain proven"),
    "no gain": ({"gains": {AIM: -0.1}}, {"rules": MARGIN}, "reject", "screen failed"),
    "a gain too small to prove": (
        {"gains": {AIM: 0.06}, "rules": GateRules(max_items=64)},
        {},
        "hold",
        "needs more items",
    ),
    "a protected ability falls": ({"gains": GAIN | {SIDE: -0.3}}, {"rules": MARGIN}, "reject", "ability harmed"),
    "one cell of an ability falls": (
        {"gains": GAIN | {SIDE: -0.3, OTHER: 0.3}, "discordant": 0.3},
        {"rules": (Rule("math", (SIDE, OTHER), 0.4, own_cell_margin=0.02),)},
        "reject",
        "cell harmed",
    ),
    "too few items to say": (
        {"gains": GAIN, "rules": GateRules(protect_items=64)},
        {"rules": MARGIN},
        "hold",
        "needs more items",
    ),
    "the weights changed on the way": (
        {"gains": GAIN, "answers": (Completion("41", 1, -0.5),)},
        {"rules": MARGIN},
        "reject",
        "guard servable artifact",
    ),
    "log-probabilities changed": (
        {"gains": GAIN, "answers": (Completion("42", 1, -0.6),)},
        {},
        "reject",
        "guard servable artifact",
    ),
    "it talks too much": (
        {"gains": GAIN, "token_ratio": 1.2},
        {"answer_tokens": 1.1},
        "reject",
        "guard answer_tokens",
    ),
    "the champion is pinned": ({"gains": GAIN}, {"pinned": True}, "hold", "awaits approval"),
    "a person must approve": ({"gains": GAIN}, {"approval": True}, "hold", "awaits approval"),
    "pinned, and harm": ({"gains": GAIN | {SIDE: -0.3}}, {"rules": MARGIN, "pinned": True}, "reject", "ability harmed"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_every_verdict_has_its_reason_and_its_numbers(ground: Ground, name: str) -> None:
    exam, case, decision, reason = VERDICTS[name]
    found = verdict(ground, SimulatedExam(Random(21), **exam), **case)
    assert found.decision == decision
    assert reason in {r.label for r in found.reasons}
    assert found.gate == exam.get("rules", GateRules()).hash
    for r in found.reasons:
        assert r.numbers
        assert reason_words(r.as_data()).startswith(f"{r.label}: ")
        assert r.code in WORDS or (r.code is ReasonCode.GUARD and r.guard)
    assert bool(confirmation_count(ground.ledger, before=99)) == (reason != "screen failed")


def test_protection_is_looked_at_only_after_a_proven_gain(ground: Ground) -> None:
    exam = SimulatedExam(Random(2), {AIM: 0.06, SIDE: -0.9}, GateRules(max_items=64))
    assert verdict(ground, exam, rules=MARGIN).decision == "hold"
    assert {step for step, _ in exam.asked} == {"screen", "confirm"}


def test_a_finite_cell_is_decided_by_the_exact_test_on_its_whole_sample(ground: Ground) -> None:
    exam = SimulatedExam(Random(2), {SMALL: 0.3})
    found = verdict(ground, exam, cells=(SMALL,))
    gain = found.evidence.gain
    assert isinstance(gain, ExactGain)
    assert (found.decision, gain.test, gain.n) == ("promote", "exact paired", 120)
    assert exam.asked[0][0] == "exact"
    assert verdict(ground, SimulatedExam(Random(2)), cells=(SMALL,), dev_gain=0.0).reasons[0].code == "screen failed"


@pytest.mark.parametrize(
    ("floor", "skill", "gain", "decision"),
    [
        (0.5, 1.0, 0.0, "promote"),
        (0.5, 1.0, -0.8, "reject"),
        (0.99, 0.6, 0.0, "promote"),
        (0.99, 0.6, -0.4, "reject"),
        (0.999, 1.0, 0.0, "hold"),
    ],
    ids=["above", "below", "the champion is below too", "below the champion", "not yet for sure"],
)
def test_a_floor_binds_the_candidate_and_where_the_champion_is_lower_the_champion_does(
    ground: Ground, floor: float, skill: float, gain: float, decision: str
) -> None:
    exam = SimulatedExam(Random(5), GAIN | {SIDE: gain}, discordant=0.0, skill=skill)
    rule = Rule("math", (SIDE,), None, floor)
    assert verdict(ground, exam, rules=(rule,)).decision == decision
