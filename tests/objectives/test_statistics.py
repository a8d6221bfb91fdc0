"""The statistics everything is decided with: error control by simulation, exact answers by enumeration."""

import itertools
import math
from fractions import Fraction
from random import Random
from statistics import correlation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.betting import FRACTIONS, Wealth
from objectives.statistics import (
    chance_corrected,
    difference,
    exact_paired,
    interval,
    level,
    rank_correlation,
    wilson,
)

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

scores = st.lists(st.floats(min_value=0.0, max_value=1.0), min_size=1, max_size=60)
differences = st.lists(st.sampled_from([-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]), max_size=9)


@given(st.integers(1, 400), st.data())
def test_wilson_bounds_are_the_truths_just_not_refuted(n: int, data: st.DataObject) -> None:
    """Wilson's bounds solve |p - t| = z sqrt(t (1 - t) / n) for the truth t."""
    hits = data.draw(st.integers(0, n))
    found = wilson(hits, n)
    assert found.mean == hits / n
    for bound in (found.low, found.high):
        if 0.0 < bound < 1.0:
            assert abs(found.mean - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / n), abs=1e-5)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [(0, 30, 0.0, 0.1135), (15, 30, 0.3315, 0.6685), (1, 10, 0.0179, 0.4042), (64, 64, 0.9434, 1)],
)
def test_wilson_bounds_as_in_the_tables(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n)[1:3] == pytest.approx((low, high), abs=1e-3)


@given(scores)
def test_intervals_hold_their_mean_and_stay_in_range(values: list[float]) -> None:
    found = interval(values)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.n == len(values)


@given(st.integers(1, 200), st.data())
def test_intervals_move_with_the_evidence(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n - 1))
    worse, better = wilson(hits, n), wilson(hits + 1, n)
    assert worse.low <= better.low
    assert worse.high <= better.high
    wider, narrower = wilson(hits, n, 0.99), wilson(4 * hits, 4 * n, 0.99)
    assert wider.low <= narrower.low + 1e-12
    assert wider.high >= narrower.high - 1e-12
    assert wider.low <= worse.low <= worse.high <= wider.high


def test_no_score_is_no_knowledge() -> None:
    assert interval([]) == (0.0, 0.0, 1.0, 0)
    assert difference({}) == (0.0, -1.0, 1.0, 0)
    assert Wealth().gain() == (0.0, -1.0, 1.0, 0)


@given(st.integers(0, 8))
def test_wealth_is_a_fair_game_under_the_null(n: int) -> None:
    """E[e] is exactly 1 when wins and losses are equally likely: summed over every outcome there is."""
    total = sum(Wealth().bet(outcome).e_value for outcome in itertools.product((-1.0, 1.0), repeat=n))
    assert total / 2**n == pytest.approx(1.0)


@given(differences, differences)
def test_wealth_does_not_depend_on_the_blocks(one: list[float], two: list[float]) -> None:
    together, apart = Wealth().bet([*one, *two]), Wealth().bet(one).bet(two)
    assert together.log_e == pytest.approx(apart.log_e)
    assert together.gain() == pytest.approx(apart.gain())


@given(differences, st.integers(0, 8))
def test_a_better_item_never_lowers_the_wealth(values: list[float], at: int) -> None:
    better = [min(1.0, d + 0.25) if i == at else d for i, d in enumerate(values)]
    assert Wealth().bet(better).log_e >= Wealth().bet(values).log_e - 1e-12


@given(st.lists(st.just(1.0), min_size=20, max_size=400))
def test_needed_says_how_many_items_are_missing(wins: list[float]) -> None:
    wealth = Wealth().bet(wins)
    for threshold in (20.0, 1e6, 1e30):
        more = wealth.needed(threshold)
        assert more is not None
        reached = wealth.bet([1.0] * (more + math.ceil(0.3 * more)))
        assert reached.log_e >= math.log(threshold) or more == 0
        assert (more == 0) == (wealth.log_e >= math.log(threshold))
    assert Wealth().bet([-1.0, 0.0]).needed(20.0) is None
    assert Wealth().needed(20.0) is None


def test_a_huge_e_value_is_a_number_still() -> None:
    assert math.isfinite(Wealth().bet([1.0] * 5000).e_value)


def test_wealth_never_reaches_its_level_too_often_whenever_one_looks() -> None:
    """2,000 null streams looked at after every item: at most a share alpha ever crosses 1 / alpha."""
    rng, alpha, crossed = Random(11), 0.05, 0
    for _ in range(2000):
        wealth = Wealth()
        for _ in range(6):
            wealth = wealth.bet([rng.choice((-1.0, 1.0)) for _ in range(16) if rng.random() < 0.6])
            if wealth.log_e >= math.log(1 / alpha):
                crossed += 1
                break
    assert crossed <= alpha * 2000


