"""Every fifth promotion asks the best of former times: the reference cannot sink by a little for ever."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from metaevo.evolution.reference import MOVE_REFERENCE, best_of_line
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.scores import ScoredCell, Scores, write_scores
from metaevo.runtime.host import Host
from objectives.goals import Rule
from objectives.statistics import wilson
from objectives.types import Cell, Split
from tests.metaevo.evolution.test_holds import closed, opened
from tests.metaevo.ledger.test_lineage import founded

CELL = Cell("addition", 5)


@dataclass
class Ground:
    ledger: Ledger
    lineage: Lineage


@pytest.mark.parametrize("promotions", [MOVE_REFERENCE - 2, MOVE_REFERENCE - 1])
def test_the_ancestor_with_the_highest_lower_bound_is_asked_when_the_reference_is_about_to_move(
    tmp_path: Path, promotions: int
) -> None:
    family = founded(tmp_path / "metaevo.db")
    champion = "g000000"
    for hits in (30, 52, 50, 48)[:promotions]:
        champion = family.promoted(champion)
        bounds = wilson(hits, 64)
        scored = ScoredCell(CELL, bounds.n, bounds.mean, bounds.low, bounds.high)
        with family.ledger.transaction() as connection:
            write_scores(connection, Scores(champion, Split.ANCHOR, (scored,)), 1, 1)
        closed(family, opened(family), "promote")
    host: Any = Ground(family.ledger, family.lineage)
    found = best_of_line(cast(Host, host), (Rule("math", (CELL,), 0.03),), champion, 1)
    assert {what: one.id for what, one in found.items()} == ({"math": "g000002"} if promotions == 4 else {})
