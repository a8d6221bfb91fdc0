"""An aged home is one that evolution could have made: clean, whole, with a full window, and it goes on."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from objectives.statistics import level
from services.home.home import Home
from tests.benchmarks import aged
from tests.journeys.terminal import metaevo

CYCLES = 80


@pytest.fixture(scope="module")
def home(young_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(shutil.copytree(young_home.path, tmp_path_factory.mktemp("aged") / "home"))
    aged.age(made, CYCLES)
    return made


def asked(home: Home, query: str) -> list[Any]:
    with closing(sqlite3.connect(home.path / "metaevo.db")) as ledger:
        return ledger.execute(query).fetchall()


def test_it_is_clean_and_every_outcome_is_in_it(home: Home) -> None:
    assert metaevo("--json", "fsck", home=home.path).data["clean"]
    outcomes = dict(asked(home, "select outcome, count(*) from cycle group by outcome"))
    assert sum(outcomes.values()) == CYCLES
    assert set(outcomes) == {"promote", "hold", "reject", "none"}
    assert asked(home, "select count(*), max(open) from hold") == [(outcomes["hold"], 0)]


def test_every_promoted_generation_has_its_anchor_scores_and_the_window_is_full(home: Home) -> None:
    cells = len(aged.NAMES) * len(aged.LEVELS)
    promoted = {row[0] for row in asked(home, "select candidate from cycle where outcome = 'promote'")}
    anchored = asked(home, "select generation, count(*) from score where split = 'anchor' group by generation")
    assert promoted <= {id_ for id_, n in anchored if n == cells}
    assert asked(home, "select count(*) >= 128, count(distinct study) from trial") == [(1, 1)]


def test_confirmations_are_spent_in_order_and_decided_cycles_are_told(home: Home) -> None:
    spent = asked(home, "select k, promotions, level from confirmation order by cycle")
    assert [k for k, *_ in spent] == list(range(1, len(spent) + 1))
    shares = [error / level(0.05, k, promotions) for k, promotions, error in spent]
    assert shares[aged.REAL :] == pytest.approx([1] * (len(spent) - aged.REAL))
    assert max(shares) == pytest.approx(1), "a finite cell that was read before leaves a real cycle a part of its level"
    assert spent[-1][1] > len(spent) / 4
    assert asked(home, "select count(*) from event where code = 'decided'") == [(CYCLES,)]


def test_a_home_may_keep_its_newest_cycles_alone_and_they_are_those_of_the_whole(
    home: Home, young_home: Home, tmp_path: Path
) -> None:
    kept = 42
    newest = Home(shutil.copytree(young_home.path, tmp_path / "newest"))
    aged.age(newest, CYCLES, kept)
    ((there, last),) = asked(newest, "select count(*), max(number) from cycle")
    assert kept <= there < kept + 10
    assert last == CYCLES
    between = f"between {CYCLES - there + aged.REAL + 1} and {CYCLES}"
    for query in (
        f"select number, outcome, candidate, opened_at from cycle where number {between}",
        f"select cycle, number, params, score from trial where cycle {between}",
        f"select cycle, k, level from confirmation where cycle {between}",
        f"select cycle, trial, stage, round, step, position, digest from step where cycle {between}",
        "select environment, level, mean from best_anchor",
    ):
        whole, alone = (sorted(asked(one, query), key=str) for one in (home, newest))
        assert whole == alone != []


@pytest.mark.full
def test_the_next_cycles_really_run_on_it(home: Home) -> None:
    with aged.at_work(home) as (_, evolution):
        made = [evolution.one() for _ in range(2)]
    assert [cycle.number for cycle in made] == [CYCLES + 1, CYCLES + 2]
    assert {cycle.outcome for cycle in made} == {"promote"}
    assert all(cycle.trials for cycle in made)
    assert metaevo("--json", "fsck", home=home.path).data["clean"]
