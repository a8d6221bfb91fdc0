"""What the gate's decision about gains comes to over years: ``python -m tests.evidence.years [--lives N]``.

The pure core (`metaevo/gate/stopping.py`, `objectives/betting.py`) decides about simulated nights: one challenger each,
a tenth of them truly three points better. Beside it what else one might do. Every arm is a part, written as it ends.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

import numpy as np

from metaevo.gate.settings import GateRules
from metaevo.gate.stopping import screened, standing
from objectives.betting import Wealth, confidence_sequence
from objectives.statistics import exact_paired, level, wilson
from tests.evidence import record

CLAIM = "years"
NIGHTS = 365
RULES = GateRules()
CLUSTER, CORRELATION = 8, 0.3
"""Items of a declared group, and how alike they are."""


@dataclass(frozen=True, slots=True)
class World:
    """What the nights are like. ``gain`` is what a true challenger has, the others have ``null``."""

    discordance: float
    gain: float = 0.03
    true: float = 0.1
    null: float = 0.0
    clustered: bool = False
    epochs: bool = False
    """Whether the evaluator changes on random nights, once in 30."""


@dataclass(slots=True)
class Items:
    """Paired differences of one challenger, as many as are asked."""

    rng: np.random.Generator
    world: World
    mean: float

    def bets(self, items: int) -> list[float]:
        """Return the differences of so many items, one a group where they are clustered."""
        if self.world.clustered:
            return self._groups(items // CLUSTER)
        better = (self.world.discordance + self.mean) / 2
        worse = self.world.discordance - better
        won, lost, same = self.rng.multinomial(items, (better, worse, 1 - better - worse))
        return [1.0] * int(won) + [-1.0] * int(lost) + [0.0] * int(same)

    def _groups(self, groups: int) -> list[float]:
        """Return group means: with this chance an item says what its group says, else it is drawn by itself."""
        better = (self.world.discordance + self.mean) / 2
        shares = (better, self.world.discordance - better, 1 - self.world.discordance)
        said = self.rng.choice((1.0, -1.0, 0.0), size=groups, p=shares)
        own = self.rng.choice((1.0, -1.0, 0.0), size=(groups, CLUSTER), p=shares)
        alike = self.rng.random((groups, CLUSTER)) < math.sqrt(CORRELATION)
        return [float(mean) for mean in np.where(alike, said[:, None], own).mean(axis=1)]


@dataclass(slots=True)
class Life:
    """What a home has spent and promoted so far."""

    k: int = 0
    promotions: int = 0
    since: int = 0
    """Confirmations since the last change of the evaluator: what the former rule counted."""


@dataclass(frozen=True, slots=True)
class Night:
    """What came of one challenger."""

    promoted: bool
    items: int


Rule = Callable[[Items, Life], Night]


def gate(items: Items, life: Life, rules: GateRules = RULES, spend: Callable[[Life], float] | None = None) -> Night:
    """Decide as the gate does: a screen, then a confirmation at the level of its number."""
    asked = rules.screen_items
    if not screened(float(np.mean(items.bets(asked))), rules.screen_bar):
        return Night(False, asked)
    life.k, life.since = life.k + 1, life.since + 1
    error = spend(life) if spend is not None else level(rules.alpha, life.k, life.promotions)
    wealth, stands, looked = Wealth(), "open", 0
    while stands == "open" and looked < rules.max_items:
        wealth, looked = wealth.bet(items.bets(rules.block)), looked + rules.block
        stands = standing(wealth, error, rules.max_items - looked)
    life.promotions += stands == "proven"
    return Night(stands == "proven", asked + looked)


def greedy(items: Items, _life: Life) -> Night:
    """Promote whatever scores higher on 400 items."""
    return Night(sum(items.bets(400)) > 0, 400)


def mcnemar(items: Items, _life: Life) -> Night:
    """Promote what an exact paired test on 400 items finds better at .05."""
    return Night(exact_paired(items.bets(400)) <= 0.05, 400)


def ladder(items: Items, _life: Life) -> Night:
    """Promote what is better by more than one standard error (Blum and Hardt 2015, arXiv:1502.04585)."""
    found = items.bets(400)
    return Night(float(np.mean(found)) > float(np.std(found)) / math.sqrt(len(found)), 400)


def fixed_level(items: Items, life: Life) -> Night:
    """Decide as the gate does, but every confirmation at .05."""
    return gate(items, life, spend=lambda _life: 0.05)


def former(items: Items, life: Life) -> Night:
    """Decide by the former rule: 240 and 1,500 items, alpha / (k (k + 1)) anew with every epoch; bets as today."""
    rules = replace(RULES, screen_items=240, screen_bar=0.015, max_items=1500)
    return gate(items, life, rules, lambda life: 0.05 / (life.since * (life.since + 1)))


RIVALS: dict[str, Rule] = {
    "greedy": greedy,
    "mcnemar": mcnemar,
    "ladder": ladder,
    "fixed level": fixed_level,
    "former": former,
}


@dataclass(slots=True)
class Tally:
    """What lives came to, as of one night."""

    lives: int = 0
    nights: int = 0
    items: int = 0
    true: int = 0
    kept: int = 0
    false: int = 0
    with_false: int = 0
    shares: list[float] = field(default_factory=list)
    """False ones among the promotions of each life, 0 where it had none."""

    def numbers(self) -> dict[str, float | int | None]:
        """Return shares with upper 95 % bounds, None where there is nothing to take a share of."""
        promoted = self.kept + self.false
        with_false = wilson(self.with_false, self.lives, 0.9).high if self.lives else None
        return {
            "lives": self.lives,
            "kept": _rounded(_share(self.kept, self.true), 4),
            "true": self.true,
            "false": self.false,
            "false_share": _rounded(float(np.mean(self.shares)) if promoted else None, 5),
            "false_share_high": _rounded(self._false_share_high(promoted), 5),
            "lives_with_false": _rounded(_share(self.with_false, self.lives), 4),
            "lives_with_false_high": _rounded(with_false, 4),
            "items_a_night": _rounded(_share(self.items, self.nights), 1),
        }

    def _false_share_high(self, promoted: int) -> float | None:
        """Return a bound of the mean over lives; where none of the promotions was false, three over their number."""
        if not promoted or (self.false and self.lives == 1):
            return None
        if not self.false:
            return min(1.0, 3 / promoted)
        spread = float(np.std(self.shares, ddof=1)) / math.sqrt(self.lives)
        return min(1.0, float(np.mean(self.shares)) + 1.645 * spread)


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(number: float | None, digits: int) -> float | None:
    return None if number is None else round(number, digits)


def live(rule: Rule, world: World, seed: int, years: Sequence[int], tallies: Sequence[Tally]) -> None:
    """Run one life and add it to the tallies as it stands after each of these years."""
    rng, chance, life = np.random.default_rng(seed), Random(seed), Life()
    items = true = kept = false = 0
    for night in range(1, max(years) * NIGHTS + 1):
        is_true = chance.random() < world.true
        life.since = 0 if world.epochs and chance.random() < 1 / 30 else life.since
        found = rule(Items(rng, world, world.gain if is_true else world.null), life)
        items, true, kept = items + found.items, true + is_true, kept + (is_true and found.promoted)
        false += found.promoted and not is_true
        for year, tally in zip(years, tallies, strict=True):
            if night == year * NIGHTS:
                tally.lives, tally.nights, tally.items = tally.lives + 1, tally.nights + night, tally.items + items
                tally.true, tally.kept, tally.false = tally.true + true, tally.kept + kept, tally.false + false
                tally.with_false += false > 0
                tally.shares.append(false / max(1, kept + false))


def lives(rule: Rule, world: World, count: int, years: Sequence[int], until: float) -> dict[str, Any]:
    """Return what so many lives came to, or as many as there was time for."""
    tallies = [Tally() for _ in years]
    for seed in range(count):
        if seed and time.process_time() > until:
            break
        live(rule, world, seed, years, tallies)
    return {f"{year} year": tally.numbers() for year, tally in zip(years, tallies, strict=True)}


def told(gain: float, discordance: float, wanted: int) -> dict[str, float | int | None]:
    """Return how often the told interval covers the true gain among promoted candidates, and its mean half-width."""
    rng, world, covered, width, n = np.random.default_rng(5), World(discordance, gain=gain), 0, 0.0, 0
    while n < wanted:
        items = Items(rng, world, gain)
        if gate(items, Life()).promoted:
            found = Wealth().bet(items.bets(RULES.told_items)).gain()
            covered, width, n = covered + (found.low <= gain <= found.high), width + (found.high - found.low) / 2, n + 1
    return _covering(n, covered, width)


def _covering(n: int, covered: int, width: float) -> dict[str, float | int | None]:
    return {"promoted": n, "covered": _rounded(_share(covered, n), 4), "half_width": _rounded(_share(width, n), 4)}


def _told(gain: float, wanted: int, _until: float) -> dict[str, Any]:
    return told(gain, 0.25, wanted)


def told_finite(gain: float, rows: int, wanted: int) -> dict[str, float | int | None]:
    """Return the same on a fixed sample, where a confidence sequence is told."""
    rng, world, covered, width, n = np.random.default_rng(6), World(max(0.25, gain)), 0, 0.0, 0
    for _ in range(100 * wanted):
        found = Items(rng, world, gain).bets(rows)
        if n < wanted and exact_paired(found) <= level(RULES.alpha, 1):
            said = confidence_sequence({d: found.count(d) for d in (-1.0, 0.0, 1.0)})
            covered, width, n = covered + (said.low <= gain <= said.high), width + (said.high - said.low) / 2, n + 1
    return _covering(n, covered, width)


def losing(count: int) -> dict[str, float | int]:
    """Return the points that 1,000 nights at one point below lose, on average and at most."""
    rng, lost = np.random.default_rng(7), []
    for _ in range(count):
        life = Life()
        for _ in range(1000):
            gate(Items(rng, World(0.25), -0.01), life)
        lost.append(life.promotions)
    return {"lives": count, "mean_points_lost": float(np.mean(lost)), "most_points_lost": max(lost)}


def arms(count: int) -> dict[str, Callable[[float], dict[str, Any]]]:
    """Return every part: its name, and what measures it until a time."""

    def of(world: World, rule: Rule = gate, years: Sequence[int] = (1, 3)) -> Callable[[float], dict[str, Any]]:
        return lambda until: lives(rule, world, count, years, until)

    made = {f"gate {d}": of(World(d)) for d in (0.15, 0.25, 0.35)}
    made |= {f"gate {d} nothing true": of(World(d, true=0.0), years=(1,)) for d in (0.15, 0.25, 0.35)}
    made |= {"gate 0.25 epochs": of(World(0.25, epochs=True), years=(1,))}
    made |= {"gate 0.25 clustered": of(World(0.25, clustered=True), years=(1,))}
    made |= {"gate 0.25 clustered nothing true": of(World(0.25, true=0.0, clustered=True), years=(1,))}
    for name, rule in RIVALS.items():
        made[f"{name} 0.25"] = of(World(0.25, epochs=True), rule, (1,))
        made[f"{name} 0.25 nothing true"] = of(World(0.25, true=0.0, epochs=True), rule, (1,))
    made |= {"losing": lambda _until: losing(max(2, count // 100))}
    wanted = min(1000, count)
    made |= {f"told +{100 * gain:.0f}": partial(_told, gain, wanted) for gain in (0.01, 0.03, 0.05, 0.15)}
    made |= {"told +34 on 80 rows": lambda _until: told_finite(0.34, 80, wanted)}
    return made


def main() -> None:
    """Measure every arm; each gets its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=600.0, help="CPU minutes in all")
    parser.add_argument("--only", nargs="*", default=None)
    given = parser.parse_args()
    todo = {name: arm for name, arm in arms(given.lives).items() if given.only is None or name in given.only}
    for name, arm in todo.items():
        began = time.monotonic()
        numbers = arm(time.process_time() + 60 * given.minutes / len(todo))
        command = f"python -m tests.evidence.years --lives {given.lives}"
        record.write(CLAIM, name, command, [0, given.lives], numbers, time.monotonic() - began)
        print(name, numbers, flush=True)


if __name__ == "__main__":
    main()
