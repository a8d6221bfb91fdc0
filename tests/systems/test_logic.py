"""The first systems by their logic: who is asked what, what is kept, what is trained from which weights.

SYSTEMS.md section 3 on the scripted engine: exact statements, no learning curve. The rows are the ones the update
was really given, read back from the store.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaevo.effects import Reference, Reward
from metaevo.recipes.schema import Recipe
from metaevo.types import Experiences
from tests.systems.bench import BASE, Bench, CountingPool, bench, kept_rows, right

STRONG = {**BASE, "sorting/4": 0.8, "sorting/5": 0.8}


@pytest.fixture
def home(tmp_path: Path, pool: CountingPool) -> Iterator[Bench]:
    with bench(tmp_path, pool) as made:
        yield made


def asks(home: Bench, recipe: Recipe) -> set[type]:
    """Return every effect that some step of the recipe asks for."""
    steps = [(slot, step.use) for stage in recipe.stage for slot, _, step in stage.steps()]
    return {kind for slot, use in steps for kind in home.host.registry.get(slot, use).effects.values()}


def texts(rows: Experiences) -> list[tuple[str, str]]:
    return [(row.attempt.task.id, row.attempt.solution.text) for row in rows]


def answers(home: Bench, each: int = 32) -> dict[str, str]:
    """Return the answers to the tasks of a run's pool."""
    return {task.id: task.reference or "" for task in home.ground(home.base, each=each).seeds}


def test_rft_trains_on_distinct_right_answers_and_what_is_replayed(home: Bench) -> None:
    made = home.run(home.recipe("rft"), kept=kept_rows(home, 200))
    (rows,) = home.trained()
    fresh = tuple(row for row in rows if "replayed" not in row.tags)
    assert all(right(fresh, answers(home)))
    assert len(set(texts(fresh))) == len(fresh) == 64
    replayed = [row for row in rows if "replayed" in row.tags]
    assert made.counts["replayed"] == len(replayed) == 200
    assert sum(row.weight for row in replayed) == pytest.approx(len(fresh))  # half of the whole weighs what is kept
    assert {row.attempt.task.environment for row in replayed} == {"extremes"}
    sampled = 8 * made.counts["tasks"]
    assert (home.graded, made.counts["attempts"]) == (sampled, sampled)


def test_rft_drops_wrong_answers_and_repeats_before_training(home: Bench) -> None:
    home.run(home.recipe("rft"))
    counts = {module: rows for _, _, _, module, said in home.steps() for rows in [said.get("rows")]}
    passed, distinct = counts["refinement.metric_filter"], counts["refinement.diversity_filter"]
    assert counts["solutions.direct_sampling"] == 512 > passed > distinct == 64


def test_rft_trains_an_adapter_and_the_model_gets_better(home: Bench) -> None:
    made = home.run(home.recipe("rft"))
    (job,) = home.engine.jobs
    assert job.spec.lora is not None
    assert (job.spec.lora.r, job.start.id) == (16, home.base.id)
    assert made.generation is not None
    assert home.engine.skills(made.generation)["sorting/4"] > BASE["sorting/4"]


def test_rest_em_samples_from_the_newest_and_trains_from_the_base_every_round(home: Bench) -> None:
    parent = home.named(STRONG, home.base.id)
    home.run(home.recipe("rest_em"), parent)
    first, second = home.published()
    assert [made["start"] for made in (first, second)] == [home.base.id, home.base.id]
    assert [made["parent"] for made in (first, second)] == [parent.id, parent.id]
    assert [who for who, _, _ in home.engine.sampled] == [parent.id, first["id"]]


def test_rest_em_keeps_right_answers_and_no_more_than_four_a_task(home: Bench) -> None:
    home.run(home.recipe("rest_em"))
    for rows in home.trained():
        assert all(right(rows, answers(home)))
        assert max(Counter(row.attempt.task.id for row in rows).values()) == 4


def test_star_rationalises_the_tasks_nobody_solved_and_only_those(home: Bench) -> None:
    home.run(home.recipe("star"))
    known = answers(home)
    hinted = [text for _, text in home.engine.prompts("H ")]
    for rows in home.trained():
        assert all(right(rows, known))
        assert set(Counter(row.attempt.task.id for row in rows).values()) == {1}
    solved = {row.attempt.task.text for row in home.trained()[0] if "rationalized" not in row.tags}
    rationalised = {row.attempt.task.text for row in home.trained()[0] if "rationalized" in row.tags}
    assert rationalised
    assert not solved & rationalised
    asked = {text.removeprefix("H ").partition("=")[0] for text in hinted[: len(rationalised)]}
    assert rationalised == asked


