"""Recipes as data: the list, and one recipe whole."""

from collections.abc import Iterable

from metaevo.errors import MetaevoError
from metaevo.recipes import schema
from metaevo.registry.registry import Registry
from services.home.home import Home
from services.records.recipes import BrokenRecipe, RecipeDetail, RecipeLine, RecipeStage, RecipeStep


def list_recipes(home: Home | None) -> list[RecipeLine | BrokenRecipe]:
    """Return a row for every recipe; one that is wrong says why."""
    registry = Registry(home.path if home else None)
    rows: list[RecipeLine | BrokenRecipe] = []
    for name in schema.names(registry.home):
        try:
            recipe = schema.load(name, registry)
        except MetaevoError as error:
            rows.append(BrokenRecipe(name=name, system="", broken=str(error)))
            continue
        rows.append(
            RecipeLine(
                name=recipe.name,
                system=recipe.system,
                arxiv=recipe.arxiv,
                modules=recipe.modules,
                observable=recipe.observable,
                measured=None,
            )
        )
    return rows


def broken_recipes(home: Home) -> tuple[BrokenRecipe, ...]:
    """Return the recipes that are wrong: a search goes on without them."""
    return tuple(row for row in list_recipes(home) if isinstance(row, BrokenRecipe))


def recipe_detail(home: Home | None, name: str) -> RecipeDetail:
    """Return one recipe, complete."""
    recipe = schema.load(name, Registry(home.path if home else None))
    return RecipeDetail(
        name=recipe.name,
        doc=recipe.doc,
        system=recipe.system,
        arxiv=recipe.arxiv,
        observable=recipe.observable,
        faithful=recipe.faithful,
        stage=tuple(_stage(stage) for stage in recipe.stage),
        consolidation=_steps(recipe.consolidation),
        hash=recipe.hash,
    )


def _stage(stage: schema.Stage) -> RecipeStage:
    return RecipeStage(
        rounds=stage.rounds,
        start=stage.start,
        combine=stage.combine,
        tasks=_steps(stage.tasks),
        solutions=_step(stage.solutions) if stage.solutions else None,
        feedback=_steps(stage.feedback),
        refinement=_steps(stage.refinement),
        stability=_steps(stage.stability),
        update=_step(stage.update),
    )


def _step(step: schema.Step) -> RecipeStep:
    return RecipeStep(use=step.use, knobs=step.knobs)


def _steps(steps: Iterable[schema.Step]) -> tuple[RecipeStep, ...]:
    return tuple(_step(step) for step in steps)
