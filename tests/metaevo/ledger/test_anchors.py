"""The best anchor scores are kept, never walked for: after any history they equal what the whole line says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.errors import BadInput
from metaevo.ledger.anchors import best_anchors
from metaevo.ledger.integrity import wrong_anchors
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.ledger.lineage import Lineage, promote, quarantine, rollback
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.scores import ScoredCell, Scores, scores_of, write_scores
from metaevo.ledger.tables import BEST_ANCHOR
from metaevo.types import Generation
from objectives.types import Cell, Split

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("metaevo")

CELLS = (Cell("extremes", 2), Cell("sorting", 4), Cell("sorting", 5))
EPOCHS = (1, 2)


@dataclass(slots=True)
class Home:
    """A ledger with generation 0 in place."""

    ledger: Ledger
    cycle: int = 0

    @property
    def lineage(self) -> Lineage:
        return Lineage(self.ledger)

    @property
    def champion(self) -> str:
        return self.lineage.alias("champion") or ""

    def born(self, parent: str | None) -> str:
        (id_,) = self.lineage.reserve(self.cycle, 1, 1, parent)
        self.cycle += 1
        self.lineage.publish(Generation(id_, parent, {"policy": id_}), manifest=id_, status="candidate")
        return id_

    def promoted(self, id_: str) -> None:
        with self.ledger.transaction() as connection:
            promote(connection, self.ledger, id_, who="test", why="gain", evidence={})

    def scored(self, id_: str, epoch: int, *cells: tuple[Cell, int, float], split: Split = Split.ANCHOR) -> None:
        made = Scores(id_, split, tuple(ScoredCell(cell, n, mean, mean, mean) for cell, n, mean in cells))
        with self.ledger.transaction() as connection:
            write_scores(connection, made, epoch, self.cycle)

    def kept(self) -> dict[tuple[int, Cell], tuple[int, float]]:
        known = {epoch: best_anchors(self.ledger, epoch) for epoch in EPOCHS}
        return {(epoch, cell): (score.n, score.mean) for epoch, best in known.items() for cell, score in best.items()}

    def walked(self) -> dict[tuple[int, Cell], tuple[int, float]]:
        """Return what a walk of the champion's line, generation by generation, says."""
        found: dict[tuple[int, Cell], tuple[int, float]] = {}
        for id_ in self.lineage.ancestors(self.champion):
            for epoch in EPOCHS:
                for cell, score in scores_of(self.ledger, id_, Split.ANCHOR, epoch).items():
                    n, mean = found.get((epoch, cell), (score.n, score.mean))
                    found[epoch, cell] = (min(n, score.n), max(mean, score.mean))
        return found


def founded(place: Path | Postgres) -> Home:
    home = Home(open_ledger(place, create=True))
    home.lineage.crown(home.born(None), who="test", why="base")
    return home


@pytest.fixture
def home(places: Callable[[], Path | Postgres]) -> Iterator[Home]:
    made = founded(places())
    yield made
    made.ledger.close()


actions = st.one_of(
    st.tuples(st.just("born"), st.integers(0, 30)),
    st.tuples(st.just("promote"), st.integers(0, 30)),
    st.tuples(st.just("back"), st.integers(0, 30)),
    st.tuples(st.just("quarantine"), st.integers(0, 30)),
)
scores = st.tuples(
    st.just("score"),
    st.integers(0, 30),
    st.sampled_from(EPOCHS),
    st.sampled_from((Split.ANCHOR, Split.ANCHOR, Split.PROBE)),
    st.lists(st.tuples(st.sampled_from(CELLS), st.integers(1, 16), st.integers(0, 8)), min_size=1, max_size=3),
)


@given(st.lists(st.one_of(actions, scores, scores), max_size=24))
def test_what_is_kept_equals_what_the_line_says(
    places: Callable[[], Path | Postgres],
    history: list[tuple[str, int] | tuple[str, int, int, Split, list[tuple[Cell, int, int]]]],
) -> None:
    home = founded(places())
    try:
        for action in history:
            ids = [row.id for row in home.lineage.rows(intermediate=True)]
            chosen = ids[-1 - action[1] % len(ids)]  # newest first: histories shrink to their ends
            try:
                if len(action) == 5:
                    _, _, epoch, split, found = action
                    each = {cell: (cell, n, eighths / 8) for cell, n, eighths in found}
                    home.scored(chosen, epoch, *each.values(), split=split)
                elif action[0] == "born":
                    home.born(chosen)
                elif action[0] == "promote" and chosen != home.champion:
                    home.promoted(chosen)  # not of the champion's children alone: a person may move it anywhere
                elif action[0] == "back":
                    rollback(home.ledger, chosen, who="test", why="worse")
                elif action[0] == "quarantine":
                    quarantine(home.ledger, [chosen], who="test", why="it lies")
            except BadInput:
                pass  # refused: nothing may have changed
            assert home.kept() == home.walked(), action
            assert wrong_anchors(home.ledger) == ()
    finally:
        home.ledger.close()


def test_a_score_that_is_replaced_by_a_lower_one_leaves_no_trace(home: Home) -> None:
    cell = CELLS[0]
    home.scored("g000000", 1, (cell, 16, 0.9))
    home.scored("g000000", 1, (cell, 8, 0.4))
    assert home.kept() == {(1, cell): (8, 0.4)}


def test_a_kept_value_that_is_wrong_is_found(home: Home) -> None:
    home.scored("g000000", 1, (CELLS[0], 16, 0.9), (CELLS[1], 16, 0.2))
    with home.ledger.transaction() as connection:
        connection.execute(BEST_ANCHOR.update().where(BEST_ANCHOR.c.level == CELLS[0].level).values(mean=0.95))
    assert wrong_anchors(home.ledger) == ("extremes/2 in epoch 1",)


def test_scores_beside_the_line_count_only_when_they_join_it(home: Home) -> None:
    cell = CELLS[0]
    home.scored("g000000", 1, (cell, 16, 0.5))
    one = home.born("g000000")
    two = home.born(one)
    home.scored(one, 1, (cell, 12, 0.7))
    home.scored(two, 1, (cell, 16, 0.6))
    assert home.kept() == {(1, cell): (16, 0.5)}
    home.promoted(two)  # what lies between joins with it
    assert home.kept() == {(1, cell): (12, 0.7)}
    rollback(home.ledger, "g000000", who="test", why="worse")
    assert home.kept() == {(1, cell): (16, 0.5)}


def test_the_base_is_an_alias_that_never_moves(home: Home) -> None:
    one = home.born("g000000")
    home.promoted(one)
    assert home.lineage.get("base").id == home.lineage.ancestors(one)[-1] == "g000000"
    rollback(home.ledger, None, who="test", why="worse")
    assert home.lineage.alias("base") == "g000000"
    assert len(home.lineage.moves("base")) == 1
