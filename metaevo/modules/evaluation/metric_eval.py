"""Quantitative evaluation: answer the held tasks, let the environments grade them (survey section 7.1).

Intervals, chance correction and comparisons are the host's: a report holds single outcomes.
"""

from metaevo import Exam, Generation, Report


def metric_eval(generation: Generation, *, exam: Exam) -> Report:
    """Return one graded outcome per held task, in order."""
    return exam.grade(generation, exam.answer(generation, exam.tasks))
