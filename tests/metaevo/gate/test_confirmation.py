"""A confirmation by simulation: how seldom it proves what is not, how often what is, and on which items."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.gate.decision import gain_numbers, resume
from metaevo.gate.evidence import BettingGain, ExactGain
from metaevo.gate.exam import Confirmed
from metaevo.gate.gain import confirm, screen
from metaevo.gate.settings import GateRules
from metaevo.ledger.confirmations import Confirmation
from objectives.betting import Wealth
from objectives.statistics import level
from tests.metaevo.gate.simulated import AIM, ASK, SIDE, TASKS, SimulatedExam, proven

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")


@pytest.mark.parametrize(("gain", "discordant"), [(0.0, 0.2), (0.0, 0.5), (-0.02, 0.2)])
def test_a_candidate_that_is_no_better_is_hardly_ever_confirmed(gain: float, discordant: float) -> None:
    """2,000 nulls in all, each confirmed as an epoch's first: the rate stays under that level, so under alpha."""
    rules, nulls = GateRules(max_items=512, screen_items=16), 667
    exam = SimulatedExam(Random(f"{gain}{discordant}"), {AIM: gain}, rules, discordant=discordant)
    passed = sum(proven(exam, level(rules.alpha, 1)).proven for _ in range(nulls))
    assert passed <= level(rules.alpha, 1) * nulls


def test_a_whole_epoch_of_nulls_promotes_one_with_a_chance_of_alpha_at_most() -> None:
    rules, epochs = GateRules(max_items=384, screen_items=16), 100
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
    found = [proven(exam, level(0.05, k)) for _ in range(80)]
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
