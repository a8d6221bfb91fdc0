"""Items of an exam repeat where a cell has few texts: `why` says how many, of the last exams and no further."""

from pathlib import Path

import pytest

from metaevo.gate.exam import Pairs
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.ledger import open_ledger
from objectives.types import Cell
from services.home.home import Home
from services.records.why import SeenItems
from services.reports.seen_items import LOOKED, seen_items
from tests.journeys import small


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = small.create(tmp_path / "home")
    open_ledger(made.place(), create=True).close()
    return made


def asked(home: Home, cycle: int, step: str, *items: str) -> None:
    """Write one block of an exam, as a cycle does."""
    ledger = home.ledger(read_only=False)
    cell = Cell("letter_count", 7)
    block = Pairs((cell,) * len(items), (1.0,) * len(items), 0, (1, 1), tasks=items)
    Journal(ledger, home.store(), 1).step(At(cycle).key(step), "mark", lambda: block, kind=Pairs)
    ledger.close()


def seen(home: Home, cycle: int) -> SeenItems | None:
    ledger = home.ledger()
    try:
        return seen_items(home, ledger, cycle)
    finally:
        ledger.close()


def test_items_of_former_exams_are_counted_once_each(home: Home) -> None:
    asked(home, 1, "screen", "a", "b")
    asked(home, 1, "confirm", "c")
    asked(home, 2, "confirm", "c", "d")
    asked(home, 3, "screen", "b", "e")
    asked(home, 3, "confirm", "c", "f")
    asked(home, 4, "confirm", "e")
    assert seen(home, 3) == SeenItems(seen=2, of=4, exams=2)
    assert seen(home, 2) == SeenItems(seen=1, of=2, exams=1)
    assert seen(home, 1) == SeenItems(seen=0, of=3, exams=0)
    assert seen(home, 5) is None


def test_what_protection_or_a_told_gain_asked_is_no_item_of_the_gain(home: Home) -> None:
    asked(home, 1, "told", "a")
    asked(home, 2, "confirm", "a")
    assert seen(home, 2) == SeenItems(seen=0, of=1, exams=0)


def test_exams_of_long_ago_are_not_looked_at(home: Home) -> None:
    for cycle in range(1, LOOKED + 3):
        asked(home, cycle, "confirm", f"item {cycle}")
    asked(home, 100, "confirm", "item 1", "item 2", "item 3", f"item {LOOKED + 2}")
    assert seen(home, 100) == SeenItems(seen=2, of=4, exams=LOOKED)
