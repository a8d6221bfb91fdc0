"""A verdict that cannot be read is one row's trouble: it is named, lists go on, and fsck finds it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from metaevo.errors import StoreError
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.tables import AliasRow, CycleRow, GenerationRow
from services.fsck import check_home
from services.home.home import Home
from services.reports.generations import generation_detail, page
from services.reports.status import current_status
from services.reports.why import why_generation
from tests.journeys import small

AT = datetime(2027, 1, 1, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "decision": "promote",
    "reasons": [],
    "gate": "x",
    "exam": {"cells": ["sorting/4"], "protects_nothing": True},
}
UNREADABLE: dict[str, str] = {
    "a code of nobody": json.dumps(GOOD | {"reasons": [{"code": "moon phase", "numbers": {}}]}),
    "no reasons": json.dumps(GOOD | {"reasons": None}),
    "a reason that is a word": json.dumps(GOOD | {"reasons": ["x"]}),
    "reasons that are a number": json.dumps(GOOD | {"reasons": 7}),
    "a list": "[]",
    "not JSON": "{'decision",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Three generations in a line, each of a cycle of its own."""
    made = small.create(tmp_path / "home")
    with open_ledger(made.place(), create=True).write() as session:
        for number in range(3):
            facts: dict[str, Any] = {"id": f"g00000{number}", "number": number, "cycle": number, "trial": 0, "place": 0}
            facts |= {"parent": f"g00000{number - 1}" if number else None, "status": "retired", "answer": []}
            facts |= {"manifest": "m", "parts": {"policy": "p"}, "verdict": GOOD if number else None}
            session.add(GenerationRow(**facts, created_at=AT))
            cycle = {"number": number, "outcome": "promote", "parent": "g000000", "epoch": 1, "seed": 1}
            session.add(CycleRow(**cycle, commitment="c", runtime="r", candidate=facts["id"], opened_at=AT))
        session.add(AliasRow(name="champion", generation="g000002"))
    return made


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_verdict_that_cannot_be_read_is_named_and_the_list_goes_on(home: Home, name: str) -> None:
    ledger = home.ledger(read_only=False)
    with ledger.transaction() as connection:
        said = {"said": UNREADABLE[name]}
        connection.execute(text("UPDATE generation SET verdict = :said WHERE id = 'g000001'"), said)
    ledger.close()
    for ask in (why_generation, generation_detail):
        with pytest.raises(StoreError) as caught:
            ask(home, "g000001")
        line = str(caught.value)
        assert line.startswith("generation g000001: its verdict cannot be read ("), line
        assert line.endswith("); run `metaevo fsck`")
        assert "\n" not in line
        assert ask(home, "g000002")
    listed = {row.id: row.verdict for row in page(home, 50, None)}
    assert list(listed) == ["g000000", "g000001", "g000002"]
    assert listed["g000002"] is not None
    (found,) = [check for check in check_home(home).checks if check.name == "verdicts can be read"]
    assert [problem.partition(" (")[0] for problem in found.problems] == ["g000001: its verdict cannot be read"]


def test_a_page_may_begin_below_an_alias(home: Home) -> None:
    assert [row.id for row in page(home, 50, "champion")] == ["g000000", "g000001"]


DEEP = "[" * 3000 + "]" * 3000
COLUMNS = [
    ("cycle", "verdict", "number = 1", "cycle 1"),
    ("cycle", "objective", "number = 1", "cycle 1"),
    ("generation", "objective", "id = 'g000001'", "generation g000001"),
    ("generation", "parts", "id = 'g000001'", "generation g000001"),
    ("event", "data", "seq = 1", "event 1"),
    ("hold", "exam", "candidate = 'g000001'", "hold g000001"),
    ("step", "counts", "cycle = 1", "step 1/0/0/0/score/0"),
    ("trial", "params", "cycle = 1", "trial 1/1"),
    ("confirmation", "cells", "k = 1", "confirmation 1/1"),
    ("confirmation", "weights", "k = 1", "confirmation 1/1"),
]
"""Table, column, row, and how the row is named."""