@given(st.floats(min_value=1e-6, max_value=0.2), st.integers(1, 500))
def test_levels_sum_to_alpha(alpha: float, k: int) -> None:
    assert sum(level(alpha, i) for i in range(1, k + 1)) == pytest.approx(alpha * (1 - math.log(5) / math.log(k + 5)))
    assert level(alpha, k + 1) < level(alpha, k)


@given(differences)
def test_exact_test_agrees_with_counting_every_sign(values: list[float]) -> None:
    exact = [Fraction(d) for d in values if d]
    observed = sum(exact)
    sums = [
        sum(s * abs(d) for s, d in zip(signs, exact, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(exact))
    ]
    expected = sum(total >= observed for total in sums) / len(sums) if exact else 1.0
    assert exact_paired(values) == pytest.approx(expected)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 50))
def test_exact_test_is_mcnemar_s_for_pass_and_fail(wins: int, losses: int, ties: int) -> None:
    values = [1.0] * wins + [-1.0] * losses + [0.0] * ties
    n = wins + losses
    expected = sum(math.comb(n, i) for i in range(wins, n + 1)) / 2**n
    assert exact_paired(values) == pytest.approx(expected)


@given(st.lists(st.floats(min_value=-1.0, max_value=1.0), max_size=20), st.randoms())
def test_exact_test_does_not_see_the_order_and_both_sides_cover_all(values: list[float], rng: Random) -> None:
    shuffled = values[:]
    rng.shuffle(shuffled)
    assert exact_paired(shuffled) == pytest.approx(exact_paired(values))
    assert 0.0 <= exact_paired(values) <= 1.0
    assert exact_paired(values) + exact_paired([-d for d in values]) >= 1.0 - 1e-9


def test_exact_test_keeps_its_level_on_partial_credit() -> None:
    rng, hits = Random(5), 0
    for _ in range(1000):
        values = [(rng.random() - rng.random()) * rng.choice((0, 1)) for _ in range(24)]
        hits += exact_paired(values) <= 0.05
    assert hits <= 0.05 * 1000 + 3 * (1000 * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize(("p", "cells", "n"), [(0.05, 4, 60), (0.2, 2, 100), (0.01, 8, 40)])
def test_bounds_of_a_difference_cover_the_truth(p: float, cells: int, n: int) -> None:
    """One-sided 95 % bounds on a stratified mean, with rare discordant pairs and a true difference of zero."""
    rng, missed, rounds = Random(17), 0, 600
    for _ in range(rounds):
        draws = {c: [rng.choice((-1.0, 1.0)) if rng.random() < p else 0.0 for _ in range(n)] for c in range(cells)}
        missed += difference(draws).low > 0.0
    assert missed <= 0.05 * rounds + 3 * (rounds * 0.05 * 0.95) ** 0.5


@given(st.dictionaries(st.integers(0, 4), st.lists(st.floats(-1.0, 1.0), max_size=20), max_size=4))
def test_a_difference_is_the_mean_of_cell_means(by_cell: dict[int, list[float]]) -> None:
    found = difference(by_cell)
    means = [sum(values) / len(values) for values in by_cell.values() if values]
    assert -1.0 <= found.low <= found.mean <= found.high <= 1.0
    assert found.mean == pytest.approx(sum(means) / len(means) if means else 0.0)


def test_a_sample_without_discordant_pairs_is_not_certainty() -> None:
    assert difference({"a": [0.0] * 50}).low < 0.0
    assert difference({"a": [0.0] * 5000}).low > difference({"a": [0.0] * 50}).low


@given(st.floats(0.0, 1.0), st.floats(0.0, 0.99))
def test_chance_correction(score: float, chance: float) -> None:
    assert chance_corrected(chance, chance) == 0.0
    assert chance_corrected(1.0, chance) == pytest.approx(1.0)
    assert 0.0 <= chance_corrected(score, chance) <= max(score, 1e-9)
    assert chance_corrected(score, 1.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=20))
def test_rank_correlation_is_pearson_s_of_mean_ranks(pairs: list[tuple[int, int]]) -> None:
    xs, ys = [float(x) for x, _ in pairs], [float(y) for _, y in pairs]
    found = rank_correlation(xs, ys)
    if len(set(xs)) == 1 or len(set(ys)) == 1:
        assert found is None
    else:
        ranks = [[sum(w < v for w in side) + (side.count(v) - 1) / 2 for v in side] for side in (xs, ys)]
        assert found == pytest.approx(correlation(*ranks))


def test_rank_correlation_of_two_pairs_says_nothing() -> None:
    assert rank_correlation([1.0, 2.0], [1.0, 2.0]) is None


def test_bets_are_fixed_beforehand_and_never_ruinous() -> None:
    assert len(set(FRACTIONS)) == 10
    assert 0.0 < min(FRACTIONS) <= max(FRACTIONS) < 1.0
    assert math.isfinite(Wealth().bet([-1.0] * 1000).log_e)
