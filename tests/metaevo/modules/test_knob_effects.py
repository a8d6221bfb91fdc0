"""What each knob does that the small batch of the law-book cannot show: on rows where it bites."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from metaevo.prompts import load
from metaevo.registry.laws import batch_for
from metaevo.registry.registry import Registry
from metaevo.testing import OTHER, TASK, EchoPolicy, FewRows, KnownReference, KnownReward, attempt, experience
from metaevo.types import Attempts, Completion, Feedback, Turn, solved
from objectives.types import Message, Messages, Task
from tests.architecture.knobs import effect_of

REGISTRY = Registry()
TINY = load("tiny")
EFFECTS = ("policy", "prompts", "reference", "reward", "past", "rng", "archive")


def run(which: str, batch: Any, **given: Any) -> Any:
    """Return what ``slot.module`` makes of a batch with these effects and knobs."""
    slot, _, name = which.partition(".")
    module = REGISTRY.get(slot, name)
    effects = {key: value for key, value in given.items() if key in module.effects}
    knobs = module.fill({key: value for key, value in given.items() if key not in EFFECTS}, "test")
    return module.call(batch, **effects, **knobs)


@dataclass
class Says:
    """A policy that says what it is told to: a pure function of the prompt, the sample's number and the settings."""

    answer: Callable[[str, int], str] = lambda prompt, number: "42"
    id: str = "says"
    asked: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)

    def sample(self, prompts_P: Sequence[Messages], *, n: int = 1, **how: Any) -> list[list[Completion]]:
        self.asked.append(how | {"n": n})
        self.prompts += [prompt[-1].content for prompt in prompts_P]
        return [[Completion(self.answer(p[-1].content, i), 4) for i in range(n)] for p in prompts_P]


def task(id_: str, level: int = 2) -> Task:
    return replace(TASK, id=id_, level=level, prompt=(Message("user", f"add {id_}"),))


MIXED = tuple(task(f"t{i}", 1 + (i > 2)) for i in range(12))


@effect_of("tasks.pool_sampling.order")
def test_order_draws_evenly_at_random_or_from_the_easy_end() -> None:
    def levels(order: str) -> list[int]:
        return [t.level for t in run("tasks.pool_sampling", MIXED, rng=Random(4), n=6, order=order)]

    assert sorted(levels("stratified")) == [1, 1, 1, 2, 2, 2]
    assert levels("easy_to_hard") == [1, 1, 1, 2, 2, 2]
    assert levels("stratified") == [1, 2] * 3
    assert levels("random") == [t.level for t in shuffled(MIXED)[:6]]


def shuffled(tasks: tuple[Task, ...]) -> list[Task]:
    pool = sorted(tasks, key=lambda t: t.id)
    Random(4).shuffle(pool)
    return pool


@effect_of("tasks.outcome_carryover.low")
def test_low_drops_tasks_that_hardly_ever_went_well() -> None:
    @dataclass
    class Earlier:
        def attempts(self) -> tuple[Attempts, ...]:
            return (tuple(attempt(str(i)) for i in range(4)),)

        def experiences(self) -> Any:
            return ((experience("1", 1.0),),)

    kept = [run("tasks.outcome_carryover", (TASK, OTHER), past=Earlier(), low=low) for low in (0.2, 0.3)]
    assert kept == [(TASK, OTHER), (OTHER,)]


@effect_of("tasks.self_instruct.shots", "tasks.self_instruct.temperature")
def test_a_posed_task_is_asked_for_with_so_many_examples_at_that_heat() -> None:
    for shots, temperature in ((1, 0.5), (3, 1.2)):
        policy, english = Says(), load("english")
        given = {"policy": policy, "prompts": english, "rng": Random(1), "n": 2}
        run("tasks.self_instruct", MIXED, **given, shots=shots, temperature=temperature)
        assert [prompt.count("add t") for prompt in policy.prompts] == [shots, shots]
        assert policy.asked == [{"n": 1, "temperature": temperature}]


@effect_of(
    "feedback.self_critique.temperature",
    "feedback.self_judge_score.temperature",
    "refinement.rationalization.temperature",
    "refinement.revision.temperature",
)
@pytest.mark.parametrize(
    "which",
    ["feedback.self_critique", "feedback.self_judge_score", "refinement.rationalization", "refinement.revision"],
)
def test_the_model_is_sampled_at_that_temperature(which: str) -> None:
    for temperature in (0.0, 0.7):
        policy = Says(lambda _prompt, _number: "x")
        effects = {"policy": policy, "prompts": TINY, "reference": KnownReference(), "reward": KnownReward()}
        run(which, batch_for(which.partition(".")[0]), **effects, temperature=temperature)
        assert policy.asked[0]["temperature"] == temperature


@effect_of("solutions.direct_sampling.top_p")
def test_top_p_reaches_the_sampler() -> None:
    policies = [Says(), Says()]
    for policy, top_p in zip(policies, (0.8, 1.0), strict=True):
        run("solutions.direct_sampling", (TASK,), policy=policy, top_p=top_p, k=2)
    assert [policy.asked[0]["top_p"] for policy in policies] == [0.8, 1.0]


@effect_of("feedback.answer_check.partial")
def test_partial_keeps_the_environment_s_own_score() -> None:
    def half(attempts: Attempts) -> tuple[Feedback, ...]:
        return tuple(Feedback(0.5, "fail") for _ in attempts)

    scores = [run("feedback.answer_check", (attempt("4"),), reward=half, partial=p)[0].score for p in (False, True)]
    assert scores == [0.0, 0.5]


