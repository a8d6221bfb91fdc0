"""Rows by task: what is compared is always among the answers to one task, wherever they stand in the batch."""

from collections import defaultdict

from metaevo import Experience, Experiences


def by_task(rows: Experiences) -> list[list[Experience]]:
    """Return the rows of each task, tasks in the order in which they first come."""
    groups: dict[str, list[Experience]] = defaultdict(list)
    for row in rows:
        groups[row.attempt.task.id].append(row)
    return list(groups.values())
