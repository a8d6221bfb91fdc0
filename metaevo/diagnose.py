"""Diagnosis: measure the champion on fresh probe items, name its weaknesses, and say what is known of every cell.

Greedy answers give the score; on cells that are not mastered k samples show what the model could do (pass@k,
chance-corrected). Probe items are drawn anew every cycle; anchor items, the same for all, give trend and loss.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.protocol import Sampling
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.scores import pool_scores
from metaevo.ledger.steps import StepName
from metaevo.runtime.answering import examine, grade, measure_mark, sample
from metaevo.runtime.host import Host
from metaevo.runtime.step_runner import retry
from metaevo.types import Generation, Tasks
from objectives.capability import MASTERED, Score, agreement, latent
from objectives.diagnosis import Weakness, WrongAnswer, clustered
from objectives.types import Cell, Report, Split


@dataclass(frozen=True, slots=True)
class ProbeRules:
    """How much a diagnosis looks at. The operator sets it."""

    items: int = 32
    """Probe items per cell and cycle."""
    samples: int = 8
    """Samples per task, for half of the items of cells that are not mastered."""
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class CellMeasurement:
    """One cell, looked at."""

    cell: Cell
    n: int
    mean: float
    latent: float | None
    chance: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one diagnosis found: every cell, and the named weaknesses, most points lost first."""

    generation: str
    cells: tuple[CellMeasurement, ...]
    weaknesses: tuple[Weakness, ...]
    tokens: int


def probe_items(
    host: Host, seed: int, each: int, cells: Sequence[Cell], split: Split = Split.PROBE
) -> dict[Cell, Tasks]:
    """Return up to ``each`` whole items of every cell."""
    drawn = host.graders.draw_many([(cell.environment, cell.level, split, seed, 0, each) for cell in cells])
    return {cell: found.tasks for cell, found in zip(cells, drawn, strict=True)}


def diagnose(host: Host, journal: Journal, at: At, champion: Generation, rules: ProbeRules) -> Diagnosis:
    """Return the diagnosis of the champion, as one journalled step."""
    key = at.key(StepName.DIAGNOSE)
    cells = [cell for environment in host.environments.values() for cell in environment.cells]
    items = probe_items(host, journal.stream_seed(key) % 2**31, rules.items, cells)
    tasks = tuple(task for group in items.values() for task in group)
    mark = fingerprint(measure_mark(host, champion, tasks), rules)

    def run() -> Diagnosis:
        report, tokens = examine(host, host.together, champion, tasks, Split.PROBE)
        scores = _by_cell(report)
        weak = [cell for cell in cells if scores.get(cell) and sum(scores[cell]) / len(scores[cell]) < MASTERED]
        some = {cell: items[cell][: -(-rules.items // 2)] for cell in weak}
        solved, more = _sampled(host, champion, some, rules, journal.stream_seed(key))
        looked = tuple(_looked(cell, items[cell], scores.get(cell, []), solved.get(cell), rules) for cell in cells)
        wrong = _wrong(host, champion, tasks, report)
        named = clustered(wrong, {cell: len(scores.get(cell, [])) for cell in cells})
        return Diagnosis(champion.id, looked, named, tokens + more)

    def counts(_: Diagnosis) -> dict[str, int]:
        return {"items": len(tasks)}

    return retry(lambda: journal.step(key, mark, run, kind=Diagnosis, counts=counts))


def _by_cell(report: Report) -> dict[Cell, list[float]]:
    found: dict[Cell, list[float]] = defaultdict(list)
    for outcome in report.outcomes:
        if outcome.score is not None:
            found[outcome.cell].append(outcome.score)
    return found


def _looked(
    cell: Cell, tasks: Tasks, scores: list[float], solved: list[bool] | None, rules: ProbeRules
) -> CellMeasurement:
    chance = agreement([task.answer for task in tasks])
    hope = None if solved is None else latent(solved, rules.samples, chance)
    return CellMeasurement(cell, len(scores), sum(scores) / len(scores) if scores else 0.0, hope, chance)


def _sampled(
    host: Host, champion: Generation, items: Mapping[Cell, Tasks], rules: ProbeRules, seed: int
) -> tuple[dict[Cell, list[bool]], int]:
    """Return for every task of these cells whether one of k samples solves it, and the tokens it took."""
    tasks = tuple(task for group in items.values() for task in group)
    if not tasks or rules.samples < 1:
        return {}, 0
    attempts = sample(host, host.together, champion, tasks, Sampling(rules.samples, rules.temperature, seed=seed))
    passed: dict[str, bool] = defaultdict(bool)
    for attempt, feedback in zip(attempts, grade(host, tasks, attempts), strict=True):
        passed[attempt.task.id] |= feedback.verdict == "pass"
    found = {cell: [passed[task.id] for task in group] for cell, group in items.items()}
    return found, sum(attempt.solution.tokens for attempt in attempts)


def _wrong(host: Host, champion: Generation, tasks: Tasks, report: Report) -> list[WrongAnswer]:
    """Return the wrong answers of a report with the environments' names for the mistakes."""
    failed = [
        task
        for task, outcome in zip(tasks, report.outcomes, strict=True)
        if outcome.score is not None and outcome.score < 1
    ]
    if not failed:
        return []
    room = max(host.max_tokens(task.environment) for task in failed)
    made = host.together.sample(champion, [task.prompt for task in failed], Sampling(max_tokens=room))
    given = {task.id: row[0].text for task, row in zip(failed, made, strict=True)}
    found = []
    for name in sorted({task.environment for task in failed}):
        mine = [task for task in failed if task.environment == name]
        names = host.graders.mistakes(name, [(t.origin, t.level, t.text, given[t.id]) for t in mine])
        found += [
            WrongAnswer(task.cell, task.text, task.answer, given[task.id], mistake)
            for task, mistake in zip(mine, names, strict=True)
        ]
    return found


def record_scores(host: Host, found: Diagnosis, epoch: int, cycle: int) -> None:
    """Write the probe scores, pooled with what earlier cycles measured of the same generation."""
    scores = [Score(found.generation, cell.cell, cell.n, cell.mean, cell.latent) for cell in found.cells]
    pool_scores(host.ledger, Split.PROBE, epoch, cycle, scores)
