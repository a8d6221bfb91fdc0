"""Years of nights through the gate's own decision about gains: few false, most true ones kept, few items."""

from functools import partial
from pathlib import Path

import pytest

from metaevo.ledger import epochs
from metaevo.ledger.confirmations import Asked, Confirmation, end_confirmation, open_confirmation
from metaevo.ledger.cycles import Closing, Consequence, begin_cycle, close_cycle
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.lineage import Lineage
from metaevo.types import CycleEnd, Generation
from tests.evidence import years
from tests.evidence.years import Items, Life, Night, Tally, World


@pytest.mark.parametrize(("discordance", "least"), [(0.15, 0.70), (0.25, 0.58), (0.35, 0.42)])
def test_a_year_keeps_most_of_what_is_true_and_next_to_nothing_else(discordance: float, least: float) -> None:
    """Bounds for few years; the thousand are in the evidence `years`."""
    tally = Tally()
    for seed in range(3):
        years.live(years.gate, World(discordance), seed, (1,), (tally,))
    assert tally.kept >= least * tally.true
    assert tally.false <= 1
    assert tally.items / tally.nights <= 1500


def test_what_else_one_might_do_promotes_what_is_not_true() -> None:
    false = {}
    for name, rule in years.RIVALS.items():
        years.live(rule, World(0.25, true=0.0, epochs=True), 3, (1,), (tally := Tally(),))
        false[name] = tally.false
    assert false["greedy"] > 100
    assert false["ladder"] > 30
    assert false["mcnemar"] > 5
    assert false["fixed level"] >= 1


def test_a_thousand_nights_at_a_point_below_lose_nearly_nothing() -> None:
    assert years.losing(1)["most_points_lost"] <= 1


def test_the_told_gain_covers_and_is_narrow_enough() -> None:
    found = years.told(0.05, 0.25, 120)
    assert (found["covered"] or 0.0) >= 0.88
    assert (found["half_width"] or 1.0) <= 0.03
    fixed = years.told_finite(0.34, 80, 120)
    assert (fixed["covered"] or 0.0) >= 0.93


def test_where_nothing_was_promoted_nobody_can_say_what_share_was_false() -> None:
    found = Tally(lives=2, nights=730, items=73_000, true=70, shares=[0.0, 0.0]).numbers()
    assert (found["kept"], found["false_share"], found["false_share_high"]) == (0.0, None, None)
    assert {name for name, number in Tally().numbers().items() if number is None} == {
        "kept", "false_share", "false_share_high", "lives_with_false", "lives_with_false_high", "items_a_night",
    }  # fmt: skip
    assert Tally(lives=1, kept=2, true=3, shares=[0.0]).numbers()["false_share_high"] == 1.0
    assert Tally(lives=1, kept=60, true=70, shares=[0.0]).numbers()["false_share_high"] == 0.05
    assert Tally(lives=1, kept=1, false=1, true=3, shares=[0.5]).numbers()["false_share_high"] is None
    assert years.told_finite(-0.2, 80, 1) == {"promoted": 0, "covered": None, "half_width": None}


class Home:
    """The error ledger of one life: its rows are opened and closed as the gate does, and promotions are cycles."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.lineage, self.number = ledger, Lineage(ledger), 0
        (self.champion,) = self.lineage.reserve(0, 0, 1, None)
        self.lineage.publish(Generation(self.champion, None, {"policy": "p"}), manifest="m")
        self.lineage.crown(self.champion, who="metaevo", why="the base model")
        self.epoch = epochs.ensure_epoch(ledger, "e0")
        self.row, self.changed = Confirmation(0, 1.0), 0

    def spend(self, alpha: float, _life: Life) -> float:
        self.number += 1
        asked = Asked(f"c{self.number}", self.champion, self.epoch, ("addition/5",), (1.0,))
        self.row = open_confirmation(self.ledger, asked, cycle=self.number, alpha=alpha, finite={}, reuse=10)
        return self.row.level

    def decide(self, items: Items, life: Life) -> Night:
        before = life.k
        found = years.gate(items, life, spend=partial(self.spend, years.RULES.alpha))
        if life.k > before:
            assert self.row.promotions == life.promotions - found.promoted
            end_confirmation(self.ledger, self.row, "proven" if found.promoted else "unproven", 0, 0.0)
        if found.promoted:
            self._promote()
        if life.since == 0 and self.row.k > self.changed:
            self.changed = self.row.k
            self.epoch = epochs.ensure_epoch(self.ledger, f"e{self.row.k}")
        return found

    def _promote(self) -> None:
        cycle = begin_cycle(self.ledger, seed=1, runtime="r", fixed={}, commitment=str)
        (id_,) = self.lineage.reserve(cycle.number, 1, 1, self.champion)
        self.lineage.publish(Generation(id_, self.champion, {"policy": "p"}), manifest="m")
        judged = Consequence(candidate=id_, status="candidate", gate="g")
        with self.ledger.transaction() as connection:
            connection.exec_driver_sql(f"update confirmation set candidate = '{id_}' where k = {self.row.k}")
        made = Closing(
            number=cycle.number,
            outcome="promote",
            ending=CycleEnd.PROMOTED.value,
            why="",
            tokens=0,
            epoch=self.epoch,
            candidate=id_,
            objective=None,
            verdict=None,
            sentence="promoted",
            judged=judged,
        )
        close_cycle(self.ledger, made)
        self.champion = id_


@pytest.mark.parametrize("discordance", [0.15, 0.35])
@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.full)])
def test_the_core_with_its_ledger_comes_to_the_same_over_years_and_epochs(
    tmp_path: Path, count: int, discordance: float
) -> None:
    plain, kept = Tally(), Tally()
    for seed in range(count):
        ledger = open_ledger(tmp_path / f"{seed}.db", create=True)
        home = Home(ledger)
        years.live(home.decide, World(discordance, epochs=True), seed, (1,), (kept,))
        years.live(years.gate, World(discordance, epochs=True), seed, (1,), (plain,))
        ledger.close()
    assert (kept.kept, kept.false, kept.items) == (plain.kept, plain.false, plain.items)
