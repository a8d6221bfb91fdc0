"""Recipes as data, and one run of one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from metaevo.errors import BadInput, MetaevoError
from metaevo.modules.registry import Registry
from metaevo.recipes import schema
from objectives.types import Cell, Direction, Environment, Objective
from services.home import Home
from services.records.recipes import BrokenRecipe, RecipeDetail, RecipeLine, RecipeRun, RecipeStage, RecipeStep

if TYPE_CHECKING:  # lists need neither
    from metaevo.evolve import TriedRecipe
    from services.app import App


def listed(home: Home | None) -> list[RecipeLine | BrokenRecipe]:
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


def detail(home: Home | None, name: str) -> RecipeDetail:
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


def ran(home: Home, name: str, cells: str | None, fidelity: float) -> RecipeRun:
    """Run a recipe once on the champion and score it on dev items.

    Raises:
        BadInput: The recipe or a cell does not exist.
    """
    from metaevo import trial
    from services.app import opened

    if not 0 < fidelity <= 1:
        raise BadInput("--fidelity", "", "want more than 0, at most 1", given=fidelity)
    known = Registry(home.path)
    trial.refuse_lawless(schema.load(name, known), known)
    asked: list[Objective] = []

    def look(environments: Mapping[str, Environment]) -> None:
        asked.extend([_objective(environments, cells)] if cells is not None else [])

    with opened(home, engines=1, on_ready=look) as app:
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
