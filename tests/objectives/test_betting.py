"""Bets on differences: one-sided evidence about a named bound, and a sequence that covers whenever one stops."""

from collections import Counter
from random import Random

import pytest

from objectives.betting import Wealth, confidence_sequence


def walk(rng: Random, mean: float, discordant: float, n: int) -> list[float]:
    better = (discordant + mean) / 2
    draws = [rng.random() for _ in range(n)]
    return [1.0 if d < better else -1.0 if d < discordant else 0.0 for d in draws]


@pytest.mark.parametrize(("bound", "above"), [(0.0, True), (-0.03, True), (-0.03, False)])
def test_at_its_bound_the_wealth_hardly_ever_reaches_twenty(bound: float, above: bool) -> None:
    rng, reached = Random(3), 0
    for _ in range(300):
        wealth = Wealth(bound=bound, above=above)
        for _ in range(16):
            wealth = wealth.bet(walk(rng, bound, 0.1, 64))
            if wealth.e_value >= 20:
                reached += 1
                break
    assert reached <= 0.05 * 300


def test_no_loss_is_shown_to_be_less_than_the_margin_and_a_loss_to_be_more() -> None:
    rng = Random(4)
    assert Wealth(bound=-0.03).bet(walk(rng, 0.0, 0.05, 1000)).e_value >= 20
    assert Wealth(bound=-0.03, above=False).bet(walk(rng, -0.09, 0.12, 1000)).e_value >= 20


def test_the_confidence_sequence_covers_whenever_one_stops() -> None:
    rng, missed = Random(5), 0
    for _ in range(60):
        seen: Counter[float] = Counter()
        out = False
        for _ in range(8):
            seen.update(walk(rng, 0.1, 0.3, 64))
            found = confidence_sequence(seen)
            out = out or not found.low <= 0.1 <= found.high
        missed += out
    assert missed <= 3
    assert confidence_sequence({}) == (0.0, -1.0, 1.0, 0)
    assert found.low < found.mean < found.high
    assert found.high - found.low < 0.25
