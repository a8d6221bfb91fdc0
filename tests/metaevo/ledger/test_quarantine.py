"""Quarantine of what came of a module: the family, the champion's refuge, holds; and who used a module at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaevo.errors import BadInput, StoreError
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.lineage import Lineage, move, promote, quarantine
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.provenance import generations_using
from metaevo.ledger.tables import GenerationRow, HoldRow, RecipeRow, StepRow, TrialRow
from metaevo.types import Generation

MODULE = "refinement.syn_x"


class Family:
    """A lineage in which every generation is the only one of its cycle."""

    def __init__(self, place: Path | Postgres) -> None:
        self.ledger, self.cycle = open_ledger(place, create=True), 0
        self.lineage = Lineage(self.ledger)
        base = self.born(None, "champion")
        for alias in ("champion", "reference"):
            with self.ledger.transaction() as connection:
                move(connection, self.ledger, alias, None, base, who="test", why="base")

    def born(self, parent: str | None, status: str = "candidate") -> str:
        (id_,) = self.lineage.reserve(self.cycle, 1, 1, parent)
        self.cycle += 1
        self.lineage.publish(Generation(id_, parent, {"policy": "p"}), manifest=f"m {id_}", status=status)
        return id_

    def promoted(self, parent: str) -> str:
        id_ = self.born(parent)
        with self.ledger.transaction() as connection:
            promote(connection, self.ledger, id_, who="test", why="gain", evidence={})
        return id_

    def away(self, *ids: str, **more: Any) -> tuple[list[str], str | None]:
        return quarantine(self.ledger, ids, who="operator", why="it lies", **more)

    @property
    def statuses(self) -> dict[str, str]:
        return {row.id: row.status for row in self.lineage.rows(intermediate=True)}

    def alias(self, name: str) -> str | None:
        return self.lineage.alias(name)


@pytest.fixture
def family(place: Path | Postgres) -> Iterator[Family]:
    made = Family(place)
    yield made
    made.ledger.close()


def test_the_champion_s_nearest_clean_ancestor_takes_its_place(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    three = family.promoted(two)
    beside = family.born(three, "rejected")
    assert family.away(two) == ([two, three, beside], one)
    gone = dict.fromkeys((two, three, beside), "quarantined")
    assert family.statuses == {"g000000": "retired", one: "champion"} | gone
    assert (family.alias("champion"), family.alias("previous")) == (one, "g000000")
    last = family.lineage.moves("champion")[-1]
    assert (last.before, last.after, last.who, last.why) == (three, one, "operator", "it lies")


def test_several_are_put_away_at_once_and_the_base_takes_over(family: Family) -> None:
    one = family.promoted("g000000")
    two = family.promoted(one)
    with family.ledger.transaction() as connection:
        move(connection, family.ledger, "reference", "g000000", one, who="test", why="fifth")
    assert family.away(two, one) == ([one, two], "g000000")
    assert (family.alias("champion"), family.alias("previous"), family.alias("reference")) == (
        "g000000",
        None,
        "g000000",
    )


def test_the_champion_stays_where_it_is_no_descendant(family: Family) -> None:
    one = family.promoted("g000000")
    other = family.born("g000000", "rejected")
    moves = len(family.lineage.moves())
    assert family.away(other) == ([other], None)
    assert (family.statuses[one], family.statuses[other]) == ("champion", "quarantined")
    assert len(family.lineage.moves()) == moves


def test_twice_is_once_and_nothing_is_nothing(family: Family) -> None:
    one = family.promoted("g000000")
    assert family.away(one) == ([one], "g000000")
    assert family.away(one) == ([], None)
    assert family.away() == ([], None)


def test_what_was_never_examined_stays_intermediate(family: Family) -> None:
    hidden = family.born("g000000", "intermediate")
    seen = family.born(hidden, "rejected")
    assert family.away(hidden) == ([seen], None)
    assert family.statuses[hidden] == "intermediate"


def test_only_the_holds_of_the_family_end(family: Family) -> None:
    held, other = family.born("g000000", "held"), family.born("g000000", "held")
    with family.ledger.write() as session:
        for id_ in (held, other):
            session.add(HoldRow(candidate=id_, parent="g000000", epoch=1, k=1, cycle=1, exam={}))
    family.away(held)
    with family.ledger.read() as session:
        assert [session.get_one(HoldRow, id_).open for id_ in (held, other)] == [False, True]


def test_the_base_cannot_be_put_away(family: Family) -> None:
    with pytest.raises(BadInput, match="g000000 is the base model: there is nothing to go back to"):
        family.away("g000000")
    with pytest.raises(BadInput, match="no generation 'g000009'"):
        family.away("g000009")


def test_nothing_changes_where_the_refuge_is_not_whole(family: Family) -> None:
    one = family.promoted("g000000")

    def damaged(row: GenerationRow) -> None:
        raise StoreError(f"{row.id} is damaged")

    with pytest.raises(StoreError, match="g000000 is damaged"):
        family.away(one, check=damaged)
    assert (family.statuses[one], family.alias("champion")) == ("champion", one)


def test_users_are_found_by_recipe_by_trial_and_by_journal(family: Family) -> None:
    ids = [family.born("g000000") for _ in range(5)]
    now = family.ledger.now()
    with family.ledger.write() as session:
        for hash_, modules in (("with", ["update.sft", MODULE]), ("without", ["update.sft"])):
            session.add(RecipeRow(hash=hash_, name=hash_, body={}, modules=modules))
        session.get_one(GenerationRow, ids[0]).recipe = "with"
        session.get_one(GenerationRow, ids[1]).recipe = "without"
        session.add(TrialRow(cycle=3, number=1, study="s", recipe="with", fidelity=1.0, params={}, constraints={}))
        for cycle, digest in ((4, "d"), (5, None)):
            about = {"trial": 1, "stage": 0, "round": 0, "step": "refinement", "position": 0, "mark": "m"}
            session.add(StepRow(cycle=cycle, module=MODULE, digest=digest, counts={}, opened_at=now, **about))
    assert generations_using(family.ledger, MODULE) == [ids[0], ids[2], ids[3]]
    assert generations_using(family.ledger, "refinement.syn_y") == []
