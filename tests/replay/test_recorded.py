"""Cycles decide today what they decided when they were recorded: a change of the code moves no number and no name.

A change that is meant to move some is its own commit with a new record (`python -m tests.replay.record --write`).
"""

import difflib
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.replay.record import RECORDED, Lines, recorded
from tests.replay.story import CHAPTERS

MOST_LINES = 60
"""Differing lines that are shown."""


@pytest.fixture(scope="module")
def then() -> dict[str, Lines]:
    """What was recorded."""
    return dict(json.loads(RECORDED.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lines]:
    """The same story, run by the code as it is."""
    return recorded(Path(tmp_path_factory.mktemp("story")))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_says_what_it_said(chapter: str, then: dict[str, Lines], now: dict[str, Lines]) -> None:
    said = list(differences(then[chapter], now[chapter]))
    more = [f"... {len(said) - MOST_LINES} more lines"] if len(said) > MOST_LINES else []
    assert not said, "\n".join([f"{chapter}: was recorded (-), is now (+)", *said[:MOST_LINES], *more])


def differences(then: Lines, now: Lines) -> list[str]:
    """Return the lines of each table that went away (-) or came (+)."""
    found = []
    for table in {**then, **now}:
        lines = difflib.unified_diff(then.get(table, []), now.get(table, []), n=0, lineterm="")
        found += [f"{table} {line}" for line in lines if not line.startswith(("---", "+++", "@@"))]
    return found


def test_every_outcome_is_in_the_record(then: dict[str, Lines]) -> None:
    def every(table: str) -> list[dict[str, object]]:
        return [json.loads(line) for chapter in then.values() for line in chapter[table]]

    outcomes = Counter(row["outcome"] for row in every("cycles"))
    assert set(outcomes) == {"promote", "hold", "reject", "none", "void"}
    statuses = {row["status"] for row in every("generations")}
    assert statuses >= {"champion", "retired", "held", "rejected", "quarantined", "intermediate"}
    codes = {row["code"] for row in every("events")}
    assert codes >= {"decided", "kernels_proposed", "module_adopted", "module_quarantined", "rolled_back"}
    assert {row["open"] for row in every("holds")} == {0, 1}
    assert {row["epoch"] for row in every("scores")} == {1, 2, 4}  # both cycles of the third are void
    assert any("syn_" in str(row["params"]) for row in every("trials"))


def test_what_differs_is_named_by_table_and_line() -> None:
    then = {"cycles": ["a", "b"], "trials": ["x"]}
    assert differences(then, then) == []
    assert differences(then, {"cycles": ["a", "c"], "moves": ["m"]}) == [
        "cycles -b",
        "cycles +c",
        "trials -x",
        "moves +m",
    ]
