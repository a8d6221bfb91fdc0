"""Can the protected rules and the goals be decided by the items there are? Told before anything is trained."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metaevo.engines.grader import GraderPool
from metaevo.errors import BadInput
from metaevo.evolution.provable import gate_share, too_small
from metaevo.gate.exam import ALL
from metaevo.gate.rounds import ALONE, plan
from metaevo.gate.settings import GateRules
from metaevo.gate.stream import FIXED
from metaevo.history import USEFUL
from objectives.deciding import (
    DISCORDANCE,
    GAIN_DISCORDANCE,
    POWER,
    excludes,
    power,
    smallest_gain,
    smallest_harm,
    smallest_loss,
    smallest_margin,
)
from objectives.goals import EVERYTHING, Goals, Rule
from objectives.statistics import level
from objectives.types import Cell, Environment, Split


@dataclass(frozen=True, slots=True)
class Decidable:
    """What one rule's items can decide. ``items`` is None where no loss has to be estimated: rows are counted whole."""

    rule: Rule
    items: int | None
    share: float
    """The share of the rule's cells that is sampled: the others are counted whole and move the limit."""
    light: tuple[Cell, ...] = ()
    """Cells that weigh less than others or nothing: only their own margins judge what they lose."""

    def excludes(self, odds: float) -> bool:
        """Return whether an identical candidate could pass."""
        margin = self.rule.margin
        return self.items is None or margin is None or excludes(self.items, min(0.9, margin / self.share), odds)

    def power(self, odds: float) -> float:
        """Return how often an unchanged candidate passes in one cycle, at discordance .05."""
        margin = self.rule.margin
        if self.items is None or margin is None:
            return 1.0
        return power(self.items, min(0.9, margin / self.share), odds)


def gate_items(pool: GraderPool, environments: Mapping[str, Environment]) -> dict[Cell, int | None]:
    """Return how many items of each cell the gate has, a group being one; None where they have no end.

    Protect-only files give all of their rows.
    """
    found: dict[Cell, int | None] = {}
    for environment in environments.values():
        splits = (Split.GATE,) if environment.train else tuple(Split)
        for cell in environment.cells:
            if environment.texts[cell.level] is None:
                found[cell] = None
                continue
            wanted = [(cell.environment, cell.level, split, FIXED, 0, ALL) for split in splits]
            tasks = [task for drawn in pool.draw_many(wanted) for task in drawn.tasks]
            found[cell] = len({task.group or task.id for task in tasks})
    return found


def decidable(
    rule: Rule, items: Mapping[Cell, int | None], environments: Mapping[str, Environment], gate: GateRules
) -> Decidable:
    """Return what the rule's items of one cycle can decide."""
    whole = [c for c in rule.cells if items[c] is not None and not environments[c.environment].train]
    made = plan(rule, dict(items), whole, gate.protect_items)
    if not made.sampled:
        return Decidable(rule, None if whole else 0, 1.0)
    rounds = made.rounds if made.last is None else min(made.rounds, made.last)
    sampled = len(made.sampled)
    return Decidable(rule, rounds * sum(made.each), sampled / (sampled + len(whole)), made.light)


def check_margins(
    goals: Goals, items: Mapping[Cell, int | None], environments: Mapping[str, Environment], gate: GateRules
) -> tuple[str, ...]:
    """Return a warning for every rule that an unchanged candidate passes too seldom, and for every light cell.

    Raises:
        BadInput: A rule that even an identical candidate could not pass.
    """
    warnings = []
    rules = goals.rules(environments)
    many = sum(len(rule.cells) for rule in rules)
    named = {line.what for line in goals.protections}
    for rule in rules:
        found = decidable(rule, items, environments, gate)
        place = f"metaevo.toml: protect.{toml_key(rule.what if rule.what in named else EVERYTHING)}"
        if not found.excludes(gate.odds):
            least = found.share * smallest_loss(found.items or 0, gate.odds)
            can = f"{_items(found)} of {rule.what} exclude no loss below {least:.3g}"
            said = f"an identical candidate could not pass: {can}"
            raise BadInput(place, said, _way_out(found, gate), given=f"margin {rule.margin}")
        chance = found.power(gate.odds)
        if chance < POWER:
            told = f"an unchanged candidate passes {rule.what} at margin {rule.margin} in {chance:.0%} of decisions"
            warnings.append(f"{place}: {told} ({_items(found)}, discordance {DISCORDANCE}); {_way_out(found, gate)}")
        lines = [_light(cell, items[cell] or 0, rule, gate.odds * many) for cell in found.light]
        warnings += [f"{place}: {line}" for line in lines if line]
    return tuple(warnings)


