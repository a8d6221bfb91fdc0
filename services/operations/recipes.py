"""Recipes: the presets, the home's, and running one."""

from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Argument, Option
from services.records.recipes import BrokenRecipe, RecipeDetail, RecipeLine, RecipeRun


@operation("read", "recipes", name="list", home=False)
def list_(home: Home | None = None) -> list[RecipeLine | BrokenRecipe]:
    """List the recipes: system, paper, modules, what a reproduction must show."""
    from services.reports.recipes import list_recipes

    return list_recipes(home)


@operation("read", "recipes", home=False)
def show(recipe: Annotated[str, Argument("a recipe's name or file")], home: Home | None = None) -> RecipeDetail:
    """Show one recipe, every knob filled in."""
    from services.reports.recipes import recipe_detail

    return recipe_detail(home, recipe)


@operation("operate", "recipes")
def run(
    home: Home,
    recipe: Annotated[str, Argument("a recipe's name or file")],
    *,
    cells: Annotated[str | None, Option("environment/level,… (default: the next objective's)")] = None,
    fidelity: Annotated[float, Option("share of the recipe's budget, up to 1")] = 1.0,
) -> RecipeRun:
    """Run one recipe once on the champion and score it on dev items; what it makes is never served."""
    from services.actions.recipe_run import run_recipe

    return run_recipe(home, recipe, cells, fidelity)
