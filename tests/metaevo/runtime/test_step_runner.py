"""The line of one trial: what modules are given, what comes back, how a generation answers, what happens on failure."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlmodel import select

from metaevo import testing, trial
from metaevo.artifacts.bodies import BodyStore
from metaevo.engines.protocol import Sampling
from metaevo.errors import BadInput, CodeChanged, EngineDied, MetaevoError, ModuleFailed, Refused
from metaevo.learning.chat import ChatSettings
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.tables import StepRow
from metaevo.recipes.schema import Recipe
from metaevo.runtime.answering import answer, check_procedure
from metaevo.runtime.effects import (
    CycleArchive,
    EnginePolicy,
    KnownPolicies,
    PoolReward,
    admit_tasks,
    redact,
)
from metaevo.runtime.host import TaskTable
from metaevo.runtime.step_runner import StepRunner
from metaevo.runtime.training import DevScores, StageFeedback, publish
from metaevo.types import Experiences, Generation, StepSpec, Tasks, Tokens
from objectives.types import Message, Split
from tests.systems.bench import CELLS, NAMES, Bench, CountingPool, bench, kept_rows

REFINE = (
    StepSpec("solutions", "direct_sampling", {"k": 1, "temperature": 0.0, "top_p": 1.0}),
    StepSpec("feedback", "self_critique", {"temperature": 0.0}),
    StepSpec("refinement", "revision", {"max_iters": 1, "temperature": 0.0, "keep_best": True}),
)
CRITICAL = StepSpec("refinement", "metric_filter", {"at_least": 1.0, "cap": 1})


@pytest.fixture
def home(tmp_path: Path, pool: CountingPool) -> Iterator[Bench]:
    with bench(tmp_path, pool) as made:
        yield made


def dev(home: Bench) -> Tasks:
    return home.ground(home.base).dev


def line(home: Bench) -> StepRunner:
    ground = home.ground(home.base)
    table = TaskTable()
    table.add(ground.seeds)
    known = {"current": home.base, "parent": home.base, "base": home.base}
    journal = Journal(home.host.ledger, home.host.store, 1)
    return StepRunner(home.host, journal, home.engine, table, known, ground.archive, BodyStore(home.host.store))


def with_knobs(recipe: Recipe, use: str, **knobs: Any) -> Recipe:
    """Return a recipe of one stage with knobs of one module changed."""
    data = recipe.model_dump()
    for value in data["stage"][0].values():
        for step in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(step, dict) and step["use"] == use:
                step["knobs"] = {**step["knobs"], **knobs}
    return Recipe.model_validate(data)


def test_a_generation_answers_directly_once_a_task_in_order_and_greedily(home: Bench) -> None:
    attempts, tokens = answer(home.host, home.engine, home.base, dev(home))
    assert [attempt.task for attempt in attempts] == list(dev(home))
    assert tokens == sum(attempt.solution.tokens for attempt in attempts) > 0
    assert {(how.n, how.temperature) for _, _, how in home.engine.sampled} == {(1, 0.0)}


def test_a_procedure_answers_every_task_once_and_its_tokens_are_counted(home: Bench) -> None:
    refining = replace(home.base, answer=REFINE)
    attempts, tokens = answer(home.host, home.engine, refining, dev(home))
    direct, fewer = answer(home.host, home.engine, home.base, dev(home))
    assert [attempt.task.id for attempt in attempts] == [task.id for task in dev(home)]
    assert tokens > fewer
    wanted = {task.id: task.reference for task in dev(home)}
    right = [sum(a.solution.text == wanted[a.task.id] for a in made) for made in (direct, attempts)]
    assert right[1] > right[0]
    assert all(attempt.task.reference is None for attempt in attempts)


def test_a_procedure_that_loses_a_task_is_a_failure_and_no_wrong_answer(home: Bench) -> None:
    losing = replace(home.base, answer=(*REFINE[:2], CRITICAL))
    with pytest.raises(ModuleFailed, match=f"its answer gives [0-9]+ attempts for {len(dev(home))} tasks"):
        answer(home.host, home.engine, losing, dev(home))


def test_a_procedure_may_not_need_what_is_not_there_when_serving(home: Bench) -> None:
    steps = (StepSpec("feedback", "answer_check", {"partial": False}),)
    modules = [home.host.registry.get(step.slot, step.use) for step in steps]
    with pytest.raises(BadInput, match=r"feedback\.answer_check needs Reward, which is not there when serving"):
        check_procedure(steps, modules)
    with pytest.raises(BadInput, match="needs a solutions step"):
        check_procedure(REFINE[1:], [home.host.registry.get(s.slot, s.use) for s in REFINE[1:]])
    check_procedure(REFINE, [home.host.registry.get(s.slot, s.use) for s in REFINE])


def test_how_prompts_are_made_is_part_of_the_evaluator_and_engines_make_them(home: Bench) -> None:
    before = home.host.evaluator
    home.host.chat = ChatSettings("Be brief.")
    assert home.host.evaluator != before
    asked = (Message("user", "srt ba"),)
    EnginePolicy(home.host, home.engine, home.base, 1).sample([asked])
    ((_, given, _),) = home.engine.sampled
    assert list(given) == [asked]


def test_every_call_of_a_policy_has_its_own_seed_and_spends_tokens(home: Bench) -> None:
    before = home.engine.meter
    policy = EnginePolicy(home.host, home.engine, home.base, 40)
    made = [policy.sample([(Message("user", "srt dcba"),)], n=4) for _ in range(2)]
    assert [how.seed for _, _, how in home.engine.sampled] == [41, 42]
    written = sum(c.tokens for call in made for row in call for c in row)
    assert home.engine.meter - before == Tokens(prompt=2 * 4 * len("srt dcba "), generated=written)


def test_an_unknown_role_is_refused_and_the_known_ones_are_told(home: Bench) -> None:
    policies = KnownPolicies(home.host, home.engine, {"base": home.base, "current": home.base}, 1)
    assert policies("base").id == home.base.id
    assert policies("base").seed != policies("current").seed
    with pytest.raises(BadInput, match="no generation 'teacher' on this line; known: base, current"):
        policies("teacher")


def test_tasks_outside_of_the_table_get_no_verdict_and_no_answer(home: Bench) -> None:
    inside, table = home.ground(home.base).seeds[:2], TaskTable()
    table.add(inside)
    attempts = (
        testing.attempt(inside[0].reference or "", inside[0]),
        testing.attempt("zz", inside[1]),
        testing.attempt("42"),
    )
    found = PoolReward(home.host, table)(attempts)
    assert [(f.score, f.verdict) for f in found] == [(1.0, "pass"), (0.0, "fail"), (None, "unknown")]


def test_modules_see_tasks_without_answers(home: Bench) -> None:
    seeds = home.ground(home.base).seeds
    assert all(task.reference is not None for task in seeds)
    assert {(task.answer, task.reference) for task in redact(seeds)} == {(None, None)}
    assert [task.id for task in redact(seeds)] == [task.id for task in seeds]


def posed(text: str, like: Any) -> Any:
    return replace(like, id=f"posed:{text}", prompt=(Message("user", text),), parents=(like.id,), origin="posed")


def test_a_posed_text_becomes_its_environment_s_task_and_can_be_graded(home: Bench) -> None:
    seeds, table = home.ground(home.base).seeds, TaskTable()
    table.add(seeds)
    letters = len(seeds[0].text) - len("srt ")
    texts = ["srt " + "".join(Random(i).choices("abcdefgh", k=letters)) for i in range(40)]
    made, dropped = admit_tasks(home.host, table, (*redact(seeds), *(posed(text, seeds[0]) for text in texts)))
    fresh = [task for task in made if task.text in texts]
    assert 8 < len(fresh) < 40
    assert dropped == 40 - len(fresh)
    for task in fresh:
        assert (task.split, task.reference, task.environment) == (Split.TRAIN, None, "sorting")
        assert task.parents == (seeds[0].id,)
        assert table.tasks[task.id].reference == "".join(sorted(task.text.removeprefix("srt ")))


def test_what_is_posed_twice_or_known_already_is_one_task(home: Bench) -> None:
    seeds, table = home.ground(home.base).seeds[:3], TaskTable()
    table.add(seeds)
    again = tuple(posed(task.text, task) for task in seeds)
    made, dropped = admit_tasks(home.host, table, (*redact(seeds), *again, *again))
    assert [task.id for task in made] == [task.id for task in seeds]
    assert dropped == 6


def test_a_posed_text_no_environment_reads_keeps_its_cell_and_has_no_answer(home: Bench) -> None:
    seeds, table = home.ground(home.base).seeds, TaskTable()
    table.add(seeds)
    made, _ = admit_tasks(home.host, table, tuple(posed(f"what is {i}?", seeds[0]) for i in range(20)))
    assert 5 < len(made) < 20
    assert {task.cell for task in made} == {seeds[0].cell}
    assert not any(task.id in table.tasks for task in made)


def test_an_archive_gives_as_much_of_every_ability_and_marks_it_replayed(home: Bench) -> None:
    many = kept_rows(home, 30)
    few = tuple(
        replace(row, attempt=replace(row.attempt, task=replace(row.attempt.task, environment="old")))
        for row in many[:5]
    )
    archive = CycleArchive(home.host, (*many, *few), "digest")
    taken = archive.experiences(10, Random(1))
    assert len(taken) == 10
    assert sum(row.attempt.task.environment == "old" for row in taken) == 5
    assert all("replayed" in row.tags for row in taken)
    assert archive.experiences(10, Random(1)) == taken != archive.experiences(10, Random(2))
    assert len(archive.experiences(100, Random(1))) == 35


def test_a_module_that_asks_for_what_its_place_does_not_offer_is_refused(home: Bench) -> None:
    made = line(home)
    module = home.host.registry.get("evaluation", "metric_eval")
    with pytest.raises(BadInput, match=r"evaluation\.metric_eval asks for Exam, which evaluation cannot have"):
        made.effects(module, At(9).key("evaluation"))


@pytest.mark.parametrize("deaths", [1, 2])
def test_an_engine_that_dies_is_asked_again_and_the_trial_is_the_same(
    tmp_path: Path, pool: CountingPool, deaths: int
) -> None:
    made = []
    for folder, dying in (("a", 0), ("b", deaths)):
        (tmp_path / folder).mkdir()
        with bench(tmp_path / folder, pool) as home:
            home.engine.deaths = dying
            found = home.run(home.recipe("rft"), each=8)
            assert found.generation is not None
            made.append((found.generation, found.tokens, found.counts))
            with home.host.ledger.read() as session:
                runs = {row.step: row.runs for row in session.exec(select(StepRow).where(StepRow.trial == 1))}
            assert runs["solutions"] == 1 + dying
    assert made[0] == made[1]


def test_an_engine_that_dies_three_times_is_infrastructure_and_no_score(home: Bench) -> None:
    home.engine.deaths = 3
    with pytest.raises(EngineDied):
        home.run(home.recipe("rft"), each=8)
    assert home.published() == []
    assert home.run(home.recipe("rft"), each=8).generation is not None


def test_a_recipe_whose_weights_blow_up_fails_by_name_and_publishes_nothing(home: Bench) -> None:
    made = home.run(with_knobs(home.recipe("rft"), "supervised_finetune", lr=0.1), each=8)
    assert (made.generation, made.score) == (None, None)
    assert made.failure == "NotFinite: loss is nan at step 3"
    assert home.published() == []


def test_a_finished_trial_is_read_from_its_journal_without_the_engine(home: Bench) -> None:
    recipe, ground = home.recipe("star"), home.ground(home.base, each=8)
    journal = Journal(home.host.ledger, home.host.store, 1)
    first = trial.run(home.host, journal, home.engine, recipe, ground, cycle=50, number=1)
    home.engine.sampled.clear()
    home.engine.jobs.clear()
    home.pool.asked = 0
    assert trial.run(home.host, journal, home.engine, recipe, ground, cycle=50, number=1) == first
    assert (home.engine.sampled, home.engine.jobs, home.pool.asked) == ([], [], 0)


def test_a_module_edited_while_the_cycle_runs_ends_it(home: Bench) -> None:
    made = line(home)
    made.digests = {("tasks", "pool_sampling"): "as it was when the cycle began"}
    with pytest.raises(CodeChanged, match=r"tasks\.pool_sampling was edited"):
        made.module("tasks", StepSpec("tasks", "pool_sampling"))


def test_a_generation_is_published_once_and_never_becomes_another(home: Bench) -> None:
    made = line(home)
    id_ = home.host.lineage.reserve(70, 1, 1, home.base.id)[0]
    step = StepSpec("update", "adopt")
    publish(made, Generation(id_, home.base.id, home.base.parts), home.base, step)
    publish(made, Generation(id_, home.base.id, home.base.parts), home.base, step)
    other = {"policy": home.engine.write({"sorting/4": 1.0})}
    with pytest.raises(Refused, match=f"generation {id_} already is"):
        publish(made, Generation(id_, home.base.id, other), home.base, step)


def test_dev_scores_answer_for_aimed_and_kept_items_apart(home: Bench) -> None:
    ground = home.ground(home.base)
    scores = DevScores(line(home), ground.dev, ground.aimed)
    prompts = scores("dev_tasks", None)
    known = {task.prompt: (task.reference, task.id in ground.aimed) for task in ground.dev}
    texts = [known[prompt][0] if known[prompt][1] else "?" for prompt in prompts]
    assert scores("fitness", texts) == {"gain": 1.0, "kept": 0.0}
    assert sum(known[prompt][1] for prompt in prompts) == len(ground.aimed)
    with pytest.raises(MetaevoError, match="asked for 'weights', which it cannot have"):
        scores("weights", None)


def test_an_online_update_can_ask_for_feedback_and_for_nothing_else(home: Bench) -> None:
    made = line(home)
    stage = home.recipe("grpo").stage[0]
    judged: Experiences = StageFeedback(made, stage, At(80))(
        "feedback", [testing.attempt(task.reference or "", task) for task in home.ground(home.base).seeds[:3]]
    )
    assert [row.score for row in judged] == [1.0] * 3
    for what, given in (("reference", stage), ("feedback", None)):
        with pytest.raises(MetaevoError, match=f"asked for '{what}', which it cannot have"):
            StageFeedback(made, given, At(80))(what, [])


def test_the_scripted_base_is_what_the_bench_says(home: Bench) -> None:
    made = home.engine.sample(home.base, [task.prompt for task in dev(home)], Sampling())
    right = [row[0].text == task.reference for row, task in zip(made, dev(home), strict=True)]
    assert 0.2 < sum(right) / len(right) < 0.8
    assert {task.cell.environment for task in dev(home)} == set(NAMES)
    assert {task.cell for task in home.ground(home.base).seeds} == set(CELLS)
