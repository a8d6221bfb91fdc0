"""One search on the scripted engine: what wins, what is refused, what dies, and that it says the same when resumed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from metaevo.artifacts.store import Store
from metaevo.ledger.journal import Journal
from metaevo.ledger.tables import EventRow, RecipeRow, StepRow, TrialRow
from metaevo.registry.registry import Registry
from metaevo.search.run import Search, SearchResult, SearchRules
from metaevo.search.score import SHARE, is_feasible
from metaevo.search.skeletons import Skeleton, skeletons
from metaevo.search.study import Sampler
from metaevo.types import Generation, Trial
from objectives.types import Direction
from tests.systems.bench import BASE, NAMES, Bench, CountingPool, NotingEngine, bench

RULES = SearchRules(trials=3, fidelity=0.5, finals=1)


@pytest.fixture(scope="module")
def sampler() -> Iterator[Sampler]:
    made = Sampler()
    yield made
    made.close()


def trains(skeleton: Skeleton) -> bool:
    """Return whether a skeleton is one supervised training, without a merge that would mend what it forgets."""
    recipe = skeleton.recipe
    return len(recipe.stage) == 1 and recipe.stage[0].update.use == "supervised_finetune" and not recipe.consolidation


@pytest.fixture(scope="module")
def choices() -> dict[str, Skeleton]:
    """Return two presets and three proposals: the cheap ones, so that a search takes a second."""
    every = skeletons(Registry())
    presets = {id_: s for id_, s in every.items() if s.preset in ("rft", "star")}
    others = [(id_, s) for id_, s in every.items() if s.preset is None and trains(s)]
    return presets | dict(others[:3])


@pytest.fixture
def home(tmp_path: Path, pool: CountingPool) -> Iterator[Bench]:
    with bench(tmp_path, pool) as made:
        yield made


@dataclass
class Setting:
    """What every search here is given."""

    sampler: Sampler
    choices: Mapping[str, Skeleton]

    def search(self, home: Bench, cycle: int = 1, rules: SearchRules = RULES, **more: Any) -> Search:
        ground = home.ground(home.base, each=16)
        journal = Journal(home.host.ledger, home.host.store, 1)
        about = (cycle, "text", Direction.PERFORMANCE)
        return Search(home.host, journal, self.sampler, rules, ground, self.choices, *about, **more)


@pytest.fixture
def setting(sampler: Sampler, choices: dict[str, Skeleton]) -> Setting:
    return Setting(sampler, choices)


def trial_rows(home: Bench) -> list[TrialRow]:
    with home.host.ledger.read() as session:
        return list(session.exec(select(TrialRow).order_by(TrialRow.number)))  # type: ignore[arg-type]


def score(home: Bench, generation: Generation | None) -> float:
    assert generation is not None
    skills = home.engine.skills(generation)
    return skills["sorting/4"] + skills["sorting/5"]


def told(found: SearchResult) -> Any:
    """Return a search's outcome as plain data."""
    best = found.best.number if found.best else None
    return best, found.recipe.hash if found.recipe else None, found.why, [replace(t, counts={}) for t in found.trials]


def test_the_best_trial_in_full_is_found_and_it_really_gained(home: Bench, setting: Setting) -> None:
    found = setting.search(home).run()
    assert found.best is not None
    assert found.recipe is not None
    assert (found.best.fidelity, found.best.number) == (1.0, 4)
    assert found.best.recipe == found.recipe.hash
    assert (found.best.score or 0) > 0
    assert score(home, found.best.generation) > BASE["sorting/4"] + BASE["sorting/5"]
    low = [t for t in found.trials if t.fidelity < 1]
    assert [t.number for t in low] == [1, 2, 3]
    assert all(value <= 0 for value in found.best.constraints.values())


def test_presets_come_first_and_a_third_is_none(home: Bench, setting: Setting) -> None:
    setting.search(home).run()
    asked = [row.params["skeleton"] for row in trial_rows(home) if row.fidelity < 1]
    presets = [setting.choices[id_].preset for id_ in asked]
    assert presets[0] == "rft"
    assert None in presets


def shortfalls(home: Bench) -> list[EventRow]:
    with home.host.ledger.read() as session:
        return list(session.exec(select(EventRow).where(EventRow.code == "few_proposals")))


def test_where_only_presets_may_be_tried_an_event_says_so_once(home: Bench, setting: Setting) -> None:
    """A third of the trials is promised to proposals: that there are none must not be silent."""
    presets = {id_: s for id_, s in setting.choices.items() if s.preset}
    for _ in range(2):  # a resumed search repeats nothing
        Setting(setting.sampler, presets).search(home).run()
    (event,) = shortfalls(home)
    assert event.sentence.startswith("0 of 3 trials are not presets, 1 were promised: nothing else may be tried")
    assert (event.cycle, event.data) == (1, {"wanted": 1, "found": 0})


