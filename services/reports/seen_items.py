"""How many of an exam's items were asked in exams before: where a cell has few texts, fresh ones run out."""

from metaevo.artifacts.bodies import BodyStore
from metaevo.gate.exam import Pairs
from metaevo.ledger import queries
from metaevo.ledger.journal import read_body
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.steps import StepName
from services.home.home import Home
from services.records.why import SeenItems

LOOKED = 16
"""Exams that are looked back at: without an end the question would cost more with every cycle."""
GAIN_STEPS = (StepName.SCREEN, StepName.CONFIRM, StepName.EXACT)


def seen_items(home: Home, ledger: Ledger, cycle: int) -> SeenItems | None:
    """Return how many of the items of a cycle's gain were asked in the exams before it; None where none was asked.

    Raises:
        StoreError: The record of an exam is missing or damaged.
    """
    shelf = BodyStore(home.store())
    asked = _ids(ledger, shelf, cycle)
    if not asked:
        return None
    former = queries.exams_before(ledger, cycle, GAIN_STEPS, LOOKED)
    seen = {task for number in former for task in _ids(ledger, shelf, number)}
    return SeenItems(seen=len(asked & seen), of=len(asked), exams=len(former))


def _ids(ledger: Ledger, shelf: BodyStore, cycle: int) -> set[str]:
    steps = [made for step in GAIN_STEPS for made in queries.trial_results(ledger, cycle, 0, step)]
    return {task for step in steps for task in read_body(step, shelf, Pairs).tasks}
