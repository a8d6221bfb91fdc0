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
