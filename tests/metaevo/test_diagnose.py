"""Diagnosis: every cell looked at, weaknesses named by their mistakes, hope measured by samples, once per cycle."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from metaevo.diagnose import Diagnosis, ProbeRules, diagnose, probe_items, record_scores
from metaevo.errors import EngineDied
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.tables import ScoreRow
from metaevo.types import Generation
from objectives.types import Cell, Split
from tests.systems.bench import Bench, CountingPool, bench

SKILLS = {"sorting/4": 0.95, "sorting/5": 0.3, "extremes/4": 0.6, "extremes/5": 1.0}
RULES = ProbeRules(items=40, samples=8)


@pytest.fixture
def home(tmp_path: Path, pool: CountingPool) -> Iterator[Bench]:
    with bench(tmp_path, pool, SKILLS, latent=0.5) as made:
        yield made


def looked(home: Bench, cycle: int = 1, generation: Generation | None = None, rules: ProbeRules = RULES) -> Diagnosis:
    journal = Journal(home.host.ledger, home.host.store, 1)
    return diagnose(home.host, journal, At(cycle), generation or home.base, rules)


def test_every_cell_has_its_score_on_so_many_items(home: Bench) -> None:
    found = looked(home)
    assert [str(one.cell) for one in found.cells] == ["sorting/4", "sorting/5", "extremes/4", "extremes/5"]
    for one in found.cells:
        assert one.n == 40
        assert abs(one.mean - SKILLS[str(one.cell)]) < 0.25
    assert found.generation == home.base.id
    assert found.tokens > 0


def test_what_samples_could_do_is_measured_only_where_something_is_missing(home: Bench) -> None:
    hopes = {str(one.cell): one.latent for one in looked(home).cells}
    assert hopes["extremes/5"] is None
    assert hopes["sorting/5"] is not None
    assert hopes["sorting/5"] > 0.9
    greedy, sampled = ([how for _, _, how in home.engine.sampled if (how.n > 1) is more] for more in (False, True))
    assert {(how.n, how.temperature) for how in sampled} == {(8, 1.0)}
    assert {how.temperature for how in greedy} == {0.0}


def test_no_hope_is_seen_where_no_sample_is_ever_right(tmp_path: Path, pool: CountingPool) -> None:
    with bench(tmp_path, pool, dict.fromkeys(SKILLS, 0.0), latent=0.0) as home:
        found = looked(home)
        assert [one.latent for one in found.cells] == [0.0] * 4
        assert [one.mean for one in found.cells] == [0.0] * 4


def test_weaknesses_are_named_by_the_mistake_most_points_first_with_examples(home: Bench) -> None:
    found = looked(home).weaknesses
    assert (found[0].environment, found[0].name) == ("sorting", "swaps the last two letters")
    assert 5 in found[0].levels
    extremes = next(weakness for weakness in found if weakness.environment == "extremes")
    assert extremes.name == "gives smallest before largest"
    assert [weakness.lost for weakness in found] == sorted((weakness.lost for weakness in found), reverse=True)
    for weakness in found:
        assert weakness.examples
        assert all(example.given != example.expected for example in weakness.examples)


def test_a_diagnosis_is_made_once_a_cycle_and_read_again_afterwards(home: Bench) -> None:
    found = looked(home)
    home.engine.sampled.clear()
    home.pool.asked = 0
    assert looked(home) == found
    assert (home.engine.sampled, home.pool.asked) == ([], 0)


def test_every_cycle_draws_its_own_probe_items_and_none_of_another_split(home: Bench) -> None:
    looked(home, 1)
    first = {text for _, text in home.engine.prompts()}
    home.engine.sampled.clear()
    looked(home, 2)
    second = {text for _, text in home.engine.prompts()}
    assert len(first & second) < len(first) / 4
    train = probe_items(home.host, 1, 200, (Cell("sorting", 5),), Split.TRAIN)[Cell("sorting", 5)]
    assert not {task.text for task in train} & (first | second)


def test_an_engine_that_dies_while_diagnosing_is_asked_again(tmp_path: Path, pool: CountingPool) -> None:
    found = []
    for deaths in (0, 1, 2):
        (tmp_path / str(deaths)).mkdir()
        with bench(tmp_path / str(deaths), pool, SKILLS) as home:
            home.engine.deaths = deaths
            found.append(looked(home))
    assert found[0] == found[1] == found[2]


def test_an_engine_that_stays_dead_is_infrastructure_and_no_diagnosis(home: Bench) -> None:
    home.engine.deaths = 99
    with pytest.raises(EngineDied):
        looked(home)


def rows(home: Bench) -> dict[str, ScoreRow]:
    with home.host.ledger.read() as session:
        return {f"{row.environment}/{row.level}": row for row in session.exec(select(ScoreRow)).all()}


def test_scores_are_pooled_over_cycles_and_written_once_a_cycle(home: Bench) -> None:
    first = looked(home, 1)
    record_scores(home.host, first, 1, 1)
    record_scores(home.host, first, 1, 1)
    before = rows(home)
    assert {name: row.n for name, row in before.items()} == dict.fromkeys(SKILLS, 40)
    second = looked(home, 2)
    record_scores(home.host, second, 1, 2)
    for one, two in zip(first.cells, second.cells, strict=True):
        row = rows(home)[str(one.cell)]
        assert (row.n, row.cycle) == (80, 2)
        assert row.mean == pytest.approx((one.mean + two.mean) / 2)
        assert row.low < row.mean < row.high or row.mean in (row.low, row.high)
        old = before[str(one.cell)]
        assert row.high - row.low < old.high - old.low


def test_cells_without_items_are_not_scored(home: Bench) -> None:
    found = looked(home, rules=ProbeRules(items=0, samples=0))
    assert {one.n for one in found.cells} == {0}
    record_scores(home.host, found, 1, 1)
    assert rows(home) == {}
