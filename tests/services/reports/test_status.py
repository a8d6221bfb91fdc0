"""The status of a cycle that runs: what it pursues now, not what an earlier one did."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metaevo.evolution.objective_history import objective_data
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.tables import AliasRow, CycleRow, GenerationRow
from objectives.types import Cell, Direction, Objective
from services.home.home import Home
from services.records.status import HeldCandidate
from services.reports.status import current_status
from services.text import render
from tests.journeys import small

AT = datetime(2027, 1, 1, tzinfo=UTC)


def objective(*cells: Cell) -> Objective:
    return Objective("other", Direction.PERFORMANCE, cells, "it is weak", "learning_progress")


BEFORE, NOW = objective(Cell("sorting", 4)), objective(Cell("reversal", 7))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose first cycle pursued something; the second one is open."""
    made = small.create(tmp_path / "home")
    with open_ledger(made.place(), create=True).write() as session:
        base = {"id": "g000000", "number": 0, "cycle": 0, "trial": 0, "place": 0, "status": "champion", "answer": []}
        session.add(GenerationRow(**base, manifest="m", parts={"policy": "p"}, created_at=AT))
        session.add(AliasRow(name="champion", generation="g000000"))
        for number, outcome in ((1, "reject"), (2, "open")):
            cycle = {"number": number, "outcome": outcome, "parent": "g000000", "epoch": 1, "seed": 1, "runtime": "r"}
            chosen = objective_data(BEFORE) if number == 1 else None
            session.add(CycleRow(**cycle, commitment="c", objective=chosen, opened_at=AT))
    return made


def chose(home: Home, cycle: int, made: Objective) -> None:
    ledger = home.ledger(read_only=False)
    Journal(ledger, home.store(), 1).step(At(cycle).key("objective"), "mark", lambda: made, kind=Objective)
    ledger.close()


def pursued(home: Home) -> tuple[str, ...] | None:
    found = current_status(home).objective
    return found.cells if found is not None else None


def test_an_open_cycle_shows_the_objective_it_chose_itself_and_none_before(home: Home) -> None:
    chose(home, 1, BEFORE)
    assert pursued(home) is None
    chose(home, 2, NOW)
    assert pursued(home) == ("reversal/7",)


def test_a_rule_that_chose_nothing_pursues_nothing(home: Home) -> None:
    chose(home, 2, objective())
    assert pursued(home) is None


def test_between_cycles_the_last_objective_is_shown(home: Home) -> None:
    ledger = home.ledger(read_only=False)
    with ledger.write() as session:
        session.get_one(CycleRow, 2).outcome = "none"
    ledger.close()
    assert pursued(home) == ("sorting/4",)


@pytest.mark.parametrize(
    ("needed", "nights", "said"),
    [
        (72, 1, "g000003 since cycle 2: about 72 more items, 1 night"),
        (1, 1, "g000003 since cycle 2: about 1 more item, 1 night"),
        (5000, 2, "about 5,000 more items, more than one cycle asks: the next one ends the hold"),
        (None, None, "no number of the items that are left would decide it, the next cycle ends the hold"),
    ],
)
def test_a_hold_promises_no_items_that_are_not_there(
    home: Home, needed: int | None, nights: int | None, said: str
) -> None:
    held = HeldCandidate(generation="g000003", since_cycle=2, needed=needed, nights=nights, waits_for="items")
    shown = render.SHOWN["status"](replace(current_status(home), held=(held,))).splitlines()
    (line,) = [line for line in shown if line.startswith("Held")]
    assert line.endswith(said)
