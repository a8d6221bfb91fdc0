"""A trial as ledger rows: the evidence that later searches are built from."""

from typing import Any

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import RecipeRow, TrialRow
from metaevo.recipes.schema import Recipe
from metaevo.types import Trial, TrialEnd


def record(ledger: Ledger, study: str, cycle: int, made: Trial, recipe: Recipe, params: dict[str, Any]) -> None:
    """Write the recipe and the trial; writing them twice changes nothing. Infrastructure leaves no evidence."""
    with ledger.write() as session:
        body = recipe.model_dump(mode="json")
        session.merge(RecipeRow(hash=recipe.hash, name=recipe.name, body=body, modules=list(recipe.modules)))
        if made.ending is TrialEnd.INFRASTRUCTURE:
            return
        session.merge(
            TrialRow(
                cycle=cycle,
                number=made.number,
                study=study,
                recipe=recipe.hash,
                fidelity=made.fidelity,
                params=params,
                score=made.score,
                constraints=dict(made.constraints),
                tokens=made.tokens,
                failure=made.failure,
                ending=made.ending.value,
                generation=made.generation.id if made.generation else None,
            )
        )
