"""Tokens as journal rows have them: metered at the engines, written by the journal, and added up here alone."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.steps import StepName
from metaevo.ledger.tables import STEP
from metaevo.types import Tokens

PROMPT, GENERATED, TRAINED = "prompt_tokens", "generated_tokens", "trained_tokens"


def token_counts(spent: Tokens) -> dict[str, int]:
    """Return what a row says of the tokens its step spent: the three meters and their sum, where there are any."""
    meters = {PROMPT: spent.prompt, GENERATED: spent.generated, TRAINED: spent.trained, "tokens": spent.total}
    return {name: count for name, count in meters.items() if count}


def spent_in(ledger: Ledger, cycle: int, trial: int | None = None) -> Tokens:
    """Return what all finished steps of a cycle spent; of one trial without what measured it."""
    with ledger.look() as connection:
        return spent_by(connection, cycle, trial)


def spent_by(connection: Connection, cycle: int, trial: int | None = None) -> Tokens:
    """Return the same inside of a transaction."""
    mine = [STEP.c.cycle == cycle]
    if trial is not None:
        mine += [STEP.c.trial == trial, STEP.c.step != StepName.SCORE]
    rows = connection.execute(select(STEP.c.counts).where(*mine)).scalars()
    return sum((_read(counts) for counts in rows), Tokens())


def _read(counts: Mapping[str, float | str | bool | None]) -> Tokens:
    return Tokens(*(int(counts.get(name) or 0) for name in (PROMPT, GENERATED, TRAINED)))