def test_where_the_third_is_kept_no_event_is_written(home: Bench, setting: Setting) -> None:
    setting.search(home).run()
    assert shortfalls(home) == []


def test_every_trial_and_its_recipe_is_a_row(home: Bench, setting: Setting) -> None:
    found = setting.search(home).run()
    rows = trial_rows(home)
    assert [row.number for row in rows] == [t.number for t in found.trials]
    for row, made in zip(rows, found.trials, strict=True):
        assert (row.recipe, row.score, row.fidelity) == (made.recipe, made.score, made.fidelity)
        assert row.generation == (made.generation.id if made.generation else None)
        assert row.tokens == made.tokens > 0
    with home.host.ledger.read() as session:
        known = {row.hash: row.modules for row in session.exec(select(RecipeRow))}
    assert {row.recipe for row in rows} == set(known)


def test_low_fidelity_costs_less_than_the_same_in_full(home: Bench, setting: Setting) -> None:
    found = setting.search(home).run()
    rows = trial_rows(home)
    final = rows[-1]
    (cheap,) = [row for row in rows[:-1] if row.params == final.params]
    steps = {job.id: job.knobs.get("steps") for job in home.engine.jobs}
    assert found.best is not None
    assert 2 * int(str(steps[cheap.generation])) <= int(str(steps[final.generation])) + 1


def test_a_resumed_search_takes_the_same_decisions_and_asks_no_engine(home: Bench, setting: Setting) -> None:
    first = setting.search(home).run()
    home.engine.sampled.clear()
    home.engine.jobs.clear()
    home.pool.asked = 0
    again = setting.search(home).run()
    assert told(again) == told(first)
    assert (home.engine.sampled, home.engine.jobs) == ([], [])
    assert len(trial_rows(home)) == len(first.trials)


def test_two_engines_side_by_side_find_what_one_finds_given_the_same_batches(
    tmp_path: Path, pool: CountingPool, setting: Setting
) -> None:
    found = []
    rules = replace(RULES, trials=4)  # in batches of two with one engine as with two
    for width in (1, 2):
        folder = tmp_path / str(width)
        folder.mkdir()
        with bench(folder, pool) as home:
            store = Store(folder / "artifacts")
            more = [NotingEngine(store, environments=NAMES) for _ in range(width - 1)]
            home.host.engines = [home.engine, *more]
            found.append(told(setting.search(home, rules=rules).run()))
            assert all(engine.jobs for engine in home.host.engines)  # type: ignore[attr-defined]
    assert found[0] == found[1]


def test_an_operator_s_recipe_is_run_once_and_in_full(home: Bench, setting: Setting) -> None:
    pinned = home.recipe("rft")
    found = setting.search(home, pinned=pinned).run()
    (made,) = found.trials
    assert (made.recipe, made.fidelity) == (pinned.hash, 1.0)
    assert found.best == made
    assert [row.params for row in trial_rows(home)] == [{"skeleton": "pinned"}]


def test_nothing_is_found_where_nothing_gains(tmp_path: Path, pool: CountingPool, setting: Setting) -> None:
    with bench(tmp_path, pool, BASE, rate=0.0) as home:
        found = setting.search(home).run()
        assert found.best is None
        assert found.why == "no trial gained on dev items (best +0.000)"
        assert all(t.score == 0.0 for t in found.trials)


def test_what_gains_at_the_others_expense_is_refused(tmp_path: Path, pool: CountingPool, setting: Setting) -> None:
    with bench(tmp_path, pool, {**BASE, "extremes/4": 0.95}, forgets=0.8) as home:
        found = setting.search(home).run()
        assert found.best is None
        assert found.why == f"every trial loses more than {SHARE * RULES.margin:.1%} elsewhere"
        before = BASE["sorting/4"] + BASE["sorting/5"]
        assert all(score(home, t.generation) > before for t in found.trials)
        assert all(any(value > 0 for value in t.constraints.values()) for t in found.trials if t.score is not None)


def test_a_trial_over_its_token_limit_is_not_chosen(home: Bench, setting: Setting) -> None:
    found = setting.search(home, rules=replace(RULES, token_limit=1)).run()
    assert found.best is None
    assert all(t.constraints["cost"] > 0 for t in found.trials if t.score is not None)


def test_a_dead_engine_is_infrastructure_leaves_no_evidence_and_is_an_event(home: Bench, setting: Setting) -> None:
    search = setting.search(home)
    search._compared(home.engine)  # measured while the engine lived
    home.engine.deaths = 10**6
    found = search.run()
    assert found.best is None
    assert found.why.startswith("no trial came to an end: infrastructure: ")
    assert {t.score for t in found.trials} == {None}
    assert trial_rows(home) == []
    with home.host.ledger.read() as session:
        events = [row.code for row in session.exec(select(EventRow))]
    assert events.count("trial_infrastructure") == 3