def check_gains(
    goals: Goals, items: Mapping[Cell, int | None], environments: Mapping[str, Environment], gate: GateRules
) -> tuple[str, ...]:
    """Return a warning for every cell of the goals whose items prove no useful gain, not even with others of its kind.

    At the level of the first confirmation: later ones prove less.
    """
    kinds: dict[tuple[str, str], dict[Cell, int]] = defaultdict(dict)
    endless: list[Cell] = []
    for cell, (weight, _) in sorted(goals.weights(environments).items()):
        environment, size = environments[cell.environment], items[cell]
        if weight <= 0 or not environment.train or environment.judged:
            continue
        if size is None:
            endless.append(cell)
        else:
            kinds[environment.ability, environment.direction][cell] = size
    error, warnings, small = level(gate.alpha, 1), list[str](), 0
    for sizes in kinds.values():
        for cell, many, least in too_small(sizes, environments, error):
            small += 1
            can = _no_gain(least)
            told = f"{many} gate items prove {can} (power {POWER}, discordance {GAIN_DISCORDANCE})"
            rows = next(n for n in range(10, 10_000, 10) if smallest_gain(gate_share(n), error, True) <= USEFUL)
            warnings.append(f"metaevo.toml: goals: {cell}: {told}, so it is never an objective; {rows} rows would do")
    least = endless_gain(gate, gate.max_items, error)
    if endless and least > USEFUL:
        small += len(endless)
        told = f"{gate.max_items} items prove {_no_gain(least)} (power {POWER}, discordance {GAIN_DISCORDANCE})"
        never = f"so no cell whose items have no end ({len(endless)} of the goals) is ever an objective"
        enough = next((n for n in range(50, 10_000, 50) if endless_gain(gate, n, error) <= USEFUL), None)
        way_out = f"max_items = {enough} would do" if enough else "its screen lets no useful gain pass"
        warnings.append(f"metaevo.toml: gate.max_items: {told}, {never}; {way_out}")
    if small and small == len(endless) + sum(map(len, kinds.values())):
        can = f"no cell of the goals has the items that prove a gain of {USEFUL:.0%} or less"
        warnings.append(f"metaevo.toml: goals: nothing can be raised: {can}")
    return tuple(warnings)


def endless_gain(gate: GateRules, items: int, error: float) -> float:
    """Return the smallest gain that a confirmation of so many items proves where they have no end."""
    return smallest_gain(items, error, False, gate.screen_items, gate.screen_bar)


def _no_gain(least: float) -> str:
    return "no gain" if least >= 1 else f"no gain below {least:.0%}"


def proposed(
    goals: Goals, items: Mapping[Cell, int | None], environments: Mapping[str, Environment], gate: GateRules
) -> Sequence[tuple[str, float, str]]:
    """Return (ability, margin, why) for every ability that finite environments alone measure."""
    found = []
    for rule in goals.rules(environments):
        if any(items[cell] is None for cell in rule.cells):
            continue
        one = decidable(rule, items, environments, gate)
        if one.items is None:
            continue
        names = ", ".join(dict.fromkeys(cell.environment for cell in rule.cells))
        margin = max(rule.margin or 0.0, smallest_margin(one.items, gate.odds))
        why = f"{names}: {one.items} gate items decide no smaller loss (power {POWER}, discordance {DISCORDANCE})"
        if margin == rule.margin:
            why = f"{names}: {one.items} gate items decide it (power {POWER}, discordance {DISCORDANCE})"
        found.append((rule.what, margin, why))
    return found


def _items(found: Decidable) -> str:
    return f"{found.items} gate items"


def _light(cell: Cell, items: int, rule: Rule, odds: float) -> str:
    """Return what a light cell's own items can show, "" where a loss that matters is among it."""
    least = smallest_harm(min(items, ALONE), rule.cell_margin, odds)
    if least <= USEFUL:
        return ""
    can = "no loss" if least > 1 else f"no loss below {least:.0%}"
    return f"{items} gate items of {cell} show {can}, and its ability hides it; train = false counts all rows"


def _way_out(found: Decidable, gate: GateRules) -> str:
    margin = found.share * smallest_margin(found.items or 0, gate.odds)
    if margin >= found.share:
        return "add rows, or set train = false: then all rows are counted"
    line = f"{toml_key(found.rule.what)} = {{ margin = {margin:.3g} }}"
    return f"under [protect] set {line}, or train = false: then all rows are counted"


def toml_key(name: str) -> str:
    """Return a name as it stands before an equals sign: environment/level and ``*`` in quotes."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'
