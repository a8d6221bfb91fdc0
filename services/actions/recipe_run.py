"""One run of one recipe on the champion: scored on dev items, never served."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from metaevo.errors import BadInput
from metaevo.recipes import schema
from metaevo.registry.registry import Registry
from objectives.types import Cell, Direction, Environment, Objective
from services.home.home import Home
from services.records.recipes import RecipeRun

if TYPE_CHECKING:  # lists need neither
    from metaevo.evolution.loop import TriedRecipe
    from services.home.open import App


def run_recipe(home: Home, name: str, cells: str | None, fidelity: float) -> RecipeRun:
    """Run a recipe once on the champion and score it on dev items.

    Raises:
        BadInput: The recipe or a cell does not exist.
    """
    from metaevo import trial
    from services.home.open import open_home

    if not 0 < fidelity <= 1:
        raise BadInput("--fidelity", "", "want more than 0, at most 1", given=fidelity)
    known = Registry(home.path)
    trial.refuse_lawless(schema.load(name, known), known)
    asked: list[Objective] = []

    def look(environments: Mapping[str, Environment]) -> None:
        asked.extend([_objective(environments, cells)] if cells is not None else [])

    with open_home(home, engines=1, on_ready=look) as app:
        recipe = schema.load(name, app.host.registry)
        tried = _run(app, recipe, asked[0] if asked else None, fidelity)
    made = tried.trial
    return RecipeRun(
        recipe=recipe.name,
        objective=tuple(map(str, tried.objective.cells)),
        generation=made.generation.id if made.generation else None,
        score=made.score,
        constraints=dict(made.constraints),
        tokens=made.tokens,
        counts=dict(made.counts),
        failure=made.failure or None,
    )


def _run(app: "App", recipe: schema.Recipe, asked: Objective | None, fidelity: float) -> "TriedRecipe":
    """Run the recipe once from where the next cycle starts: nothing of it reaches the line."""
    evolution = app.evolution()
    try:
        return evolution.try_recipe(recipe, asked, fidelity)
    except LookupError as error:
        raise BadInput("recipes run", error.args[0], "name what it shall raise with --cells") from error
    finally:
        evolution.sampler.close()


def _objective(environments: Mapping[str, Environment], cells: str) -> Objective:
    try:
        wanted = tuple(sorted(Cell.parse(cell.strip()) for cell in cells.split(",")))
    except ValueError as error:
        raise BadInput("--cells", error, "", given=repr(cells)) from error
    for cell in wanted:
        environment = environments.get(cell.environment)
        if environment is None or cell.level not in environment.levels:
            raise BadInput("--cells", "no such cell", f"environments: {', '.join(environments)}", given=cell)
    first = environments[wanted[0].environment]
    made = Objective(first.ability, Direction(first.direction), wanted, "asked for by --cells", "operator")
    return replace(made, cells=wanted)
