"""What an objective rule may see: every cell's standing now, and how former objectives went."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from sqlmodel import col, select

from metaevo.diagnose import Diagnosis
from metaevo.gate.gain import confirmations
from metaevo.gate.rules import GateRules
from metaevo.ledger.tables import CycleRow, ScoreRow
from metaevo.line.host import Host
from metaevo.types import CellState, History
from objectives.capability import Score, drops, trend
from objectives.goals import Goals
from objectives.splits import share
from objectives.statistics import level, provable_gain, provable_gain_exact
from objectives.types import Cell, Direction, Objective, Split

PARK_AFTER = 2
"""Tries in vain after which a cell is parked."""
RETRY_AFTER = 6
"""Cycles after which a parked cell is tried again."""
TARGET = 0.95

PastObjective = tuple[int, Objective, str, float | None]
"""(cycle, objective, outcome, estimated gain)."""


def history(host: Host, goals: Goals, found: Diagnosis, rules: GateRules, *, epoch: int, cycle: int) -> History:
    """Return what an objective rule may see."""
    past = past_objectives(host, cycle)
    weights = goals.weights(host.environments)
    lost = drops(anchor_history(host, epoch))
    tries = {cell: _tries(cell, past) for cell in (looked.cell for looked in found.cells)}
    spent = confirmations(host.ledger, epoch, cycle)
    uses = Counter(cell for row in spent for cell in row.cells)
    pooled = scores_of(host, found.generation, Split.PROBE, epoch)
    trends = {cell: trend(scores) for cell, scores in anchor_history(host, epoch).items()}
    cells = []
    for looked in found.cells:
        environment = host.environments[looked.cell.environment]
        texts = environment.texts[looked.cell.level]
        weight, target = weights.get(looked.cell, (0.0, None))
        score = pooled.get(looked.cell) or Score(found.generation, looked.cell, looked.n, looked.mean, looked.latent)
        vain, last, progress = tries[looked.cell]
        parked = _parked(rules.reuse - uses[str(looked.cell)], texts, vain, last, cycle)
        cells.append(
            CellState(
                cell=looked.cell,
                ability=environment.ability,
                direction=Direction(environment.direction),
                score=score.mean if score.n else None,
                low=score.interval.low,
                high=score.interval.high,
                n=score.n,
                latent=looked.latent,
                chance=looked.chance,
                finite=texts is not None,
                trend=trends.get(looked.cell, 0.0),
                drop=lost.get(looked.cell, 0.0),
                tries=0 if last is not None and cycle - last >= RETRY_AFTER else vain,
                progress=progress,
                parked=parked,
                weight=0.0 if environment.judged else weight,
                target=target if target is not None else TARGET,
                provable=provable(texts, rules, len(spent) + 1),
            )
        )
    return History(tuple(cells), tuple((objective, outcome) for _, objective, outcome, _ in past))


def provable(texts: int | None, rules: GateRules, k: int) -> float:
    """Return the smallest gain that the epoch's k-th confirmation can prove on such a cell."""
    error = level(rules.alpha, k)
    if texts is None:
        return provable_gain(rules.max_items, error)
    return provable_gain_exact(int(texts * share(Split.GATE)), error)


def _parked(left: int, texts: int | None, vain: int, last: int | None, cycle: int) -> str:
    if texts is not None and left <= 0:
        return "its exam sample is used up in this epoch"
    if vain >= PARK_AFTER and last is not None and cycle - last < RETRY_AFTER:
        return f"{vain} tries brought no proven gain; tried again from cycle {last + RETRY_AFTER}"
    return ""


def past_objectives(host: Host, before: int) -> list[PastObjective]:
    """Return the objectives of earlier cycles, oldest first."""
    with host.ledger.read() as session:
        rows = session.exec(select(CycleRow).where(CycleRow.number < before).order_by(col(CycleRow.number))).all()
    found = []
    for row in rows:
        if row.objective is None or row.outcome in ("void", "abandoned", "open"):
            continue
        gain = ((row.verdict or {}).get("exam") or {}).get("gain") or ((row.verdict or {}).get("exam") or {}).get(
            "screen"
        )
        found.append((row.number, objective_of(row.objective), row.outcome, gain["mean"] if gain else None))
    return found


def objective_of(data: Mapping[str, object]) -> Objective:
    """Return an objective as the ledger keeps it."""
    cells = tuple(Cell.parse(str(cell)) for cell in data["cells"])  # type: ignore[attr-defined]
    direction = Direction(str(data["direction"]))
    return Objective(str(data["ability"]), direction, cells, str(data["reason"]), str(data["rule"]))


def as_data(objective: Objective) -> dict[str, object]:
    """Return an objective as the ledger keeps it."""
    return {
        "ability": objective.ability,
        "direction": objective.direction.value,
        "cells": [str(cell) for cell in objective.cells],
        "reason": objective.reason,
        "rule": objective.rule,
    }


def _tries(cell: Cell, past: Sequence[PastObjective]) -> tuple[int, int | None, float | None]:
    """Return how often a cell was tried in vain since its last promotion, when last, and what that try gained."""
    vain, last, progress = 0, None, None
    for number, objective, outcome, gain in past:
        if cell in objective.cells:
            vain = 0 if outcome == "promote" else vain + 1
            last, progress = number, gain
    return vain, last, progress


def anchor_history(host: Host, epoch: int) -> dict[Cell, list[Score]]:
    """Return the anchor scores of the champion's line, base first: the same items for every generation."""
    champion = host.lineage.alias("champion")
    line = list(reversed(host.lineage.ancestors(champion))) if champion else []
    found: dict[Cell, list[Score]] = defaultdict(list)
    for id_ in line:
        for cell, score in scores_of(host, id_, Split.ANCHOR, epoch).items():
            found[cell].append(score)
    return found


def scores_of(host: Host, generation: str, split: Split, epoch: int) -> dict[Cell, Score]:
    """Return a generation's scores on one split."""
    with host.ledger.read() as session:
        query = select(ScoreRow).where(
            ScoreRow.generation == generation, ScoreRow.split == split.value, ScoreRow.epoch == epoch
        )
        rows = session.exec(query).all()
    return {
        Cell(r.environment, r.level): Score(generation, Cell(r.environment, r.level), r.n, r.mean, r.latent)
        for r in rows
    }
