"""Trials and recipes: the evidence that search is built from, the newest of a study first."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Text, cast, func, select, text

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import GENERATION, RECIPE, TRIAL, JsonMap
from metaevo.ledger.upsert import upsert

PROMOTED = ("champion", "retired")
"""The statuses of what was promoted and is not quarantined."""


@dataclass(frozen=True, slots=True)
class RecipeRecord:
    """A recipe that was run."""

    hash: str
    name: str
    body: JsonMap
    modules: list[str]


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial as the ledger has it."""

    cycle: int
    number: int
    study: str
    recipe: str
    fidelity: float
    params: JsonMap
    score: float | None
    constraints: JsonMap
    tokens: int
    ending: str
    failure: str
    generation: str | None


def record_trial(ledger: Ledger, recipe: RecipeRecord, made: TrialRecord | None) -> None:
    """Write a recipe and its trial, where it left one; writing them twice changes nothing."""
    with ledger.transaction() as connection:
        upsert(connection, RECIPE, [_row(recipe)])
        if made is not None:
            upsert(connection, TRIAL, [_row(made) | {"skeleton": str(made.params.get("skeleton", ""))}])


def study_rows(ledger: Ledger, study: str, before: int, most: int) -> list[TrialRecord]:
    """Return the newest trials of a study in earlier cycles, oldest first."""
    query = _TRIALS.where(TRIAL.c.study == study, TRIAL.c.cycle < before)
    newest = query.order_by(TRIAL.c.cycle.desc(), TRIAL.c.number.desc()).limit(most)
    with ledger.look() as connection:
        return [TrialRecord(*row) for row in reversed(connection.execute(newest).all())]


def often_failed(ledger: Ledger, study: str, before: int, times: int) -> frozenset[str]:
    """Return the skeletons of which at least so many trials of a study failed in earlier cycles."""
    # written out, not bound: only so does a database see that the index of failed trials is enough
    mine = (TRIAL.c.study == study, TRIAL.c.cycle < before, text("failure != ''"))
    query = select(TRIAL.c.skeleton).where(*mine).group_by(TRIAL.c.skeleton).having(func.count() >= times)
    with ledger.look() as connection:
        return frozenset(connection.execute(query).scalars())


def promoted_other_than(ledger: Ledger, known: Collection[Sequence[str]]) -> bool:
    """Return whether a recipe that was promoted, and is not quarantined, is none of these combinations of modules."""
    combination = cast(RECIPE.c.modules, Text)
    used = select(GENERATION.c.recipe).where(GENERATION.c.status.in_(PROMOTED), GENERATION.c.recipe.is_not(None))
    each = used.distinct().subquery()  # thousands of promotions, but few recipes
    query = select(RECIPE.c.hash).join(each, each.c.recipe == RECIPE.c.hash)
    query = query.where(combination.not_in([json.dumps(list(modules)) for modules in known]))
    with ledger.look() as connection:
        return connection.execute(query.limit(1)).first() is not None


_TRIALS = select(*(TRIAL.c[field.name] for field in fields(TrialRecord)))


def _row(made: RecipeRecord | TrialRecord) -> dict[str, Any]:
    return {field.name: getattr(made, field.name) for field in fields(made)}