@effect_of("feedback.self_judge_score.reads")
def test_more_reads_are_averaged() -> None:
    def fickle(_prompt: str, number: int) -> str:
        return "==" if number == 0 else "xx"

    scores = [
        run("feedback.self_judge_score", (attempt("42"),), policy=Says(fickle), prompts=TINY, reads=reads)[0].score
        for reads in (1, 2, 4)
    ]
    assert scores == [1.0, 0.5, 0.25]


@effect_of("refinement.metric_filter.cap")
def test_a_cap_bounds_the_rows_of_one_task() -> None:
    rows = (*(experience(str(i), 1.0) for i in range(5)), experience("6", 1.0, OTHER))
    assert [len(run("refinement.metric_filter", rows, cap=cap)) for cap in (1, 3, 16)] == [2, 4, 6]


@effect_of("refinement.only_answers.rejected_too")
def test_rejected_answers_lose_their_way_too_or_keep_it() -> None:
    long = replace(attempt("4"), solution=solved((Turn("assistant", "3"), Turn("user", "x"), Turn("assistant", "4"))))
    row = replace(experience("42", 1.0), rejected=long)
    turns = [
        len(run("refinement.only_answers", (row,), rejected_too=too)[0].rejected.solution.turns)
        for too in (True, False)
    ]
    assert turns == [1, 3]


PAST = tuple(replace(experience(f"p{i}", 1.0), tags=("meta_skill",) if i < 3 else ()) for i in range(12))
FRESH = tuple(experience(f"f{i}", 1.0) for i in range(6))


KEPT = FewRows(tuple(experience(f"k{i}", 1.0) for i in range(40)))


@effect_of("refinement.experience_replay.variety")
def test_more_kept_rows_weigh_no_more_together() -> None:
    weights = {}
    for variety in (1, 4):
        rows = run("refinement.experience_replay", FRESH, archive=KEPT, rng=Random(1), rho=0.5, variety=variety)
        weights[variety] = [row.weight for row in rows[6:]]
    assert weights == {1: [1.0] * 6, 4: [0.25] * 24}


def test_where_too_little_is_kept_a_kept_row_weighs_no_more_than_a_new_one() -> None:
    rows = run("refinement.experience_replay", FRESH * 30, archive=KEPT, rng=Random(1), rho=0.5)
    assert [row.weight for row in rows[180:]] == [1.0] * 40


@effect_of("refinement.past_replay.share")
def test_share_bounds_what_the_past_is_of_the_whole() -> None:
    sizes = [
        len(run("refinement.past_replay", FRESH, past=FewRows(PAST), rng=Random(1), share=share))
        for share in (0.0, 0.25, 0.5, 0.95)
    ]
    assert sizes == [6, 8, 12, 18]


@effect_of("refinement.past_replay.rows")
def test_only_meta_skill_rows_come_back_or_all_do() -> None:
    made = {
        which: run("refinement.past_replay", FRESH, past=FewRows(PAST), rng=Random(1), rows=which, share=0.9)
        for which in ("all", "meta_skill")
    }
    assert {len(rows) for rows in made.values()} == {6 + 12, 6 + 3}
    assert all("meta_skill" in row.tags for row in made["meta_skill"][6:])


@effect_of("refinement.preference_pairs.margin")
def test_a_gap_below_the_margin_makes_no_pair() -> None:
    rows = (experience("42", 0.6), experience("41", 0.4))
    effects = {"reference": KnownReference()}
    assert [len(run("refinement.preference_pairs", rows, **effects, margin=m)) for m in (0.1, 0.3)] == [1, 0]


@effect_of("refinement.rationalization.k")
def test_more_tries_find_a_rationale_that_one_did_not() -> None:
    def third_time(_prompt: str, number: int) -> str:
        return "42" if number == 2 else "0"

    rows = (experience("0", 0.0), experience("1", 0.0))
    effects = {"prompts": TINY, "reference": KnownReference(), "reward": KnownReward()}
    made = [run("refinement.rationalization", rows, policy=Says(third_time), **effects, k=k, share=1.0) for k in (1, 3)]
    assert [sum("rationalized" in row.tags for row in each) for each in made] == [0, 1]


@effect_of("refinement.rationalization.share")
def test_share_bounds_the_rationalised_rows() -> None:
    tasks = [task(f"r{i}") for i in range(8)]
    right = {t.id: "42" for t in tasks}
    rows = tuple(experience("0", 0.0, t) for t in tasks)
    effects = {"policy": Says(), "prompts": TINY, "reference": KnownReference(right), "reward": KnownReward(right)}
    made = [len(run("refinement.rationalization", rows, **effects, share=s)) for s in (0.0, 0.25, 1.0)]
    assert made == [8, 10, 16]


@effect_of("refinement.self_consistency_filter.keep")
def test_keep_bounds_the_rows_of_the_majority() -> None:
    rows = (*(replace(experience("42", None), weight=float(i)) for i in range(5)), experience("41", None))
    assert [len(run("refinement.self_consistency_filter", rows, keep=keep)) for keep in (1, 3, 8)] == [1, 3, 5]


@effect_of("objective.learning_progress.hope")
def test_hope_is_what_a_cell_is_worth_whose_samples_show_nothing() -> None:
    history = batch_for("objective")
    dull, bright = history.cells
    seen = replace(history, cells=(replace(dull, latent=0.0), replace(bright, latent=0.5)))
    cells = [len(run("objective.learning_progress", seen, hope=hope).cells) for hope in (0.0, 0.2)]
    assert cells == [1, 2]


def test_the_echo_is_no_stand_in_for_temperature() -> None:
    """Why temperatures are shown here by what is asked for: the echo answers alike at any heat above zero."""
    prompt = [TASK.prompt]
    assert EchoPolicy().sample(prompt, n=2, temperature=0.5) == EchoPolicy().sample(prompt, n=2, temperature=1.2)
