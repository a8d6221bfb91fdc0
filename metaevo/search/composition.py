"""What may be proposed: the composition rules of the field, over traits. They bind search; presets are faithful and
exempt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from metaevo.recipes.schema import Recipe, Stage
from metaevo.registry.slots import Module
from metaevo.search.installed import Modules
from metaevo.traits import Trait


@dataclass(frozen=True, slots=True)
class Said:
    """One stage as the rules see it: what its modules say of themselves, and no name."""

    rounds: int
    update: Module
    steps: Mapping[str, tuple[Module, ...]]
    """By slot, in order."""

    def any(self, trait: Trait) -> bool:
        """Return whether some step has the trait."""
        return any(trait in module.traits for steps in self.steps.values() for module in steps)

    def count(self, trait: Trait) -> int:
        """Return how many steps have the trait."""
        return sum(trait in module.traits for steps in self.steps.values() for module in steps)

    @property
    def trains(self) -> bool:
        """Return whether weights are trained at all."""
        return not self.update.procedure


def said(stage: Stage, modules: Modules) -> Said:
    """Return a stage as the rules see it."""
    steps: dict[str, tuple[Module, ...]] = {}
    for slot, _, step in stage.steps():
        steps[slot] = (*steps.get(slot, ()), modules.get(slot, step.use))
    return Said(stage.rounds, steps["update"][0], steps)


def broken_rule(recipe: Recipe, modules: Modules, *, references: bool = True) -> str | None:
    """Return the first rule a proposal breaks, None where it may be tried."""
    stages = [said(stage, modules) for stage in recipe.stage]
    for name, rule in RULES:
        if not all(rule(stage) for stage in stages):
            return name
    if any(stage.trains for stage in stages) and not (recipe.consolidation or any(map(_has_lever, stages))):
        return "a weight update needs a lever of stability: replay, an adapter or averaging"
    if not references and any("Reference" in _effects(stage) for stage in stages):
        return "no task of the objective has a reference"
    return None


def _pairs_for_preferences(stage: Said) -> bool:
    return not stage.any(Trait.TAKES_PAIRS) or stage.any(Trait.GIVES_PAIRS)


def _pairs_only_for_preferences(stage: Said) -> bool:
    return not stage.any(Trait.GIVES_PAIRS) or stage.any(Trait.TAKES_PAIRS)


def _pairs_once(stage: Said) -> bool:
    """Return whether at most one step makes pairs: a second one would look at winners alone."""
    return stage.count(Trait.GIVES_PAIRS) <= 1


def _reward_for_gradient(stage: Said) -> bool:
    return not stage.update.online or "feedback" in stage.steps


def _environment_feedback(stage: Said) -> bool:
    return not stage.trains or stage.any(Trait.GIVES_VERDICT)


def _score_before_filter(stage: Said) -> bool:
    return not stage.any(Trait.NEEDS_SCORE) or stage.any(Trait.GIVES_SCORE)


def _a_filter(stage: Said) -> bool:
    """Without any filter the model is trained on its own mistakes."""
    if stage.update.online or not stage.trains:
        return True
    return stage.any(Trait.CHOOSES) or stage.any(Trait.GIVES_PAIRS)


def _critique_before_revision(stage: Said) -> bool:
    return not stage.any(Trait.NEEDS_CRITIQUE) or stage.any(Trait.GIVES_CRITIQUE)


def _past_needs_rounds(stage: Said) -> bool:
    """With one round there is no past, and the step would do nothing."""
    return stage.rounds > 1 or not stage.any(Trait.NEEDS_ROUNDS)


def _something_to_shorten(stage: Said) -> bool:
    return not stage.any(Trait.SHORTENS) or stage.any(Trait.REVISES)


def _lessons_from_all(stage: Said) -> bool:
    """Critique lessons are made from wrong answers too: a filter before them leaves none."""
    return not stage.any(Trait.NEEDS_UNFILTERED) or not stage.any(Trait.CHOOSES)


def _trains(stage: Said) -> bool:
    """A way of answering is proposed only as the presets have it."""
    return stage.trains


def _replays(stage: Said) -> bool:
    """Return whether what is to be kept is among the rows: an adapter and averaging alone lost 3 to 6 points.

    Rows of earlier rounds are of the objective itself and keep nothing else.
    """
    kept = any(
        Trait.REPLAYS in module.traits and Trait.NEEDS_ROUNDS not in module.traits
        for module in stage.steps.get("refinement", ())
    )
    return kept or not stage.any(Trait.NEEDS_REPLAY)


RULES: tuple[tuple[str, Callable[[Said], bool]], ...] = (
    ("preference optimisation needs pairs", _pairs_for_preferences),
    ("pairs are for preference optimisation", _pairs_only_for_preferences),
    ("pairs are made once", _pairs_once),
    ("a policy gradient needs a reward", _reward_for_gradient),
    ("training needs an environment's feedback, or a judge of known quality", _environment_feedback),
    ("a filter by score needs a score", _score_before_filter),
    ("training on samples needs a filter", _a_filter),
    ("a revision needs a critique", _critique_before_revision),
    ("carrying over needs an earlier round", _past_needs_rounds),
    ("only a revised answer can be shortened", _something_to_shorten),
    ("critique lessons need unfiltered answers", _lessons_from_all),
    ("an answering procedure is not a proposal", _trains),
    ("supervised training forgets without replay", _replays),
)


def _has_lever(stage: Said) -> bool:
    """Return whether something holds the weights or what they knew; averaging, a lever too, is the recipe's own."""
    return stage.any(Trait.STEADIES) or stage.any(Trait.REPLAYS)


def _effects(stage: Said) -> set[str]:
    return {kind.__name__ for steps in stage.steps.values() for module in steps for kind in module.effects.values()}
