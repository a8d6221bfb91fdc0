"""Measure a generation on fresh probe items; nothing is recorded."""

from collections import defaultdict

from metaevo.errors import BadInput
from objectives.statistics import interval
from objectives.types import Split
from services.home.home import Home
from services.records import Measured
from services.records.models import ModelScores

REFINE = ("self_critique", "revision")


def evaluate(home: Home, which: str, items: int) -> ModelScores:
    """Return a generation's scores on fresh probe items, per cell and ability; nothing is recorded."""
    import secrets

    from metaevo.diagnose import probe_items
    from metaevo.runtime.answering import measure
    from services.home.open import open_home

    if not 1 <= items <= 4096:
        raise BadInput("--items", "", "want 1 to 4096", given=items)
    with open_home(home, engines=1) as app:
        generation = app.host.lineage.get(which)
        cells = [cell for environment in app.host.environments.values() for cell in environment.cells]
        groups = probe_items(app.host, secrets.randbelow(2**31), items, cells)
        tasks = tuple(task for group in groups.values() for task in group)
        report = measure(app.host, app.host.engine, generation, tasks, Split.PROBE)
        by_cell: dict[str, list[float]] = defaultdict(list)
        by_ability: dict[str, list[float]] = defaultdict(list)
        for outcome in report.outcomes:
            if outcome.score is not None:
                by_cell[str(outcome.cell)].append(outcome.score)
                by_ability[app.host.environments[outcome.cell.environment].ability].append(outcome.score)
    return ModelScores(
        generation=generation.id,
        abilities={name: Measured(**interval(scores)._asdict()) for name, scores in sorted(by_ability.items())},
        cells={name: Measured(**interval(scores)._asdict()) for name, scores in by_cell.items()},
    )
