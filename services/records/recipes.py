"""Recipes as a person sees them, and what one run of one gave."""

from collections.abc import Mapping

from services.records import Scalar, record


@record
class RecipeLine:
    """A recipe in the list: the system it follows and what a reproduction must show."""

    name: str
    system: str
    arxiv: str
    modules: tuple[str, ...]
    observable: str
    measured: float | None


@record
class BrokenRecipe:
    """A recipe that is wrong, and why."""

    name: str
    system: str
    broken: str


@record
class RecipeStep:
    """One module of a recipe with every knob."""

    use: str
    knobs: Mapping[str, Scalar]


@record
class RecipeStage:
    """One pass through the slots, so many times."""

    rounds: int
    start: str
    combine: str
    tasks: tuple[RecipeStep, ...]
    solutions: RecipeStep | None
    feedback: tuple[RecipeStep, ...]
    refinement: tuple[RecipeStep, ...]
    stability: tuple[RecipeStep, ...]
    update: RecipeStep


@record
class RecipeDetail:
    """A recipe whole."""

    name: str
    doc: str
    system: str
    arxiv: str
    observable: str
    faithful: bool
    stage: tuple[RecipeStage, ...]
    consolidation: tuple[RecipeStep, ...]
    hash: str


@record
class RecipeRun:
    """One run of a recipe on the champion, scored on dev items; what it made is never served."""

    recipe: str
    objective: tuple[str, ...]
    generation: str | None
    score: float | None
    constraints: Mapping[str, float]
    tokens: int
    counts: Mapping[str, int]
    failure: str | None
