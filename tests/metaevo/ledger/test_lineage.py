"""Generations and aliases: ids for good, moves that can be refused, rollback as DESIGN section 7 says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from metaevo.errors import BadInput, Refused
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.lineage import Lineage, move, promote, rollback
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import ConfirmationRow, GenerationRow, HoldRow
from metaevo.types import Generation, StepSpec

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("metaevo")


@dataclass(slots=True)
class Family:
    """A home's lineage with the base in place: champion and reference are g000000."""

    ledger: Ledger
    cycle: int = 0

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.ledger)

    def born(self, parent: str | None, status: str = "intermediate") -> str:
        """Publish a new generation and return its id."""
        id_ = self.lineage.reserve(self.cycle, 1, 1, parent)[0]
        self.cycle += 1
        made = Generation(id_, parent, {"policy": f"digest of {id_}"})
        self.lineage.publish(made, manifest=f"manifest of {id_}", status=status)
        return id_

    def promoted(self, parent: str) -> str:
        """Publish a child of the champion and promote it."""
        id_ = self.born(parent, "candidate")
        with self.ledger.transaction() as connection:
            promote(connection, self.ledger, id_, who="metaevo", why="gain proven", evidence={"cycle": self.cycle})
        return id_

    def moved(self, alias: str, before: str | None, after: str | None) -> None:
        with self.ledger.transaction() as connection:
            move(connection, self.ledger, alias, before, after, who="test", why="because")

    def back(self, target: str | None = None) -> tuple[str, str]:
        return rollback(self.ledger, target, who="operator", why="it got worse")

    def aliases(self) -> dict[str, str | None]:
        return {name: self.lineage.alias(name) for name in ("champion", "previous", "reference")}

    def statuses(self) -> dict[str, str]:
        return {row.id: row.status for row in self.lineage.rows(intermediate=True)}


def founded(place: Path | Postgres) -> Family:
    family = Family(open_ledger(place, create=True))
    base = family.born(None, "champion")
    for alias in ("champion", "reference"):
        family.moved(alias, None, base)
    return family


@pytest.fixture
def family(place: Path | Postgres) -> Iterator[Family]:
    made = founded(place)
    yield made
    made.ledger.close()


def test_reserving_again_gives_the_same_ids_in_the_same_order(family: Family) -> None:
    lineage = family.lineage
    first = lineage.reserve(7, 1, 2, "g000000")
    other = lineage.reserve(7, 2, 1, "g000000")
    assert (first, other) == (["g000001", "g000002"], ["g000003"])
    assert lineage.reserve(7, 1, 2, "g000000") == first
    assert lineage.reserve(7, 1, 3, "g000000") == [*first, "g000004"]
    assert lineage.reserve(7, 1, 1, "g000000") == first[:1]


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=8))
def test_ids_are_never_reused(places: Callable[[], Path | Postgres], wanted: list[tuple[int, int, int]]) -> None:
    lineage = Lineage(open_ledger(places(), create=True))
    owner: dict[str, tuple[int, int, int]] = {}
    for cycle, trial, several in wanted:
        for place, id_ in enumerate(lineage.reserve(cycle, trial, several, None)):
            assert owner.setdefault(id_, (cycle, trial, place)) == (cycle, trial, place)
    assert sorted(owner) == [f"g{number:06d}" for number in range(len(owner))]
    lineage.ledger.close()


def test_a_reserved_id_is_no_generation_yet(family: Family) -> None:
    id_ = family.lineage.reserve(5, 1, 1, "g000000")[0]
    with pytest.raises(BadInput, match=f"generation {id_} was never published"):
        family.lineage.get(id_)
    assert id_ not in {row.id for row in family.lineage.rows(intermediate=True)}


