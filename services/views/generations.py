"""Generations as data: rows for lists, everything about one, and the checks a rollback needs."""

from collections import defaultdict
from typing import Any

from sqlmodel import col, select

from metaevo.errors import BadInput
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.tables import CycleRow, GenerationRow, RecipeRow, ScoreRow
from services.home import Home


def generation_rows(home: Home) -> list[dict[str, Any]]:
    """Return every generation that was examined, ordered by id."""
    ledger = home.ledger()
    try:
        abilities = ability_of(home)
        rows = Lineage(ledger).rows()
        return [generation_data(ledger, row, abilities) for row in rows]
    finally:
        ledger.close()


def generation_data(ledger: Ledger, row: GenerationRow, abilities: dict[str, str]) -> dict[str, Any]:
    """Return one generation as every interface shows it."""
    with ledger.read() as session:
        recipe = session.get(RecipeRow, row.recipe) if row.recipe else None
        query = select(ScoreRow).where(ScoreRow.generation == row.id, ScoreRow.split == "anchor")
        scores = session.exec(query).all()
    means: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        means[abilities.get(score.environment, score.environment)].append(score.mean)
    verdict = row.verdict
    return {
        "id": row.id,
        "number": row.number,
        "parent": row.parent,
        "status": row.status,
        "created_at": row.created_at.isoformat(),
        "objective": row.objective,
        "recipe": recipe.name if recipe else None,
        "evaluator": row.epoch,
        "scores": {ability: round(sum(v) / len(v), 4) for ability, v in sorted(means.items())},
        "verdict": {"decision": verdict["decision"], "reasons": verdict["reasons"]} if verdict else None,
        "artifact": (row.parts or {}).get("policy"),
    }


def generation_detail(home: Home, which: str) -> dict[str, Any]:
    """Return everything the ledger knows of one generation, cells with intervals and n."""
    ledger = home.ledger()
    try:
        row = Lineage(ledger).row(which)
        data = generation_data(ledger, row, ability_of(home))
        with ledger.read() as session:
            query = (
                select(ScoreRow)
                .where(ScoreRow.generation == row.id)
                .order_by(col(ScoreRow.split), col(ScoreRow.environment), col(ScoreRow.level))
            )
            scores = session.exec(query).all()
            recipe = session.get(RecipeRow, row.recipe) if row.recipe else None
        cells = [
            {
                "cell": f"{score.environment}/{score.level}",
                "split": score.split,
                "mean": score.mean,
                "low": score.low,
                "high": score.high,
                "n": score.n,
            }
            for score in scores
        ]
        body = recipe.body if recipe else None
        facts = {"cells": cells, "answer": row.answer, "parts": row.parts, "recipe_body": body, "exam": row.verdict}
        return data | facts | {"ancestors": Lineage(ledger).ancestors(row.id)[1:]}
    finally:
        ledger.close()


def ability_of(home: Home) -> dict[str, str]:
    """Return each environment's ability as last described, from the ledger's meta table."""
    import json

    ledger = home.ledger()
    try:
        return dict(json.loads(ledger.meta("abilities") or "{}"))
    finally:
        ledger.close()


def verified(home: Home, row: GenerationRow) -> None:
    """Check that a generation can be gone back to: every file of its parts is there and unchanged.

    Raises:
        StoreError: It is not.
        BadInput: It was never published.
    """
    if not row.parts:
        raise BadInput(f"generation {row.id} was never published")
    store = home.store()
    for digest in row.parts.values():
        store.tree(digest)
        below = store.manifest(digest)["meta"].get("base")
        if below is not None:
            store.tree(below)


def close_open_cycle(ledger: Ledger, why: str) -> None:
    """Close a running cycle that stands on the generation that was left."""
    with ledger.write() as session:
        for row in session.exec(select(CycleRow).where(CycleRow.outcome == "open")):
            row.outcome, row.why, row.closed_at = "void", why, ledger.now()
            session.add(row)
