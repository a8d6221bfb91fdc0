"""A trial as ledger rows: the evidence that later searches are built from."""

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.trials import RecipeRecord, TrialRecord, record_trial
from metaevo.recipes.schema import Recipe
from metaevo.search.space import Params
from metaevo.types import Trial, TrialEnd


def record(ledger: Ledger, study: str, cycle: int, made: Trial, recipe: Recipe, params: Params) -> None:
    """Write the recipe and the trial; writing them twice changes nothing. Infrastructure leaves no evidence."""
    body = recipe.model_dump(mode="json")
    known = RecipeRecord(recipe.hash, recipe.name, body, list(recipe.modules))
    if made.ending is TrialEnd.INFRASTRUCTURE:
        record_trial(ledger, known, None)
        return
    evidence = TrialRecord(
        cycle=cycle,
        number=made.number,
        study=study,
        recipe=recipe.hash,
        fidelity=made.fidelity,
        params=params,
        score=made.score,
        constraints=dict(made.constraints),
        tokens=made.tokens,
        ending=made.ending.value,
        failure=made.failure,
        generation=made.generation.id if made.generation else None,
    )
    record_trial(ledger, known, evidence)