def test_publishing_is_once_and_the_same(family: Family) -> None:
    id_ = family.lineage.reserve(5, 1, 1, "g000000")[0]
    steps = (StepSpec("solutions", "direct_sampling", {"k": 1}),)
    made = Generation(id_, "g000000", {"policy": "p"}, steps)
    family.lineage.publish(made, manifest="m", recipe="r", status="candidate", data="d")
    family.lineage.publish(made, manifest="m", recipe="r")
    assert family.lineage.get(id_) == made
    row = family.lineage.row(id_)
    assert (row.status, row.data, row.recipe) == ("candidate", "d", "r")
    with pytest.raises(Refused, match=f"generation {id_} already is m, cannot become n"):
        family.lineage.publish(made, manifest="n")
    with pytest.raises(BadInput, match="no generation 'g999999'"):
        family.lineage.publish(Generation("g999999", None, {}), manifest="m")


@pytest.mark.parametrize(
    "id_", ["../../etc/passwd", "", "g000000\0", "x" * 300, "g-1", "G000000", "g0", "CON", "'; drop"]
)
def test_an_id_is_looked_up_never_interpreted(family: Family, id_: str) -> None:
    with pytest.raises(BadInput, match="no generation") as caught:
        family.lineage.get(id_)
    assert len(str(caught.value)) < 120


def test_aliases_are_ids_too_and_intermediates_are_hidden(family: Family) -> None:
    family.born("g000000")
    assert family.lineage.get("champion").id == "g000000"
    assert [row.id for row in family.lineage.rows()] == ["g000000"]
    assert [row.id for row in family.lineage.rows(intermediate=True)] == ["g000000", "g000001"]


def test_a_move_is_compare_and_swap_and_one_row_of_history(family: Family) -> None:
    one = family.born("g000000")
    with pytest.raises(Refused, match="reference points to g000000, not to g000001: somebody else moved it"):
        family.moved("reference", one, "g000000")
    with pytest.raises(Refused, match="pinned points to None, not to g000000"):
        family.moved("pinned", "g000000", one)
    assert len(family.lineage.moves("reference")) == 1
    family.moved("reference", "g000000", one)
    family.moved("pinned", None, one)
    family.moved("pinned", one, None)
    assert [(m.before, m.after) for m in family.lineage.moves("pinned")] == [(None, one), (one, None)]
    assert family.lineage.alias("pinned") is None
    last = family.lineage.moves()[-1]
    assert (last.who, last.why, last.alias) == ("test", "because", "pinned")


def test_a_refused_move_undoes_the_whole_transaction(family: Family) -> None:
    one = family.born("g000000", "candidate")

    def overtaken() -> None:
        with family.ledger.transaction() as connection:
            promote(connection, family.ledger, one, who="metaevo", why="x", evidence={})
            move(connection, family.ledger, "reference", one, "g000000", who="metaevo", why="x")

    with pytest.raises(Refused):
        overtaken()
    assert family.aliases() == {"champion": "g000000", "previous": None, "reference": "g000000"}
    assert family.statuses() == {"g000000": "champion", one: "candidate"}
    assert len(family.lineage.moves()) == 2


