"""The capability map: chance-corrected scores, losses beyond noise, trends, saturation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.capability import MASTERED, Score, agreement, drops, latent, saturated, trend
from objectives.statistics import interval
from objectives.types import Cell

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

ONE, TWO = Cell("addition", 1), Cell("addition", 2)


def line(cell: Cell, n: int, *means: float) -> list[Score]:
    return [Score(f"g{i:06d}", cell, n, mean) for i, mean in enumerate(means)]


@pytest.mark.parametrize(
    ("answers", "share"),
    [([], 0.0), (["a"], 0.0), (["a", "b"], 0.0), (["a", "a", "b"], 1 / 3), ([1, "1", 2], 1 / 3), ([[1], [1]], 1.0)],
)
def test_chance_is_how_likely_two_answers_agree(answers: list[object], share: float) -> None:
    assert agreement(answers) == pytest.approx(share)


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 16), st.floats(0.0, 1.0))
def test_latent_is_a_share_and_luck_is_taken_off(solved: list[bool], k: int, chance: float) -> None:
    found = latent(solved, k, chance)
    assert 0.0 <= found <= 1.0
    assert found <= latent(solved, k, 0.0)
    assert latent(solved, 1, 0.0) == pytest.approx(sum(solved) / len(solved) if solved else 0.0)


def test_guessing_shows_nothing_latent() -> None:
    """One of ten answers is right by luck; eight samples hit 57 % of the tasks and know nothing."""
    assert latent([True] * 57 + [False] * 43, 8, 0.1) == pytest.approx(0.0, abs=0.01)
    assert latent([True] * 100, 8, 0.1) == pytest.approx(1.0)


def test_drops_are_measured_against_the_best_ancestor_not_the_last() -> None:
    history = {ONE: line(ONE, 400, 0.5, 0.9, 0.85, 0.6), TWO: line(TWO, 400, 0.2, 0.3, 0.3, 0.5)}
    assert drops(history) == {ONE: pytest.approx(0.3)}


@given(st.integers(1, 12), st.floats(0.3, 0.7), st.floats(-0.1, 0.1))
def test_noise_is_no_drop(n: int, mean: float, change: float) -> None:
    assert drops({ONE: line(ONE, n, mean, mean + change)}) == {}


def test_a_first_measurement_cannot_drop() -> None:
    assert drops({ONE: line(ONE, 1000, 0.1), TWO: []}) == {}


@given(st.floats(0.0, 1.0), st.floats(-0.1, 0.1), st.integers(2, 9))
def test_trend_of_a_straight_line_is_its_slope(start: float, slope: float, n: int) -> None:
    assert trend(line(ONE, 10, *(start + slope * i for i in range(n)))) == pytest.approx(slope)


def test_trend_looks_at_the_last_few_only() -> None:
    scores = line(ONE, 10, 0.0, 0.9, 0.9, 0.9, 0.9)
    assert trend(scores) == pytest.approx(0.0)
    assert trend(scores, window=4) == pytest.approx(0.225)
    assert trend(scores[:1]) == 0.0
    assert trend([]) == 0.0


def test_saturation_needs_evidence_not_luck() -> None:
    assert not saturated(interval([1.0] * 10), MASTERED)
    assert saturated(interval([1.0] * 64), MASTERED)
    assert not saturated(interval([1.0] * 64 + [0.0] * 6), MASTERED)


def test_a_score_without_items_knows_nothing() -> None:
    assert Score("g000000", ONE, 0, 0.0).interval == (0.0, 0.0, 1.0, 0)
