"""What came of a module: the generations of every trial that used it."""

from sqlalchemy import Text, and_, cast, select

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import GENERATION, RECIPE, STEP, TRIAL


def generations_using(ledger: Ledger, module: str) -> list[str]:
    """Return the ids of what came of recipes that used a module (``slot.name``), oldest first.

    That is every generation of a trial whose recipe names it, or in whose journal one of its steps was finished.
    """
    named = cast(RECIPE.c.modules, Text).contains(f'"{module}"', autoescape=True)
    recipes = select(RECIPE.c.hash).where(named).cte("recipes")
    ran = and_(STEP.c.module == module, STEP.c.digest.is_not(None))
    trials = (
        select(STEP.c.cycle, STEP.c.trial)
        .where(ran)
        .union(select(TRIAL.c.cycle, TRIAL.c.number).join(recipes, recipes.c.hash == TRIAL.c.recipe))
        .cte("trials")
    )
    by_recipe = select(GENERATION.c.id, GENERATION.c.number).join(recipes, recipes.c.hash == GENERATION.c.recipe)
    same = and_(trials.c.cycle == GENERATION.c.cycle, trials.c.trial == GENERATION.c.trial)
    by_trial = select(GENERATION.c.id, GENERATION.c.number).join(trials, same)
    found = by_recipe.union(by_trial).subquery()
    with ledger.look() as connection:
        return list(connection.execute(select(found.c.id).order_by(found.c.number)).scalars())
