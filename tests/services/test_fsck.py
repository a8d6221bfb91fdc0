"""Rows that are missing are found: an alias, a confirmed cell, the parent of a generation."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from metaevo.gate.evidence import BettingGain, Evidence, MoreItems, Reason, ReasonCode, Verdict
from metaevo.ledger.confirmations import Asked, open_confirmation
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.lineage import Lineage, promote
from metaevo.types import Generation
from services.fsck import check_home
from services.home.home import Home
from tests.journeys import small

ALIASES, LINES, SPENT = "aliases follow their moves", "lineage reaches the base", "errors spent only grow"
CELLS = "the cells kept of confirmation 1 of budget 1 are not those it names"

CELLS_ASKED = ("sorting/4", "sorting/5")
FIRST = "budget 1: confirmation 1"
WEIGHTS = "one share a cell that sum to 1"
MOST = "its number and promotions give at most 0.00508778"
NONE = "its parent's line has 0"


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
    asked = Asked(candidate="g000001", parent="g000000", epoch=1, cells=CELLS_ASKED, weights=(0.5, 0.5))
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
        ("UPDATE confirmation SET weights = '[NaN]'", SPENT, f"{FIRST} has the weights [nan], want {WEIGHTS}"),
        (
            "UPDATE confirmation SET weights = '[0.5, 0.6]'",
            SPENT,
            f"{FIRST} has the weights [0.5, 0.6], want {WEIGHTS}",
        ),
        ("UPDATE confirmation SET level = 'x'", SPENT, f"{FIRST} has the level 'x', want a number between 0 and 1"),
        ("UPDATE confirmation SET level = 0.05", SPENT, f"{FIRST} has the level 0.05, {MOST}"),
        ("UPDATE confirmation SET promotions = 50", SPENT, f"{FIRST} stands on 50 promotions, {NONE}"),
        ("UPDATE confirmation SET promotions = 'x'", SPENT, f"{FIRST} stands on 'x' promotions, want a whole number"),
        ("UPDATE confirmation SET k = 2", SPENT, "budget 1: confirmation 2 follows 0"),
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


GAIN = BettingGain(0.1, 0.05, 0.15, 500, 1, 0.001, 1000.0, 540, 3.0, 1500.0, (0.25, 0.5))
VERDICTS = {
    True: Verdict("promote", (Reason(ReasonCode.GAIN_PROVEN, GAIN),), "g", Evidence(CELLS_ASKED, False, gain=GAIN)),
    False: Verdict(
        "hold", (Reason(ReasonCode.MORE_ITEMS, MoreItems(GAIN, 9, 1500)),), "g", Evidence(CELLS_ASKED, False, gain=GAIN)
    ),
}


@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("outcome", ["proven", "unproven", "open", "void"])
def test_an_outcome_is_what_the_verdict_says(home: Home, outcome: str, proven: bool) -> None:
    said = json.dumps(VERDICTS[proven].as_data())
    do(home, "UPDATE generation SET verdict = :said WHERE id = 'g000001'", said=said)
    do(home, "UPDATE confirmation SET place = 540, level = 0.001, outcome = :said", said=outcome)
    word = "" if proven else "not "
    wrong = outcome != "void" and (outcome == "proven") != proven
    expected = (f"{FIRST} is {outcome}, its verdict says that the gain was {word}proven",) if wrong else ()
    assert found(home)[SPENT] == expected


def test_a_level_and_promotions_are_what_the_verdict_says(home: Home) -> None:
    do(home, "UPDATE generation SET verdict = :said WHERE id = 'g000001'", said=json.dumps(VERDICTS[True].as_data()))
    do(home, "UPDATE confirmation SET place = 540, level = 0.002, outcome = 'proven'")
    assert found(home)[SPENT] == (f"{FIRST} has the level 0.002, its verdict says 0.001",)


def test_a_confirmation_stands_on_its_parents_promotions(home: Home) -> None:
    do(home, "UPDATE confirmation SET place = 540, outcome = 'proven'")
    ledger = home.ledger(read_only=False)
    with ledger.transaction() as connection:
        move = "UPDATE alias SET generation = 'g000001' WHERE name = 'champion'"
        connection.execute(text(move))
    asked = Asked(candidate="g000002", parent="g000001", epoch=1, cells=("sorting/4",), weights=(1.0,))
    assert open_confirmation(ledger, asked, cycle=2, alpha=0.05, finite={}, reuse=10).promotions == 1
    ledger.close()
    assert found(home)[SPENT] == ()
    do(home, "UPDATE confirmation SET outcome = 'unproven' WHERE k = 1")
    second = "budget 1: confirmation 2"
    assert found(home)[SPENT] == (f"{second} stands on 1 promotions, {NONE}",)


def test_the_level_of_a_larger_alpha_that_was_configured_once_is_right(home: Home) -> None:
    do(home, "UPDATE confirmation SET level = 0.01")
    assert found(home)[SPENT]
    ledger = home.ledger(read_only=False)
    ledger.keep_config("d", "[gate]\nalpha = 0.1\n")
    ledger.close()
    assert found(home)[SPENT] == ()


def test_every_file_of_the_store_is_read(home: Home) -> None:
    """Whether anything refers to it or not: one byte more, one byte less, one byte changed, a stranger."""
    store = home.store()
    digests = [store.put(f"text {number} of some length".encode()) for number in range(4)]
    folder = store.scratch("tree")
    (folder / "a.txt").write_text("a")
    tree = store.put_tree(folder, {})
    assert list(store.damaged()) == []
    grown, cut, changed = (store.root / "blobs" / digest[:2] / digest for digest in digests[:3])
    grown.write_bytes(grown.read_bytes() + b"x")
    cut.write_bytes(cut.read_bytes()[:-1])
    data = bytearray(changed.read_bytes())
    data[-6] ^= 1
    changed.write_bytes(data)
    (store.root / "trees" / tree / "a.txt").write_text("b")
    stranger = grown.with_name("notes.txt")
    stranger.write_text("x")
    said = list(store.damaged())
    for name in (*digests[:3], tree, "notes.txt"):
        assert sum(name[:12] in line for line in said) == 1, said
    assert len(said) == 5
    (check,) = [check for check in check_home(home).checks if check.name == "artifacts match their digests"]
    assert set(said) <= set(check.problems)


def do(home: Home, statement: str, **values: str) -> None:
    ledger = home.ledger(read_only=False)
    with ledger.transaction() as connection:
        connection.execute(text(statement), values)
    ledger.close()