def test_promotion_is_three_statuses_and_two_aliases(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    assert family.aliases() == {"champion": two, "previous": one, "reference": "g000000"}
    assert family.statuses() == {"g000000": "retired", one: "retired", two: "champion"}
    assert family.lineage.ancestors(two) == [two, one, "g000000"]
    assert family.lineage.moves("champion")[-1].evidence == {"cycle": family.cycle}


def test_rollback_without_a_target_goes_to_the_previous_champion(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    assert family.back() == (two, one)
    assert family.aliases() == {"champion": one, "previous": "g000000", "reference": "g000000"}
    assert family.statuses() == {"g000000": "retired", one: "champion", two: "quarantined"}
    last = next(m for m in reversed(family.lineage.moves()) if m.alias == "champion")
    assert (last.before, last.after, last.who, last.why) == (two, one, "operator", "it got worse")


def test_a_far_rollback_leaves_those_between_retired(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    three = family.promoted(two)
    assert family.back("g000000") == (three, "g000000")
    assert family.aliases() == {"champion": "g000000", "previous": None, "reference": "g000000"}
    assert family.statuses() == {"g000000": "champion", one: "retired", two: "retired", three: "quarantined"}


def test_descendants_of_what_is_left_are_quarantined_others_are_not(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    held, sibling = family.born(two, "held"), family.born(one, "rejected")
    grandchild, draft = family.born(held, "candidate"), family.born(two)
    family.back()
    statuses = family.statuses()
    assert {id_ for id_, status in statuses.items() if status == "quarantined"} == {two, held, grandchild}
    assert (statuses[sibling], statuses[draft]) == ("rejected", "intermediate")


def test_the_reference_moves_where_it_is_no_ancestor_of_the_target(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    family.moved("reference", "g000000", two)
    family.back()
    assert family.lineage.alias("reference") == one
    assert family.lineage.moves("reference")[-1].after == one
    family.back()
    assert family.lineage.alias("reference") == "g000000"


def test_the_reference_stays_where_it_is_an_ancestor(family: Family) -> None:
    one = family.promoted("g000000")
    family.promoted(one)
    before = len(family.lineage.moves("reference"))
    family.back()
    assert family.lineage.alias("reference") == "g000000"
    assert len(family.lineage.moves("reference")) == before


def test_repeated_rollback_ends_at_the_base(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    assert [family.back(), family.back()] == [(two, one), (one, "g000000")]
    with pytest.raises(BadInput, match="g000000 has no ancestor that was champion: nothing to roll back to"):
        family.back()
    assert family.statuses() == {"g000000": "champion", one: "quarantined", two: "quarantined"}


def test_promotion_after_a_rollback_and_back_again(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    family.back()
    three = family.promoted(one)
    assert family.aliases()["previous"] == one
    assert family.back() == (three, one)
    assert family.statuses()[two] == family.statuses()[three] == "quarantined"
    assert family.aliases()["previous"] == "g000000"


@pytest.mark.parametrize("target", ["g000002", "g000003", "g999999", "latest"])
def test_a_target_that_is_no_ancestor_is_refused_and_nothing_moves(family: Family, target: str) -> None:
    one = family.promoted("g000000")
    family.promoted(one)
    family.born(one, "rejected")
    before = (family.aliases(), family.statuses(), len(family.lineage.moves()))
    with pytest.raises(
        BadInput,
        match=r"(not an ancestor of the champion g000002; ancestors: g000001, g000000|champion already|no gener)",
    ):
        family.back(target)
    assert (family.aliases(), family.statuses(), len(family.lineage.moves())) == before


def test_rollback_ends_holds_and_never_gives_back_error(family: Family) -> None:
    one = family.promoted("g000000")
    held = family.born(one, "held")
    now = family.ledger.now()
    with family.ledger.write() as session:
        session.add(HoldRow(candidate=held, parent=one, epoch=1, k=2, cycle=3, exam={}))
        about = {"candidate": one, "parent": "g000000", "cells": [], "weights": []}
        session.add(ConfirmationRow(budget=1, k=1, epoch=1, cycle=2, level=0.025, promotions=0, at=now, **about))
    family.back()
    with family.ledger.read() as session:
        assert [hold.open for hold in session.exec(select(HoldRow))] == [False]
        assert [row.candidate for row in session.exec(select(ConfirmationRow))] == [one]


@given(st.lists(st.sampled_from(["promote", "back", "base"]), max_size=12))
def test_any_order_of_promotions_and_rollbacks_keeps_the_lineage_sound(
    places: Callable[[], Path | Postgres], steps: list[str]
) -> None:
    family = founded(places())
    for step in steps:
        champion = family.lineage.alias("champion") or ""
        if step == "promote":
            family.promoted(champion)
        elif champion != "g000000":
            family.back(None if step == "back" else "g000000")
        aliases, statuses = family.aliases(), family.statuses()
        line = family.lineage.ancestors(aliases["champion"] or "")
        assert [id_ for id_, status in statuses.items() if status == "champion"] == [aliases["champion"]]
        assert aliases["reference"] in line
        assert aliases["previous"] == (line[1] if len(line) > 1 else None)
        assert not {"quarantined"} & {statuses[id_] for id_ in line}
    with family.ledger.read() as session:
        numbers = sorted(row.number for row in session.exec(select(GenerationRow)))
    assert numbers == list(range(len(numbers)))
    family.ledger.close()
