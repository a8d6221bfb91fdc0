"""Rows that are missing are found: an alias, a confirmed cell, the parent of a generation."""

from pathlib import Path

import pytest
from sqlalchemy import text

from metaevo.ledger.confirmations import Asked, open_confirmation
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.lineage import Lineage, promote
from metaevo.types import Generation
from services.fsck import check_home
from services.home.home import Home
from tests.journeys import small

ALIASES, LINES, SPENT = "aliases follow their moves", "lineage reaches the base", "errors spent only grow"
CELLS = "the cells kept of confirmation 1 of budget 1 are not those it names"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A base, two promoted children in a line, and one confirmation of two cells."""
    made = small.create(tmp_path / "home")
    ledger = open_ledger(made.place(), create=True)
    lineage, parent = Lineage(ledger), None
    for cycle in range(3):
        (id_,) = lineage.reserve(cycle, 0, 1, parent)
        lineage.publish(Generation(id_, parent, {"policy": "p"}), manifest=f"manifest of {id_}")
        if parent is None:
            lineage.crown(id_, who="metaevo", why="the base model")
        else:
            with ledger.transaction() as connection:
                promote(connection, ledger, id_, who="metaevo", why="gain proven", evidence={})
        parent = id_
    cells = ("sorting/4", "sorting/5")
    asked = Asked(candidate="g000001", parent="g000000", epoch=1, cells=cells, weights=(0.5, 0.5))
    open_confirmation(ledger, asked, cycle=1, alpha=0.05, finite={}, reuse=10)
    ledger.close()
    return made


def found(home: Home) -> dict[str, tuple[str, ...]]:
    """Return the problems of the three checks, by name."""
    return {check.name: check.problems for check in check_home(home).checks if check.name in (ALIASES, LINES, SPENT)}


def test_a_whole_ledger_has_none(home: Home) -> None:
    assert found(home) == {ALIASES: (), LINES: (), SPENT: ()}


@pytest.mark.parametrize(
    ("statement", "check", "problem"),
    [
        ("DELETE FROM alias WHERE name = 'base'", ALIASES, "base points to None, its moves lead to g000000"),
        ("DELETE FROM alias WHERE name = 'base'", ALIASES, "alias base is missing"),
        ("DELETE FROM alias WHERE name = 'champion'", ALIASES, "alias champion is missing"),
        ("DELETE FROM alias WHERE name = 'reference'", ALIASES, "alias reference is missing"),
        ("DELETE FROM alias WHERE name = 'previous'", ALIASES, "previous points to None, its moves lead to g000001"),
        ("DELETE FROM move WHERE alias = 'base'", ALIASES, "base points to g000000, its moves lead to None"),
        ("DELETE FROM confirmed_cell WHERE cell = 'sorting/5'", SPENT, CELLS),
        ("UPDATE confirmed_cell SET cycle = 7 WHERE cell = 'sorting/5'", SPENT, CELLS),
        ("UPDATE confirmation SET cells = '[]'", SPENT, CELLS),
        (
            "UPDATE generation SET parent = NULL WHERE id = 'g000001'",
            LINES,
            "g000002: its line ends at g000001, the base is g000000",
        ),
        (
            "UPDATE generation SET parent = NULL WHERE id = 'g000001'",
            LINES,
            "g000001: its line ends at g000001, the base is g000000",
        ),
    ],
)
def test_a_row_that_is_missing_is_named(home: Home, statement: str, check: str, problem: str) -> None:
    ledger = home.ledger(read_only=False)
    with ledger.transaction() as connection:
        connection.execute(text(statement))
    ledger.close()
    problems = found(home)
    assert problem in problems[check]
    assert [name for name, said in problems.items() if said] == [check]