@pytest.fixture
def full(home: Home) -> Home:
    """The same home with one row in every other table that holds JSON."""
    ledger = home.ledger(read_only=False)
    at = "'2027-01-01'"
    with ledger.transaction() as connection:
        for statement in (
            f"INSERT INTO event (seq, code, sentence, data, at) VALUES (1, 'grader_failed', 's', '{{}}', {at})",
            "INSERT INTO hold VALUES ('g000001', 'g000000', 1, 1, 1, 0, 1, "
            """'{"cells": [], "protects_nothing": true, "needed": 1}')""",
            "INSERT INTO step (cycle, trial, stage, round, step, position, module, mark, counts, runs, opened_at)"
            f" VALUES (1, 0, 0, 0, 'score', 0, '', 'm', '{{}}', 1, {at})",
            "INSERT INTO trial VALUES (1, 1, 's', 'r', 1.0, '{}', '', NULL, '{}', 0, 'ok', '', NULL)",
            "INSERT INTO confirmation VALUES (1, 1, 1, 1, 'g000001', 'g000000', '[\"sorting/4\"]', '[1.0]', 0.001, 0,"
            f" 'open', NULL, NULL, {at})",
            "INSERT INTO confirmed_cell VALUES ('sorting/4', 1, 1, 1, NULL)",
            "UPDATE cycle SET opened_at = '2026-01-01'",
        ):
            connection.exec_driver_sql(statement)
    ledger.close()
    return home


def test_such_a_home_can_be_read(full: Home) -> None:
    readable = ("rows can be read", "verdicts can be read", "errors spent only grow")
    assert [check.problems for check in check_home(full).checks if check.name in readable] == [(), (), ()]
    assert current_status(full).held


@pytest.mark.parametrize("said", ["{'cut", DEEP], ids=["cut", "deep"])
@pytest.mark.parametrize(("table", "column", "where", "named"), COLUMNS, ids=lambda value: str(value)[:12])
def test_json_that_cannot_be_read_is_found_and_named(
    full: Home, table: str, column: str, where: str, named: str, said: str
) -> None:
    ledger = full.ledger(read_only=False)
    with ledger.transaction() as connection:
        connection.execute(text(f"UPDATE {table} SET {column} = :said WHERE {where}"), {"said": said})
    ledger.close()
    found = [problem for check in check_home(full).checks for problem in check.problems]
    assert any(problem.startswith(f"{named}: its {column} cannot be read (") for problem in found), found
    for ask in (current_status, lambda home: page(home, 50, None), lambda home: why_generation(home, "g000001")):
        try:
            ask(full)
        except StoreError as error:
            line = str(error)
            assert line.startswith(f"{named}: its {column} cannot be read ("), line
            assert line.endswith("); run `metaevo fsck`")


def test_status_names_the_verdict_of_a_cycle_that_it_cannot_read(full: Home) -> None:
    ledger = full.ledger(read_only=False)
    with ledger.transaction() as connection:
        connection.execute(text("UPDATE cycle SET verdict = '[{' WHERE number = 1"))
    ledger.close()
    with pytest.raises(StoreError, match=r"^cycle 1: its verdict cannot be read \(.*\); run `metaevo fsck`$"):
        current_status(full)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE cycle SET objective = '{\"ability\": 1}' WHERE number = 2", "cycle 2: its objective cannot be read ("),
        ("UPDATE hold SET exam = '{}'", "hold g000001: it cannot be read ("),
    ],
    ids=["objective", "hold"],
)
def test_what_is_json_but_not_what_stands_there_is_named_too(full: Home, statement: str, named: str) -> None:
    ledger = full.ledger(read_only=False)
    with ledger.transaction() as connection:
        connection.exec_driver_sql(statement)
    ledger.close()
    found = [problem for check in check_home(full).checks for problem in check.problems]
    assert any(problem.startswith(named) for problem in found), found
    with pytest.raises(StoreError) as caught:
        current_status(full)
    assert str(caught.value).startswith(named)
    assert str(caught.value).endswith("run `metaevo fsck`")


def test_status_says_that_an_alias_points_nowhere(full: Home) -> None:
    ledger = full.ledger(read_only=False)
    with ledger.transaction() as connection:
        connection.execute(text("UPDATE alias SET generation = 'g999999' WHERE name = 'champion'"))
    ledger.close()
    (item,) = [item for item in current_status(full).attention if item.code == "ledger_damaged"]
    assert item.sentence == "champion points to g999999, which is no generation"
    assert item.command == "metaevo fsck"
