"""What items can decide is told by the very bets that will decide."""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.gate.settings import GateRules
from metaevo.gate.stopping import screened, standing
from objectives.betting import Wealth
from objectives.deciding import GAIN_DISCORDANCE, excludes, power, smallest_gain, smallest_loss, smallest_margin
from objectives.statistics import exact_paired, level

ODDS = 20.0


@pytest.mark.parametrize("items", [33, 80, 300])
def test_the_smallest_loss_is_the_one_that_bets_on_equal_answers_exclude(items: int) -> None:
    least = smallest_loss(items, ODDS)
    assert Wealth(bound=-least).bet([0.0] * items).e_value >= ODDS
    assert Wealth(bound=0.005 - least).bet([0.0] * items).e_value < ODDS
    assert excludes(items, least, ODDS)


def test_the_power_is_the_share_of_draws_that_the_bets_keep() -> None:
    items, margin, discordance = 40, 0.2, 0.05
    kept = 0.0
    for differ in range(items + 1):
        chance = math.comb(items, differ) * discordance**differ * (1 - discordance) ** (items - differ)
        for worse in range(differ + 1):
            found = [1.0] * (differ - worse) + [-1.0] * worse + [0.0] * (items - differ)
            if Wealth(bound=-margin).bet(found).e_value >= ODDS:
                kept += chance * math.comb(differ, worse) / 2**differ
    assert power(items, margin, ODDS, discordance) == pytest.approx(kept, abs=1e-7)


def test_a_margin_that_has_the_power_is_the_smallest_one() -> None:
    margin = smallest_margin(40, ODDS)
    assert power(40, margin, ODDS) >= 0.8 > power(40, margin - 0.005, ODDS)


def drawn(rng: Random, gain: float, items: int) -> list[float]:
    share = max(GAIN_DISCORDANCE, gain)
    better = (share + gain) / 2
    return [0.0 if d >= share else 1.0 if d < better else -1.0 for d in (rng.random() for _ in range(items))]


@pytest.mark.parametrize(("items", "k"), [(30, 1), (80, 1), (80, 40), (400, 3)])
def test_the_smallest_gain_of_a_finite_cell_is_proven_four_times_in_five(items: int, k: int) -> None:
    error, rng = level(0.05, k), Random(items)
    gain = smallest_gain(items, error, True)
    proven = sum(exact_paired(drawn(rng, gain, items)) <= error for _ in range(400)) / 400
    less = sum(exact_paired(drawn(rng, gain - 0.03, items)) <= error for _ in range(400)) / 400
    assert 0.73 <= proven <= 0.9
    assert less < proven


def test_the_smallest_gain_of_an_endless_cell_is_proven_so_often_by_the_gate_s_own_decision() -> None:
    rules, rng, proven = GateRules(max_items=1500), Random(4), 0
    error = level(rules.alpha, 5)
    gain = smallest_gain(rules.max_items, error, False, rules.screen_items, rules.screen_bar)
    for _ in range(200):
        first = Wealth().bet(drawn(rng, gain, rules.screen_items)).gain()
        if not screened(first.mean, rules.screen_bar):
            continue
        wealth, stands = Wealth(), "open"
        while stands == "open" and wealth.n < rules.max_items:
            wealth = wealth.bet(drawn(rng, gain, min(rules.block, rules.max_items - wealth.n)))
            stands = standing(wealth, error, rules.max_items - wealth.n)
        proven += stands == "proven"
    assert 0.72 <= proven / 200 <= 0.92


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3000), st.floats(min_value=1e-5, max_value=0.05), st.booleans())
def test_more_items_or_more_error_prove_smaller_gains(items: int, error: float, exact: bool) -> None:
    gain = smallest_gain(items, error, exact)
    assert 0.0 < gain <= 1.0
    assert smallest_gain(2 * items, error, exact) <= gain
    assert smallest_gain(items, min(1.0, 2 * error), exact) <= gain
    assert smallest_gain(0, error, exact) == 1.0
