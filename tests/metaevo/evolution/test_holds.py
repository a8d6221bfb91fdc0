"""What a hold outlives and what ends it: items still needed decide, infrastructure and a person's word do not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaevo.evolution.commit import still_needed
from metaevo.evolution.objective_history import past_objectives, tries_per_cell
from metaevo.gate.evidence import MoreItems, ProtectionFinding
from metaevo.ledger import holds
from metaevo.ledger.cycles import Closing, Consequence, begin_cycle, close_cycle, pursued_objectives
from metaevo.ledger.holds import NewHold, Standing, due_hold, open_holds
from metaevo.types import CycleEnd
from objectives.types import Cell
from tests.metaevo.ledger.test_lineage import Family, founded

OBJECTIVE: dict[str, Any] = {
    "ability": "math", "direction": "performance", "cells": ["addition/5"], "reason": "weak", "rule": "test",
}  # fmt: skip
LINE = ProtectionFinding("math", "parent", 0.0, -0.04, 0.04, 1504, -0.03, "open")


@pytest.fixture
def family(tmp_path: Path) -> Family:
    return founded(tmp_path / "metaevo.db")


def opened(family: Family) -> int:
    row = begin_cycle(family.ledger, seed=1, runtime="r", fixed={}, commitment=str)
    return row.number


def closed(family: Family, number: int, outcome: str, **more: Any) -> None:
    ending = CycleEnd.INCONCLUSIVE.value
    facts = {"why": "", "tokens": 0, "epoch": 1, "candidate": None, "objective": None, "verdict": None, "sentence": ""}
    close_cycle(family.ledger, Closing(number=number, outcome=outcome, ending=ending, **(facts | more)))


def held(family: Family, number: int, candidate: str) -> None:
    hold = NewHold(candidate, "g000000", 1, 1, {"needed": 100, "most": 4096, "person": False})
    judged = Consequence(candidate, "held", "rules", hold=hold)
    closed(family, number, "hold", candidate=candidate, objective=OBJECTIVE, judged=judged)


def tries(family: Family) -> list[int]:
    return [hold.tries for hold in open_holds(family.ledger)]


@pytest.mark.parametrize(("outcome", "spent"), [("none", 0), ("void", 1)])
def test_a_cycle_without_a_verdict_leaves_the_hold_it_began_with(family: Family, outcome: str, spent: int) -> None:
    """An engine that failed costs nothing; what could not be graded costs one try, or it would come back for ever."""
    candidate = family.born("g000000")
    held(family, opened(family), candidate)
    closed(family, opened(family), outcome, held=candidate)
    assert tries(family) == [spent]
    assert family.statuses()[candidate] == "held"


@pytest.mark.parametrize(
    ("standing", "status", "due"), [("due", "held", 1), ("waits", "held", 0), ("over", "rejected", 0)]
)
def test_what_waits_for_a_person_is_neither_examined_anew_nor_ended(
    family: Family, standing: Standing, status: str, due: int
) -> None:
    candidate = family.born("g000000")
    held(family, opened(family), candidate)
    found = due_hold(family.ledger, lambda _hold: standing)
    assert [found.candidate] * due if found else [candidate] * due == []
    assert family.statuses()[candidate] == status
    assert len(open_holds(family.ledger)) == (standing != "over")


@pytest.mark.parametrize(
    ("ends", "outcome", "vain"), [("promoted", "promote", 0), ("expired", "reject", 1), ("open", "hold", 0)]
)
def test_a_hold_that_ended_counts_as_what_it_became(family: Family, ends: str, outcome: str, vain: int) -> None:
    candidate = family.born("g000000")
    held(family, opened(family), candidate)
    if ends == "promoted":
        number = opened(family)
        closed(
            family,
            number,
            "promote",
            candidate=candidate,
            judged=Consequence(candidate, "candidate", "rules"),
            held=candidate,
        )
    elif ends == "expired":
        with family.ledger.transaction() as connection:
            holds.expire(connection, candidate)
    found = pursued_objectives(family.ledger, 9, 64)
    assert [one.outcome for one in found] == [outcome]
    assert tries_per_cell(past_objectives(family.ledger, 9))[Cell("addition", 5)][0] == vain


def test_a_hold_asks_what_is_still_needed_and_whether_so_many_items_are_left() -> None:
    """1,504 items were looked at and 200 more would do: what counts is 200, not 1,704."""
    more = MoreItems(LINE, 200, most=4096)
    assert still_needed([more]) == 200
    assert still_needed([more, replace(more, needed=900)]) == 900
    assert still_needed([replace(more, left=300)]) == 200
    assert still_needed([more, replace(more, left=100)]) is None
    assert still_needed([replace(more, needed=None)]) is None
    assert still_needed([]) == 0
