"""What an objective rule may see: every cell's standing now, and how former objectives went."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from metaevo.diagnose import CellMeasurement, Diagnosis
from metaevo.evolution.provable import in_company, smallest_provable
from metaevo.gate.settings import GateRules
from metaevo.history import CellState, History
from metaevo.ledger.anchors import best_anchors
from metaevo.ledger.confirmations import confirmations_per_cell, next_level
from metaevo.ledger.cycles import pursued_objectives
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.scores import scores_of, scores_of_each
from metaevo.runtime.host import Host
from objectives.capability import TREND, Score, drops, trend
from objectives.goals import Goals
from objectives.statistics import reread_share
from objectives.types import Cell, Direction, Objective, Split

PARK_AFTER = 2
"""Tries in vain after which a cell is parked."""
RETRY_AFTER = 6
"""Cycles after which a parked cell is tried again."""
REMEMBERED = 128
"""Cycles an objective rule may look back: without an end every cycle would be dearer than the one before."""
TARGET = 0.95
NEEDS_ROWS = "needs rows"
"""How the reason begins for which a cell is parked whose exam sample served as many confirmations as it may."""

PastObjective = tuple[int, Objective, str, float | None]
"""(cycle, objective, outcome, estimated gain)."""


def history(host: Host, goals: Goals, found: Diagnosis, rules: GateRules, *, epoch: int, cycle: int) -> History:
    """Return what an objective rule may see."""
    past = past_objectives(host.ledger, cycle)
    weights = goals.weights(host.environments)
    best, recent = anchor_scores(host, epoch)
    lost = drops({cell: (best[cell], scores[-1]) for cell, scores in recent.items()})
    _, error = next_level(host.ledger, rules.alpha, cycle)
    # only a finite cell's sample can be used up, and to count costs more with every confirmation there was
    sizes = {str(looked.cell): _texts(host, looked.cell) for looked in found.cells}
    finite = {cell: n for cell, n in sizes.items() if n is not None}
    marks = {
        str(one.cell): host.environments[one.cell.environment].marks.get(one.cell.level, ()) for one in found.cells
    }
    uses = confirmations_per_cell(host.ledger, cycle, finite, marks)
    tries = tries_per_cell(past)
    pooled = scores_of(host.ledger, found.generation, Split.PROBE, epoch)
    trends = {cell: trend(scores) for cell, scores in recent.items()}
    cells, errors = list[CellState](), dict[Cell, float]()
    for looked in found.cells:
        environment = host.environments[looked.cell.environment]
        texts, (reads, proven) = _texts(host, looked.cell), uses.get(str(looked.cell), (0, 0))
        weight, target = weights.get(looked.cell, (0.0, None))
        score = pooled.get(looked.cell) or Score(found.generation, looked.cell, looked.n, looked.mean, looked.latent)
        errors[looked.cell] = error * reread_share(reads + 1, proven)
        vain, last, progress = tries.get(looked.cell, (0, None, None))
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
                drop=lost.get(looked.cell, 0.0) if environment.train else 0.0,  # what is never trained on opens no cell
                tries=0 if last is not None and cycle - last >= RETRY_AFTER else vain,
                progress=progress,
                parked=parked_because(rules.reuse - reads, texts, vain, last, cycle),
                weight=0.0 if environment.judged else weight,
                target=target if target is not None else TARGET,
                provable=smallest_provable(environment, looked.cell.level, rules, errors[looked.cell]),
            )
        )
    return History(
        in_company(cells, host.environments, errors), tuple((objective, outcome) for _, objective, outcome, _ in past)
    )


def tell_used_up(ledger: Ledger, seen: History, cycle: int) -> None:
    """Write an event for each cell of the goals whose exam sample is used up: status says what renews it."""
    for cell in seen.cells:
        if cell.weight > 0 and cell.parked.startswith(NEEDS_ROWS):
            ledger.event("needs_rows", f"{cell.cell} {cell.parked}", cycle, cell=str(cell.cell))


def known_diagnosis(host: Host, generation: str, epoch: int) -> Diagnosis | None:
    """Return what the ledger already knows of a generation, None where it was not measured in this epoch."""
    scores = scores_of(host.ledger, generation, Split.PROBE, epoch)
    if not scores:
        return None
    looked = tuple(CellMeasurement(cell, s.n, s.mean, s.latent, 0.0) for cell, s in sorted(scores.items()))
    return Diagnosis(generation, looked, (), 0)


def parked_because(left: int, texts: int | None, vain: int, last: int | None, cycle: int) -> str:
    """Return why a cell is no objective for now, "" where it may be: ``left`` confirmations, ``vain`` tries."""
    if texts is not None and left <= 0:
        return f"{NEEDS_ROWS}: its exam sample is used up, {texts} new rows renew it"
    if vain >= PARK_AFTER and last is not None and cycle - last < RETRY_AFTER:
        return f"{vain} tries brought no proven gain; tried again from cycle {last + RETRY_AFTER}"
    return ""


def past_objectives(ledger: Ledger, before: int) -> list[PastObjective]:
    """Return the objectives of the last `REMEMBERED` cycles on the champion's line, oldest first."""
    past = pursued_objectives(ledger, before, REMEMBERED)
    return [(one.number, objective_of(one.objective), one.outcome, one.gain) for one in past]


def objective_of(data: Mapping[str, object]) -> Objective:
    """Return an objective as the ledger keeps it."""
    cells = tuple(Cell.parse(str(cell)) for cell in data["cells"])  # type: ignore[attr-defined]
    direction = Direction(str(data["direction"]))
    return Objective(str(data["ability"]), direction, cells, str(data["reason"]), str(data["rule"]))


def objective_data(objective: Objective) -> dict[str, object]:
    """Return an objective as the ledger keeps it."""
    return {
        "ability": objective.ability,
        "direction": objective.direction.value,
        "cells": [str(cell) for cell in objective.cells],
        "reason": objective.reason,
        "rule": objective.rule,
    }


def _texts(host: Host, cell: Cell) -> int | None:
    return host.environments[cell.environment].texts[cell.level]


def tries_per_cell(past: Sequence[PastObjective]) -> dict[Cell, tuple[int, int | None, float | None]]:
    """Return how often each cell was tried in vain since its last promotion, when last, and what that try gained."""
    found: dict[Cell, tuple[int, int | None, float | None]] = {}
    for number, objective, outcome, gain in past:
        for cell in dict.fromkeys(objective.cells):
            before = found.get(cell, (0, None, None))[0]
            vain = 0 if outcome == "promote" else before + (outcome != "hold")  # an open hold may yet be promoted
            found[cell] = (vain, number, gain)
    return found


def anchor_scores(host: Host, epoch: int) -> tuple[dict[Cell, Score], dict[Cell, list[Score]]]:
    """Return per cell the best anchor score on the champion's line, and its last ones, oldest first.

    The items are the same for every generation. The best is a value the ledger keeps, so that a long line costs
    nothing; it stands on the fewest items that any generation of the line was measured on.
    """
    champion = host.lineage.alias("champion")
    if champion is None:
        return {}, {}
    newest = host.lineage.ancestors(champion, TREND + 1)
    scores = scores_of_each(host.ledger, newest, Split.ANCHOR, epoch)
    recent: dict[Cell, list[Score]] = defaultdict(list)
    for id_ in reversed(newest):
        for cell, score in scores[id_].items():
            recent[cell].append(score)
    return best_anchors(host.ledger, epoch), recent
