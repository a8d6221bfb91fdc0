"""Attempts without solutions, and several feedback steps made one score: the host's part between the slots."""

from collections.abc import Sequence
from statistics import fmean

from metaevo.runtime.host import TaskTable
from metaevo.types import Attempt, Attempts, Experience, Experiences, Tasks, Turn, solved


def reference_attempts(table: TaskTable, tasks: Tasks) -> Attempts:
    """Return the tasks' own right answers as attempts: what a stage without solutions learns from."""
    found = [(task, table.tasks[task.id].reference) for task in tasks if task.id in table.tasks]
    return tuple(
        Attempt(task, solved((Turn("assistant", text, "reference"),))) for task, text in found if text is not None
    )


def combine(attempts: Attempts, each: Sequence[Experiences], how: str) -> Experiences:
    """Return one experience per attempt with all feedback and one score; a None anywhere drops the row.

    Without a feedback step every row stays, with a score of None.
    """
    if not each:
        return tuple(Experience(attempt) for attempt in attempts)
    by_key = [{(row.attempt.task.id, row.attempt.solution.id): row for row in rows} for rows in each]
    found = []
    for attempt in attempts:
        rows = [table.get((attempt.task.id, attempt.solution.id)) for table in by_key]
        feedback = tuple(f for row in rows if row is not None for f in row.feedback)
        scores = [f.score for f in feedback]
        if len(feedback) < len(each) or any(score is None for score in scores):
            continue
        known = [score for score in scores if score is not None]
        found.append(Experience(attempt, feedback, _score(known, how)))
    return tuple(found)


def _score(scores: Sequence[float], how: str) -> float:
    if how == "first":
        return scores[0]
    if how == "mean":
        return fmean(scores)
    if how == "product":
        result = 1.0
        for score in scores:
            result *= score
        return result
    return min(scores)
