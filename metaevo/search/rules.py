"""What may be proposed: the composition rules of the field. They bind search; presets are faithful and exempt."""

from collections.abc import Callable

from metaevo.modules.registry import Registry
from metaevo.recipes.schema import Recipe, Stage

SCORED = ("answer_check", "self_judge_score", "self_critique")
KEEPS = ("experience_replay", "past_replay")


def broken(recipe: Recipe, registry: Registry, *, references: bool = True) -> str | None:
    """Return the first rule a proposal breaks, None where it may be tried."""
    for name, rule in RULES:
        for stage in recipe.stage:
            if not rule(stage):
                return name
    if not _is_stable(recipe):
        return "a weight update needs a lever of stability: replay, an adapter or averaging"
    if not references and any("Reference" in _effects(stage, registry) for stage in recipe.stage):
        return "no task of the objective has a reference"
    return None


def _uses(stage: Stage, slot: str) -> list[str]:
    value = getattr(stage, slot)
    return [step.use for step in (value if isinstance(value, tuple) else (value,) if value else ())]


def _pairs_for_preferences(stage: Stage) -> bool:
    return stage.update.use != "preference_optimization" or "preference_pairs" in _uses(stage, "refinement")


def _pairs_only_for_preferences(stage: Stage) -> bool:
    return "preference_pairs" not in _uses(stage, "refinement") or stage.update.use == "preference_optimization"


def _reward_for_gradient(stage: Stage) -> bool:
    return stage.update.use != "policy_gradient" or bool(_uses(stage, "feedback"))


def _environment_feedback(stage: Stage) -> bool:
    return stage.update.use == "adopt" or "answer_check" in _uses(stage, "feedback")


def _score_before_filter(stage: Stage) -> bool:
    refinement = _uses(stage, "refinement")
    return "metric_filter" not in refinement or bool(_uses(stage, "feedback"))


def _a_filter(stage: Stage) -> bool:
    """Without any filter the model is trained on its own mistakes."""
    if stage.update.use in ("adopt", "policy_gradient"):
        return True
    return bool({"metric_filter", "self_consistency_filter", "preference_pairs"} & set(_uses(stage, "refinement")))


def _critique_before_revision(stage: Stage) -> bool:
    return "revision" not in _uses(stage, "refinement") or "self_critique" in _uses(stage, "feedback")


def _past_needs_rounds(stage: Stage) -> bool:
    """With one round there is no past, and the step would do nothing."""
    uses = {*_uses(stage, "refinement"), *_uses(stage, "tasks")}
    return stage.rounds > 1 or not {"past_replay", "outcome_carryover"} & uses


def _something_to_shorten(stage: Stage) -> bool:
    refinement = _uses(stage, "refinement")
    return "only_answers" not in refinement or "revision" in refinement


def _lessons_from_all(stage: Stage) -> bool:
    """Critique lessons are made from wrong answers too: a filter before them leaves none."""
    refinement = _uses(stage, "refinement")
    return "meta_skill_rows" not in refinement or not {"metric_filter", "self_consistency_filter"} & set(refinement)


def _trains(stage: Stage) -> bool:
    """A way of answering is proposed only as the presets have it."""
    return stage.update.use != "adopt"


def _replays(stage: Stage) -> bool:
    """Return whether what is to be kept is among the rows: an adapter and averaging alone lost 3 to 6 points."""
    return stage.update.use != "supervised_finetune" or "experience_replay" in _uses(stage, "refinement")


RULES: tuple[tuple[str, Callable[[Stage], bool]], ...] = (
    ("preference optimisation needs pairs", _pairs_for_preferences),
    ("pairs are for preference optimisation", _pairs_only_for_preferences),
    ("a policy gradient needs a reward", _reward_for_gradient),
    ("training needs an environment's feedback, or a judge of known quality", _environment_feedback),
    ("a filter by score needs a score", _score_before_filter),
    ("training on samples needs a filter", _a_filter),
    ("a revision needs a critique", _critique_before_revision),
    ("carrying over needs an earlier round", _past_needs_rounds),
    ("only a revised answer can be shortened", _something_to_shorten),
    ("critique lessons need unfiltered answers", _lessons_from_all),
    ("an answering procedure is no proposal", _trains),
    ("supervised training forgets without replay", _replays),
)


def _is_stable(recipe: Recipe) -> bool:
    trains = any(stage.update.use != "adopt" for stage in recipe.stage)
    lever = any(
        "low_rank_adaptation" in _uses(stage, "stability") or set(KEEPS) & set(_uses(stage, "refinement"))
        for stage in recipe.stage
    )
    return not trains or lever or bool(recipe.consolidation)


def _effects(stage: Stage, registry: Registry) -> set[str]:
    return {kind.__name__ for slot, _, step in stage.steps() for kind in registry.get(slot, step.use).effects.values()}
