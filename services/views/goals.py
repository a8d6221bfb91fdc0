"""Goals as data, and edits of metaevo.toml that keep its comments."""

from collections import defaultdict
from typing import Any

import tomlkit

from metaevo.errors import BadInput
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.tables import ScoreRow
from objectives.goals import BadGoals, Goal, cells_of
from objectives.statistics import wilson
from objectives.types import Cell, Environment
from services.config import parse
from services.home import Home


def goals_now(home: Home, *, tree: bool = False) -> dict[str, Any]:
    """Return goals and protections with where they stand."""
    from metaevo.gate.rules import GateRules
    from services.app import graders

    config = home.config()
    wishes = config.wishes()
    with graders(home.path, config) as (_, environments):
        scores = champion_scores(home) if home.founded else {}
        rules = GateRules(alpha=config.gate.alpha, max_items=config.gate.max_items)
        try:
            goals = [_goal(goal, environments, scores, rules, tree) for goal in wishes.wanted]
            protected = [_protected(rule, scores) for rule in wishes.rules(environments)]
        except BadGoals as error:
            raise BadInput(f"metaevo.toml: {error}") from error
    return {"goals": goals, "protected": protected, "protects_nothing": wishes.protects_nothing}


def champion_scores(home: Home) -> dict[Cell, tuple[float, int]]:
    """Return the champion's probe scores: (mean, n) per cell, of the newest epoch."""
    from sqlmodel import col, select

    ledger = home.ledger()
    try:
        champion = Lineage(ledger).alias("champion")
        with ledger.read() as session:
            query = select(ScoreRow).where(ScoreRow.generation == champion, ScoreRow.split == "probe")
            rows = session.exec(query.order_by(col(ScoreRow.epoch))).all()
        return {Cell(row.environment, row.level): (row.mean, row.n) for row in rows}
    finally:
        ledger.close()


def pooled(cells: Any, scores: dict[Cell, tuple[float, int]]) -> dict[str, Any]:
    """Return the mean over all items of these cells with its interval; nulls where nothing was measured."""
    known = [scores[cell] for cell in cells if cell in scores]
    n = sum(count for _, count in known)
    if not n:
        return {"now": None, "low": None, "high": None, "n": 0}
    found = wilson(sum(mean * count for mean, count in known), n)
    return {"now": found.mean, "low": found.low, "high": found.high, "n": n}


def _goal(
    goal: Goal, environments: dict[str, Environment], scores: dict[Cell, tuple[float, int]], rules: Any, tree: bool
) -> dict[str, Any]:
    from metaevo.outlook import provable

    cells = sorted(cells_of(goal.what, environments, f"goals.{goal.name}.raise"))
    standing = pooled(cells, scores)
    low = standing["low"]
    reached = goal.target is not None and low is not None and low >= goal.target
    smallest = min(provable(environments[c.environment].texts[c.level], rules, 1) for c in cells)
    found = {
        "name": goal.name,
        "raise": goal.what,
        "direction": goal.direction.value,
        "weight": goal.weight,
        "why": goal.why,
        **standing,
        "target": goal.target,
        "by": goal.by.isoformat() if goal.by else None,
        "spent": None,
        "forecast": None,
        "state": "reached" if reached else "not measured" if low is None else "open",
        "smallest_provable_gain": smallest,
    }
    return found | ({"cells": {str(cell): scores.get(cell, (None, 0))[0] for cell in cells}} if tree else {})


def _protected(rule: Any, scores: dict[Cell, tuple[float, int]]) -> dict[str, Any]:
    standing = pooled(rule.cells, scores)
    limit = rule.floor if rule.floor is not None else -rule.margin
    return {
        "what": rule.what,
        "rule": "floor" if rule.floor is not None else "margin",
        "limit": limit,
        "now": standing["now"],
        "low": standing["low"],
        "against": "floor" if rule.floor is not None else "parent and reference",
        "state": "not measured" if standing["now"] is None else "kept",
    }


def edited(home: Home, name: str, values: dict[str, Any], *, new: bool) -> dict[str, Any]:
    """Add or change a goal in metaevo.toml; comments stay, an invalid result is not written.

    Raises:
        BadInput: The goal exists already (or does not), or the result would be wrong.
    """
    document = tomlkit.parse(home.text)
    goals = document.setdefault("goals", tomlkit.table(is_super_table=True))
    if new == (name in goals):
        known = ", ".join(goals) or "none"
        raise BadInput(f"goals.{name}: {'is there already' if new else 'no such goal'}; goals: {known}")
    if new:
        goals[name] = tomlkit.table()
    for key, value in values.items():
        goals[name][key] = value
    return _written(home, tomlkit.dumps(document), name)


def removed(home: Home, name: str) -> dict[str, Any]:
    """Remove a goal from metaevo.toml. Raises BadInput where there is none."""
    document = tomlkit.parse(home.text)
    goals = document.get("goals", {})
    if name not in goals:
        raise BadInput(f"goals.{name}: no such goal; goals: {', '.join(goals) or 'none'}")
    goals.remove(name)
    return _written(home, tomlkit.dumps(document), name)


def _written(home: Home, text: str, name: str) -> dict[str, Any]:
    from metaevo.modules.registry import Registry
    from services.app import graders
    from services.ready import wishes_checked

    config = parse(text)
    with graders(home.path, config) as (_, environments):
        wishes_checked(config, environments, Registry(home.path))
    aside = home.path / ".metaevo.toml.new"
    aside.write_text(text, encoding="utf-8")
    aside.rename(home.config_path)
    return {"goal": name, "file": str(home.config_path)}


def by_ability(scores: dict[Cell, tuple[float, int]], abilities: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return pooled scores per ability."""
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in scores:
        groups[abilities.get(cell.environment, cell.environment)].append(cell)
    return {ability: pooled(cells, scores) for ability, cells in sorted(groups.items())}
