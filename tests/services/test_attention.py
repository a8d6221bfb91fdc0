"""Attention: a gate that could not have proven anything, and cells whose exam sample is used up, call a person."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from metaevo.evolution.objective_history import parked_because, tell_used_up
from metaevo.gate.evidence import BettingGain, Evidence, MoreItems, ProtectionFinding, Reason, ReasonCode, Verdict
from metaevo.gate.starved import starved_of
from metaevo.history import CellState, History
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.tables import CycleRow
from objectives.types import Cell, Direction
from services.attention import needed_attention
from services.home.home import Home
from tests.journeys import small

AT = datetime(2027, 1, 1, tzinfo=UTC)
LINE = ProtectionFinding("math", "parent", 0.0, -0.1, 0.1, 80, -0.03, "open", needed=400, left=0)
GAIN = BettingGain(0.01, -0.01, 0.03, 1500, 1, 0.025, 40.0, 540, 3.0, 1.5, (0.25, 0.5))
USED_UP = "needs rows: its exam sample is used up, 90 new rows renew it"
DRY = MoreItems(LINE, 400, most=4096, left=0)


def held(more: MoreItems) -> Verdict:
    return Verdict("hold", (Reason(ReasonCode.MORE_ITEMS, more),), "rules", Evidence(("sorting/4",), False))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (DRY, "math needs about 400 more items, and 0 are left"),
        (replace(DRY, needed=None), "math needs more items, and 0 are left"),
        (replace(DRY, needed=20_000, left=None), "math needs about 20,000 more items, and 4 cycles read 16,384"),
        (replace(DRY, left=None), ""),
        (MoreItems(GAIN, None, 12_000, 12_000), ""),
        (MoreItems(GAIN, 300, 12_000, 12_000), ""),
        (MoreItems(GAIN, 300, 12_000, 12_000, 0), "sorting/4 needs about 300 more items, and 0 are left"),
    ],
    ids=["dry", "dry for ever", "too many", "a hold", "no gain in sight", "a small gain", "a used file"],
)
def test_what_an_examination_lacked(more: MoreItems, said: str) -> None:
    assert starved_of(held(more)) == said


@pytest.mark.parametrize(
    ("verdicts", "raised"),
    [([DRY, DRY, DRY], True), ([DRY, DRY], False), ([DRY, replace(DRY, left=None), DRY], False)],
    ids=["three in a row", "two", "one that could have"],
)
def test_three_examinations_in_a_row_that_could_prove_nothing_call_a_person(
    tmp_path: Path, verdicts: list[MoreItems], raised: bool
) -> None:
    home: Home = small.create(tmp_path / "home")
    ledger = open_ledger(home.place(), create=True)
    with ledger.write() as session:
        for number, more in enumerate(verdicts):
            cycle = {"number": number, "outcome": "hold", "parent": "g000000", "epoch": 1, "seed": 1, "runtime": "r"}
            session.add(CycleRow(**cycle, commitment="c", opened_at=AT, verdict=held(more).as_data()))
    found = [item for item in needed_attention(ledger, home.config(), home) if item.code == "gate_starved"]
    assert bool(found) is raised
    if raised:
        assert (found[0].severity, found[0].command) == ("ticket", "metaevo config check")
        assert found[0].sentence.startswith("the last 3 examinations could not have proven anything: math needs")
    ledger.close()


@pytest.mark.parametrize(
    ("weight", "parked", "newest", "called"),
    [
        (1.0, USED_UP, 4, True),
        (1.0, USED_UP, 5, False),
        (0.0, USED_UP, 4, False),
        (1.0, "2 tries brought no proven gain", 4, False),
    ],
    ids=["used up", "a cycle ago", "outside the goals", "parked"],
)
def test_a_cell_whose_sample_is_used_up_calls_a_person_with_the_rows_that_renew_it(
    tmp_path: Path, weight: float, parked: str, newest: int, called: bool
) -> None:
    home: Home = small.create(tmp_path / "home")
    ledger = open_ledger(home.place(), create=True)
    cell = CellState(Cell("file", 1), "math", Direction.PERFORMANCE, 0.5, 0.4, 0.6, 90, None, 0.0, True)
    for _ in range(2):  # a cycle that was begun again
        tell_used_up(ledger, History((replace(cell, parked=parked, weight=weight),)), 4)
    with ledger.write() as session:
        cycle = {"number": newest, "outcome": "none", "parent": "g000000", "epoch": 1, "seed": 1, "runtime": "r"}
        session.add(CycleRow(**cycle, commitment="c", opened_at=AT))
    found = [item for item in needed_attention(ledger, home.config(), home) if item.code == "needs_rows"]
    assert [(item.sentence, item.severity) for item in found] == [(f"file/1 {USED_UP}", "ticket")] * called
    ledger.close()


def test_a_finite_cell_is_parked_for_rows_once_its_confirmations_are_spent() -> None:
    assert parked_because(1, 90, 0, None, 7) == ""
    assert parked_because(0, 90, 0, None, 7) == USED_UP
    assert parked_because(0, None, 0, None, 7) == ""
