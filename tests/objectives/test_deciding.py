"""What items can decide is told by the very bets that will decide."""

import math

import pytest

from objectives.betting import Wealth
from objectives.deciding import excludes, power, smallest_loss, smallest_margin

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