def test_star_shows_hints_in_no_row_it_trains_on(home: Bench) -> None:
    home.run(home.recipe("star"))
    ground = {task.id: task.prompt for task in home.ground(home.base).seeds}
    rationalised = [row for rows in home.trained() for row in rows if "rationalized" in row.tags]
    assert all(row.attempt.task.prompt == ground[row.attempt.task.id] for row in rationalised)
    for row in rationalised:
        said = " ".join(turn.text for turn in row.attempt.solution.turns)
        assert "H " not in said
        assert row.attempt.solution.text not in row.attempt.task.text.split()


def test_star_restarts_from_the_base_and_rationalises_less_as_it_learns(home: Bench) -> None:
    home.run(home.recipe("star"), each=128)
    assert [made["start"] for made in home.published()] == [home.base.id] * 2
    shares = [sum("rationalized" in row.tags for row in rows) / len(rows) for rows in home.trained()]
    assert 0 < shares[1] < shares[0]


def test_lmsi_reads_no_verifier_and_no_reference_anywhere(home: Bench) -> None:
    recipe = home.recipe("lmsi")
    assert not {Reward, Reference} & asks(home, recipe)
    made = home.run(recipe)
    assert made.generation is not None
    assert home.graded == 0
    (rows,) = home.trained()
    assert {(row.attempt.task.answer, row.attempt.task.reference) for row in rows} == {(None, None)}


def test_lmsi_keeps_the_majority_s_answer(home: Bench) -> None:
    home.run(home.recipe("lmsi"))
    (rows,) = home.trained()
    said = {task.id: Counter[str]() for task in home.ground(home.base).seeds}
    (who, asked, how), tasks = home.engine.sampled[0], {t.prompt: t.id for t in home.ground(home.base).seeds}
    for prompt, made in zip(asked, home.engine.sample(home.base, asked, how), strict=True):
        said[tasks[prompt]].update(completion.text for completion in made)
    assert (who, how.n) == (home.base.id, 16)
    for row in rows:
        votes = said[row.attempt.task.id]
        assert votes[row.attempt.solution.text] == max(votes.values())
        assert row.score == votes[row.attempt.solution.text] / 16 >= 0.5


@pytest.mark.parametrize(("skill", "rises"), [(0.8, True), (0.2, False)])
def test_lmsi_follows_the_majority_whether_it_is_right_or_wrong(
    tmp_path: Path, pool: CountingPool, skill: float, rises: bool
) -> None:
    with bench(tmp_path, pool, {"sorting/4": skill, "sorting/5": skill}, latent=0.0) as home:
        made = home.run(home.recipe("lmsi"))
        assert made.generation is not None
        after = home.engine.skills(made.generation)
        assert (after["sorting/4"] > skill) is (after["sorting/5"] > skill) is rises


def test_spin_prefers_the_data_s_answer_over_the_previous_iterate_s_own(home: Bench) -> None:
    recipe = home.recipe("spin")
    assert Reward not in asks(home, recipe)
    home.run(recipe)
    first, second = home.published()
    known = answers(home)
    for iterate, rows in zip((home.base.id, first["id"]), home.trained(), strict=True):
        assert rows
        assert all(right(rows, known))
        assert {row.attempt.solution.turns[0].by for row in rows} == {"reference"}
        assert {row.rejected.solution.turns[0].by for row in rows if row.rejected} == {iterate}
        assert all(row.rejected and row.rejected.solution.text != row.attempt.solution.text for row in rows)
    assert [made["start"] for made in (first, second)] == [home.base.id, first["id"]]
    assert home.graded == 0


def test_spin_finds_fewer_pairs_as_samples_match_the_data(home: Bench) -> None:
    home.run(home.recipe("spin"), each=128)
    before, after = (len(rows) for rows in home.trained())
    assert 0 < after < before


def test_spin_has_nothing_to_learn_where_every_sample_is_the_data_s(tmp_path: Path, pool: CountingPool) -> None:
    with bench(tmp_path, pool, {"sorting/4": 1.0, "sorting/5": 1.0}) as home:
        made = home.run(home.recipe("spin"))
        assert made.generation is None
        assert "nothing left to learn from" in made.failure
