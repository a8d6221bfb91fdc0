"""The systems that judge, revise or train while sampling, and every slot type, on the scripted engine."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaevo.artifacts.bodies import BodyStore
from metaevo.effects import Reference, Reward
from metaevo.ledger.journal import Journal
from metaevo.recipes import schema
from metaevo.registry.slots import RECIPE_SLOTS
from metaevo.runtime.answering import measure
from metaevo.types import Attempts, Experience, Generation
from objectives.types import Report, Split
from tests.recipes import rft
from tests.systems.bench import BASE, Bench, CountingPool, bench, kept_rows, right

FIRST = ("rft", "rest_em", "star", "lmsi", "spin", "self_rewarding", "grpo", "self_refine", "self")


@pytest.fixture
def home(tmp_path: Path, pool: CountingPool) -> Iterator[Bench]:
    with bench(tmp_path, pool) as made:
        yield made


@pytest.fixture(scope="module")
def after_self(tmp_path_factory: pytest.TempPathFactory, pool: CountingPool) -> Iterator[Bench]:
    """Yield a home in which SELF has just been run on a parent that is not the base."""
    with bench(tmp_path_factory.mktemp("self"), pool) as made:
        made.run(made.recipe("self"), made.named(BASE, made.base.id))
        yield made


def answers(home: Bench) -> dict[str, str]:
    return {task.id: task.reference or "" for task in home.ground(home.base).seeds}


def wanted(home: Bench, name: str, stage: int) -> set[type]:
    """Return every effect that some step of one stage of a preset asks for."""
    steps = [(slot, step.use) for slot, _, step in home.recipe(name).stage[stage].steps()]
    return {kind for slot, use in steps for kind in home.host.registry.get(slot, use).effects.values()}


def marks(said: str, known: str) -> str:
    """Return what a perfect critic of the tiny dialect writes."""
    return "".join("=" if known[i : i + 1] == c else "x" for i, c in enumerate(said)) + "<" * (len(said) < len(known))


def on_dev(home: Bench, generation: Generation) -> Report:
    return measure(home.host, home.engine, generation, home.ground(home.base).dev, Split.DEV)


@pytest.mark.parametrize("name", FIRST)
def test_every_first_system_is_a_faithful_preset_that_validates_and_runs(home: Bench, name: str) -> None:
    recipe = home.recipe(name)
    assert recipe.faithful
    assert recipe.filled(home.host.registry).hash == recipe.hash
    made = home.run(recipe)
    assert made.failure == ""
    assert made.generation is not None
    assert len(home.published()) == recipe.publishes
    assert home.published()[-1]["id"] == made.generation.id


@pytest.mark.parametrize("name", FIRST)
def test_a_system_run_again_on_the_same_ground_gives_the_same_weights(
    tmp_path: Path, pool: CountingPool, name: str
) -> None:
    parts = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        with bench(tmp_path / folder, pool) as home:
            made = home.run(home.recipe(name), each=8)
            assert made.generation is not None
            parts.append((made.generation.parts, made.generation.answer, made.tokens))
    assert parts[0] == parts[1]


def test_grpo_draws_groups_while_training_and_has_them_rewarded_by_the_environment(home: Bench) -> None:
    made = home.run(home.recipe("grpo"))
    (job,) = home.engine.jobs
    group = int(job.knobs["group"])
    ((who, asked, how),) = home.engine.sampled
    assert (who, how.n, how.temperature) == (home.base.id, group, 1.0)
    assert home.engine.rewarded == [len(asked) * group]
    assert home.graded == len(asked) * group == 64 * group
    assert made.generation is not None
    assert made.generation.parts != home.base.parts
    assert {slot for _, _, slot, _, _ in home.steps()} == {"tasks", "stability", "door", "update"}


def test_self_rewarding_is_judged_by_the_iterate_itself_and_asks_for_no_reward(home: Bench) -> None:
    assert Reward not in wanted(home, "self_rewarding", 0)
    home.run(home.recipe("self_rewarding"))
    first, second = home.published()
    assert home.graded == 0
    judges = [who for who, _ in home.engine.prompts("C ")]
    writers = [who for who, text in home.engine.prompts("srt ")]
    assert set(judges[: len(judges) // 2]) == set(writers[: len(writers) // 2]) == {home.base.id}
    assert set(judges[len(judges) // 2 :]) == set(writers[len(writers) // 2 :]) == {first["id"]}
    assert [made["start"] for made in (first, second)] == [home.base.id, first["id"]]


def test_self_rewarding_prefers_what_its_judge_scored_higher(home: Bench) -> None:
    home.run(home.recipe("self_rewarding"))
    known, dialect = answers(home), home.host.dialect
    for rows in home.trained():
        assert rows
        for row in rows:
            assert row.rejected is not None
            right_ = known[row.attempt.task.id]
            chosen, rejected = (a.solution.text for a in (row.attempt, row.rejected))
            scores = [dialect.judge(marks(text, right_))[0] or 0.0 for text in (chosen, rejected)]
            assert row.score == scores[0]
            assert scores[0] - scores[1] >= 0.1


def test_self_refine_touches_no_weights_and_trains_nothing(home: Bench) -> None:
    made = home.run(home.recipe("self_refine"))
    assert made.generation is not None
    assert made.generation.parts == home.base.parts
    assert home.engine.jobs == []
    assert home.graded == 0
    assert [(step.slot, step.use) for step in made.generation.answer] == [
        ("solutions", "direct_sampling"),
        ("feedback", "self_critique"),
        ("refinement", "revision"),
    ]


def test_self_refine_fixes_more_answers_than_it_breaks_where_the_judge_is_good(home: Bench) -> None:
    made = home.run(home.recipe("self_refine"))
    assert made.generation is not None
    pairs = list(zip(on_dev(home, made.generation).outcomes, on_dev(home, home.base).outcomes, strict=True))
    fixed = sum(new.score == 1 and old.score == 0 for new, old in pairs)
    broken = sum(new.score == 0 and old.score == 1 for new, old in pairs)
    assert fixed > broken
    assert sum(new.tokens for new, _ in pairs) > sum(old.tokens for _, old in pairs)


def test_self_learns_to_criticise_and_repair_from_the_oracle_first(after_self: Bench) -> None:
    home = after_self
    assert Reference in wanted(home, "self", 0)
    known = {task.text: task.reference or "" for task in home.ground(home.base).seeds}
    lessons: dict[str, list[Experience]] = defaultdict(list)
    for row in home.trained()[0]:
        assert row.tags[0] == "meta_skill"
        lessons[row.tags[1]].append(row)
    assert set(lessons) == {"critique", "refine", "answer"}
    for row in lessons["critique"]:
        task, _, said = row.attempt.task.text.removeprefix("C ").partition("=")
        assert row.attempt.solution.text == marks(said, known[task])
    for row in lessons["refine"]:
        task, _, shown = row.attempt.task.text.removeprefix("R ").partition("=")
        said, _, critique = shown.partition("/")
        assert critique == marks(said, known[task])
        assert said != row.attempt.solution.text == known[task]
    assert all(known[row.attempt.task.text] == row.attempt.solution.text for row in lessons["answer"])


def test_self_reads_no_reference_and_no_reward_after_its_first_stage(after_self: Bench) -> None:
    home = after_self
    for stage in (1, 2):
        assert not {Reference, Reward} & wanted(home, "self", stage)
    assert home.graded == 0


def test_self_s_rounds_restart_from_the_base_with_the_meta_skill_rows_mixed_in(after_self: Bench) -> None:
    home = after_self
    made = home.published()
    parent = home.host.lineage.get(made[0]["parent"])
    assert [m["start"] for m in made] == [parent.id, home.base.id, home.base.id, made[2]["id"]]
    for rows in home.trained()[1:3]:
        share = sum("meta_skill" in row.tags for row in rows) / len(rows)
        assert 0 < share <= 0.5
        fresh = [row for row in rows if "meta_skill" not in row.tags]
        assert all([turn.role for turn in row.attempt.solution.turns] == ["assistant"] for row in fresh)


def test_self_keeps_rows_that_pass_its_own_verdict_and_are_right_more_often(after_self: Bench) -> None:
    home = after_self
    known = answers(home)
    journal = Journal(home.host.ledger, home.host.store, 1)
    for round_ in (0, 1):
        digest = journal.digest((home.cycles, 1, 1, round_, "solutions", 0))
        sampled: Attempts = BodyStore(home.host.store).read(digest or "", None)
        before = sum(a.solution.text == known[a.task.id] for a in sampled) / len(sampled)
        kept = tuple(row for row in home.trained()[1 + round_] if row.attempt.task.id in known and row.feedback)
        assert {row.feedback[-1].verdict for row in kept} == {"pass"}
        assert sum(right(kept, known)) / len(kept) > before


def test_self_refines_when_it_answers_with_the_weights_of_its_last_round(after_self: Bench) -> None:
    home = after_self
    made = home.last
    assert made is not None
    assert made.generation is not None
    last = home.published()[2]
    assert made.generation.parts == last["parts"]
    direct = on_dev(home, home.host.lineage.get(last["id"]))
    refined = on_dev(home, made.generation)
    assert sum(o.score or 0 for o in refined.outcomes) > sum(o.score or 0 for o in direct.outcomes)


CONSOLIDATED = rft(
    "consolidated",
    feedback=("answer_check", "self_critique"),
    stability=("low_rank_adaptation",),
    consolidation=("adaptive_model_averaging",),
)


def test_every_slot_a_recipe_has_leaves_a_step_and_what_consolidation_makes_is_the_trial_s(home: Bench) -> None:
    recipe = schema.parse(CONSOLIDATED, home.host.registry, "test")
    made = home.run(recipe, kept=kept_rows(home, 8))
    assert made.generation is not None
    assert {slot for _, _, slot, _, _ in home.steps()} == {*RECIPE_SLOTS, "door"}
    trained, merged = home.published()
    assert merged["id"] == made.generation.id
    assert merged["start"] == trained["id"]
    assert [job.slot for job in home.engine.jobs] == ["update", "consolidation"]


def test_evaluation_is_the_host_s_own_module_and_reports_one_graded_outcome_per_item(home: Bench) -> None:
    ground = home.ground(home.base)
    report = on_dev(home, home.base)
    assert [outcome.task for outcome in report.outcomes] == [task.id for task in ground.dev]
    assert {outcome.score for outcome in report.outcomes} == {0.0, 1.0}
    assert home.host.registry.names("evaluation") == ["metric_eval"]
