"""The error budget in the ledger: spent per confirmation and never given back; a fixed sample pays for every look."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from metaevo.ledger.confirmations import (
    Asked,
    Confirmation,
    SampleUsedUp,
    budget_count,
    confirmation_count,
    confirmations_per_cell,
    end_confirmation,
    next_level,
    open_budget,
    open_confirmation,
)
from metaevo.ledger.integrity import wrong_confirmed_cells
from metaevo.ledger.tables import ConfirmationRow
from objectives.statistics import level
from objectives.types import Cell
from tests.metaevo.gate.simulated import AIM, SMALL, Ground, grounded


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return grounded(tmp_path)


def test_the_kth_confirmation_of_an_epoch_has_its_level_and_its_row_for_good(ground: Ground) -> None:
    def opened(epoch: int, candidate: str, cells: tuple[Cell, ...]) -> Confirmation:
        asked = Asked(candidate, "g000000", epoch, tuple(map(str, cells)), (1 / len(cells),) * len(cells))
        return open_confirmation(ground.ledger, asked, cycle=7, alpha=0.05, finite={}, reuse=10)

    rows = [opened(1, f"g{i:06d}", (AIM, SMALL)) for i in (3, 4, 5)]
    assert [(row.k, row.level) for row in rows] == [(k, level(0.05, k)) for k in (1, 2, 3)]
    again = opened(1, "g000004", (AIM, SMALL))
    assert (again.k, again.level) == (2, rows[1].level)
    assert [opened(2, "g000004", (AIM, SMALL)).k, opened(1, "g000004", (AIM,)).k] == [4, 5]
    with ground.ledger.read() as session:
        known = session.exec(select(ConfirmationRow).where(ConfirmationRow.epoch == 1)).all()
    assert [row.candidate for row in known] == ["g000003", "g000004", "g000005", "g000004"]
    assert known[0].cells == ["addition/5", "sorting/1"]
    assert [confirmation_count(ground.ledger, before) for before in (7, 8)] == [0, 5]
    found = confirmations_per_cell(ground.ledger, 8, {"addition/5": 90, "sorting/1": 90, "other/1": 9})
    assert found == {"addition/5": (5, 0), "sorting/1": (4, 0), "other/1": (0, 0)}
    assert confirmations_per_cell(ground.ledger, 7, {"addition/5": 90}) == {"addition/5": (0, 0)}


def test_only_a_person_opens_another_budget_and_it_begins_at_one(ground: Ground) -> None:
    asked = Asked("g000003", "g000000", 1, ("addition/5",), (1.0,))
    about: dict[str, Any] = {"cycle": 1, "alpha": 0.05, "finite": {}, "reuse": 10}
    assert [open_confirmation(ground.ledger, replace(asked, epoch=e), **about).k for e in (1, 2, 3)] == [1, 2, 3]
    assert (budget_count(ground.ledger), next_level(ground.ledger, 0.05, 9)) == (1, (4, level(0.05, 4)))
    assert open_budget(ground.ledger, "somebody", "another base") == budget_count(ground.ledger) == 2
    found = open_confirmation(ground.ledger, asked, **about)
    assert (found.budget, found.k, found.level) == (2, 1, level(0.05, 1))


def test_what_was_void_keeps_its_row_and_is_never_begun_again_under_its_k(ground: Ground) -> None:
    asked = Asked("g000003", "g000000", 1, ("addition/5",), (1.0,))
    about: dict[str, Any] = {"cycle": 1, "alpha": 0.05, "finite": {}, "reuse": 10}
    first = open_confirmation(ground.ledger, asked, **about)
    end_confirmation(ground.ledger, first, "void", 464, 1.25)
    assert open_confirmation(ground.ledger, asked, **about).k == 2
    with ground.ledger.read() as session:
        row = session.exec(select(ConfirmationRow).where(ConfirmationRow.k == 1)).one()
    assert (row.outcome, row.place, row.log_e) == ("void", 464, 1.25)


def test_a_fixed_sample_pays_for_every_look_and_is_refused_once_used_up(ground: Ground) -> None:
    """Its level is divided by j C(j-1, r); twice as many texts are another sample."""

    def opened(number: int, texts: int) -> Confirmation:
        asked = Asked(f"g{number:06d}", "g000000", 1, ("file/1",), (1.0,))
        return open_confirmation(ground.ledger, asked, cycle=1, alpha=0.05, finite={"file/1": texts}, reuse=3)

    first = opened(1, 90)
    end_confirmation(ground.ledger, first, "proven", 9, 5.0)
    second, third = opened(2, 90), opened(3, 100)
    assert [first.level, second.level, third.level] == pytest.approx(
        [level(0.05, 1), level(0.05, 2) / 2, level(0.05, 3) / 6]
    )
    with pytest.raises(SampleUsedUp, match=r"file/1: .* 3 confirmations; 100 new rows"):
        opened(4, 100)
    assert opened(4, 200).level == pytest.approx(level(0.05, 4))


def test_a_sample_pays_under_every_name_it_has(ground: Ground) -> None:
    """Renamed, or named a second time, it is the same sample; old rows, which name cells alone, still count by name."""

    def opened(number: int, cell: str, marks: tuple[str, ...]) -> Confirmation:
        asked = Asked(f"g{number:06d}", "g000000", 1, (cell,), (1.0,))
        about: dict[str, Any] = {"cycle": number, "alpha": 0.05, "finite": {cell: 90}, "reuse": 3}
        return open_confirmation(ground.ledger, asked, **about, marks={cell: marks})

    opened(1, "file/1", ())  # as an older metaevo wrote it
    second = opened(2, "file/1", ("a", "b"))
    renamed = opened(3, "copy/1", ("b", "c"))
    assert [second.level, renamed.level] == pytest.approx([level(0.05, 2) / 2, level(0.05, 3) / 2])
    assert confirmations_per_cell(ground.ledger, 9, {"other/1": 90}, {"other/1": ("b",)}) == {"other/1": (2, 0)}
    assert confirmations_per_cell(ground.ledger, 9, {"other/1": 90}, {"other/1": ("z",)}) == {"other/1": (0, 0)}
    assert confirmations_per_cell(ground.ledger, 9, {"file/1": 90}, {"file/1": ("a", "b")}) == {"file/1": (3, 0)}
    with pytest.raises(SampleUsedUp, match=r"^file/1: its exam sample served 3 confirmations"):
        opened(4, "file/1", ("a", "b"))
    assert wrong_confirmed_cells(ground.ledger) == ()