def test_an_engine_that_dies_now_and_then_changes_nothing(tmp_path: Path, pool: CountingPool, setting: Setting) -> None:
    found = []
    for deaths in (0, 2):
        folder = tmp_path / str(deaths)
        folder.mkdir()
        with bench(folder, pool) as home:
            home.engine.deaths = deaths
            found.append(told(setting.search(home).run()))
    assert found[0] == found[1]


def test_a_recipe_that_fails_is_evidence_with_its_reason(home: Bench, setting: Setting) -> None:
    pinned = home.recipe("spin").model_copy(update={"name": "broken"})
    stage = pinned.stage[0]
    hot = stage.update.model_copy(update={"knobs": {**stage.update.knobs, "lr": 0.1}})
    broken = pinned.model_copy(update={"stage": (stage.model_copy(update={"update": hot}),)})
    found = setting.search(home, pinned=broken).run()
    assert found.best is None
    assert found.why == "no trial came to an end: NotFinite: loss is nan at step 3"
    (row,) = trial_rows(home)
    assert (row.score, row.generation, row.failure) == (None, None, "NotFinite: loss is nan at step 3")


def test_evidence_of_former_cycles_is_used_and_this_cycle_s_own_rows_are_not_read_twice(
    home: Bench, setting: Setting
) -> None:
    setting.search(home, cycle=1).run()
    search = setting.search(home, cycle=2)
    search.run()
    before = len(trial_rows(home))
    search.run()
    assert len(trial_rows(home)) == before
    with home.host.ledger.read() as session:
        asked = [row for row in session.exec(select(StepRow)) if row.step == "search.ask"]
    assert sorted({row.cycle for row in asked}) == [1, 2]
    assert {row.runs for row in asked} == {1}


def test_where_full_training_loses_what_short_training_kept_the_next_ones_are_run(
    tmp_path: Path, pool: CountingPool, setting: Setting
) -> None:
    with bench(tmp_path, pool, {**BASE, "extremes/4": 0.95}, forgets=0.1) as home:
        found = setting.search(home, rules=replace(RULES, trials=5)).run()
        low, full = ([t for t in found.trials if (t.fidelity == 1) is whole] for whole in (False, True))
        first, second = full
        assert all(is_feasible(t.constraints) for t in low)
        assert not is_feasible(first.constraints)
        assert found.best == second


def test_one_of_the_finals_is_no_preset_where_one_gained(home: Bench, setting: Setting) -> None:
    search = setting.search(home, cycle=1, rules=replace(RULES, finals=2))
    preset, other = (
        next(id_ for id_, s in setting.choices.items() if (s.preset is None) is own) for own in (False, True)
    )
    params = {n: {"skeleton": other if n in (3, 4) else preset} for n in (1, 2, 3, 4)}

    def trials(*scores: float, lost: float = -0.01) -> list[Trial]:
        return [Trial(n, "r", 0.5, None, score=s, constraints={"kept": lost}) for n, s in enumerate(scores, 1)]

    def finals(ranked: list[Trial]) -> list[int]:
        return [t.number for t in search._finals(ranked, params)]

    assert finals(trials(0.4, 0.3, 0.2, 0.1)) == [1, 3]
    assert finals(trials(0.4, 0.3, -0.1, -0.2)) == [1, 2]
    assert finals(trials(0.4, 0.3, 0.2, 0.1)[::-1]) == [4, 3]
    assert finals(trials(0.4, 0.3, 0.2, 0.1, lost=0.1)) == [1, 2]


def test_that_final_is_the_shortest_of_its_kind_within_noise(home: Bench, setting: Setting) -> None:
    search = setting.search(home, cycle=1, rules=replace(RULES, finals=2))
    own = sorted((s for s in setting.choices.values() if s.preset is None), key=lambda s: len(s.recipe.modules))
    preset = next(id_ for id_, s in setting.choices.items() if s.preset is not None)
    assert len(own[0].recipe.modules) < len(own[-1].recipe.modules)
    params = {n: {"skeleton": id_} for n, id_ in enumerate((preset, preset, own[-1].id, own[0].id), 1)}

    def last(shorter: float) -> int:
        scores = (0.4, 0.3, 0.2, shorter)
        ranked = [Trial(n, "r", 0.5, None, score=s, constraints={"kept": -0.01}) for n, s in enumerate(scores, 1)]
        return search._finals(ranked, params)[-1].number

    noise = (0.2 / len(search.ground.aimed)) ** 0.5
    assert last(0.2 - noise / 2) == 4
    assert last(max(0.001, 0.2 - 2 * noise)) == 3
