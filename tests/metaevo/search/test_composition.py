"""What may be proposed: every rule lets one recipe through and refuses another for its own reason."""

from typing import Any

import pytest

from metaevo.recipes.schema import FOLDER, Recipe, from_data, load
from metaevo.registry.registry import Registry
from metaevo.search.composition import RULES, Said, broken_rule
from metaevo.search.composition import said as seen

REGISTRY = Registry()
STABLE = "a weight update needs a lever of stability: replay, an adapter or averaging"
REFERENCE = "no task of the objective has a reference"
BASE: dict[str, Any] = {
    "tasks": ["pool_sampling"],
    "solutions": "direct_sampling",
    "feedback": ["answer_check"],
    "refinement": ["metric_filter", "experience_replay"],
    "stability": ["low_rank_adaptation"],
    "update": "supervised_finetune",
}


def recipe(consolidation: tuple[str, ...] = (), rounds: int = 1, **changes: Any) -> Recipe:
    """Return a one-stage recipe near one that may be proposed; None takes a slot away."""
    stage: dict[str, Any] = {"rounds": rounds}
    for slot, value in (BASE | changes).items():
        if value is not None:
            stage[slot] = [{"use": name} for name in value] if isinstance(value, list) else {"use": value}
    merges = [{"use": name} for name in consolidation]
    return from_data({"name": "x", "stage": [stage], "consolidation": merges}, REGISTRY, "x")


def said(made: Recipe, **how: Any) -> str | None:
    return broken_rule(made, REGISTRY, **how)


def test_the_ordinary_recipe_may_be_tried() -> None:
    assert said(recipe()) is None


PAIRED: dict[str, Any] = {"update": "preference_optimization", "refinement": ["preference_pairs"]}
GRADIENT: dict[str, Any] = {"update": "policy_gradient", "solutions": None, "refinement": None}
EXAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "preference optimisation needs pairs": (
        {"update": "preference_optimization", "refinement": ["preference_pairs"]},
        {"update": "preference_optimization"},
    ),
    "pairs are for preference optimisation": (
        {"update": "preference_optimization", "refinement": ["preference_pairs"]},
        {"refinement": ["preference_pairs"]},
    ),
    "training needs an environment's feedback, or a judge of known quality": (
        {"feedback": ["self_judge_score", "answer_check"]},
        {"feedback": ["self_judge_score"]},
    ),
    "training on samples needs a filter": (
        {"refinement": ["self_consistency_filter", "experience_replay"]},
        {"refinement": ["diversity_filter"]},
    ),
    "a revision needs a critique": (
        {
            "refinement": ["revision", "metric_filter", "experience_replay"],
            "feedback": ["self_critique", "answer_check"],
        },
        {"refinement": ["revision", "metric_filter"]},
    ),
    "carrying over needs an earlier round": (
        {"refinement": ["metric_filter", "past_replay", "experience_replay"], "rounds": 2},
        {"refinement": ["metric_filter", "past_replay"]},
    ),
    "only a revised answer can be shortened": (
        {
            "refinement": ["revision", "metric_filter", "only_answers", "experience_replay"],
            "feedback": ["self_critique", "answer_check"],
        },
        {"refinement": ["metric_filter", "only_answers"]},
    ),
    "critique lessons need unfiltered answers": (
        {"update": "preference_optimization", "refinement": ["meta_skill_rows", "preference_pairs"]},
        {"refinement": ["metric_filter", "meta_skill_rows"]},
    ),
    "an answering procedure is not a proposal": ({}, {"update": "adopt", "refinement": None, "stability": None}),
    "supervised training forgets without replay": ({}, {"refinement": ["metric_filter"]}),
}


@pytest.mark.parametrize("rule", EXAMPLES)
def test_every_rule_accepts_one_recipe_and_refuses_another(rule: str) -> None:
    accepted, refused = EXAMPLES[rule]
    assert said(recipe(**accepted)) is None
    assert said(recipe(**refused)) == rule


def test_carrying_over_tasks_needs_rounds_too() -> None:
    tasks = ["pool_sampling", "outcome_carryover"]
    assert said(recipe(tasks=tasks)) == "carrying over needs an earlier round"
    assert said(recipe(tasks=tasks, rounds=2)) is None


def stage_of(**changes: Any) -> Said:
    """Return a stage that the recipe's own rules would not let through, to look at one rule alone."""
    return seen(recipe().stage[0].model_copy(update=changes), REGISTRY)


def test_the_rules_that_a_recipe_s_own_checks_already_cover_hold_alone() -> None:
    rules = dict(RULES)
    gradient = recipe(**GRADIENT).stage[0]
    assert rules["a policy gradient needs a reward"](seen(gradient, REGISTRY))
    assert not rules["a policy gradient needs a reward"](seen(gradient.model_copy(update={"feedback": ()}), REGISTRY))
    assert rules["a filter by score needs a score"](stage_of())
    assert not rules["a filter by score needs a score"](stage_of(feedback=()))


def test_every_rule_has_its_example() -> None:
    alone = {"a policy gradient needs a reward", "a filter by score needs a score"}
    covered = {*EXAMPLES, *alone, "pairs are made once"}
    assert {name for name, _ in RULES} == covered


@pytest.mark.parametrize(
    ("changes", "fine"),
    [
        ({}, True),
        ({"stability": None}, True),
        (PAIRED, True),
        ({**PAIRED, "stability": None}, False),
        ({**PAIRED, "stability": None, "consolidation": ("adaptive_model_averaging",)}, True),
        ({**PAIRED, "stability": None, "rounds": 2, "refinement": ["past_replay", "preference_pairs"]}, True),
        ({**GRADIENT, "stability": None}, False),
        ({**GRADIENT}, True),
    ],
)
def test_a_weight_update_needs_a_lever_of_stability(changes: dict[str, Any], fine: bool) -> None:
    assert said(recipe(**changes)) == (None if fine else STABLE)


def test_references_are_asked_for_only_where_there_are_any() -> None:
    pairs = recipe(update="preference_optimization", refinement=["preference_pairs"])
    hinted = recipe(refinement=["rationalization", "metric_filter", "experience_replay"])
    for made in (pairs, hinted):
        assert said(made) is None
        assert said(made, references=False) == REFERENCE
    assert said(recipe(), references=False) is None


def test_one_bad_stage_is_enough() -> None:
    fine, bad = recipe(), recipe(refinement=["diversity_filter"])
    both = fine.model_copy(update={"stage": (*fine.stage, *bad.stage)})
    assert said(both) == "training on samples needs a filter"


def test_rules_bind_proposals_presets_are_exempt() -> None:
    """A faithful preset may break them: SELF trains on unfiltered lessons, Self-Rewarding has no verifier."""
    names = [path.stem for path in FOLDER.glob("*.toml")]
    verdicts = {name: said(load(name, REGISTRY)) for name in names}
    assert verdicts["rft"] is None
    assert verdicts["self_rewarding"] is not None
    assert verdicts["self_refine"] is not None
