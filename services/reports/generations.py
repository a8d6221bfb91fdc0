"""Generations as data: a page of a list, and everything about one."""

from metaevo.errors import BadInput
from metaevo.ledger import queries
from metaevo.ledger.generation_queries import (
    GenerationFacts,
    GenerationOrigin,
    cell_scores,
    generation,
    generation_page,
    origin,
)
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from services.home.home import Home
from services.records.generations import AnswerStep, CellMean, GenerationDetail, ListedGeneration, ShortVerdict
from services.reports.verdicts import full, kept_reason, read_verdict, shown_objective

MOST = 100_000
"""Generations on one page."""


def page(home: Home, last: int, before: str | None, *, tree: bool = False) -> list[ListedGeneration]:
    """Return the newest generations that were examined, ordered by id; those below ``before`` where it is given.

    Raises:
        BadInput: A page of less than one or more than `MOST` was asked for, or ``before`` is not a generation.
    """
    if not 1 <= last <= MOST:
        raise BadInput("--last", "", f"want 1 to {MOST}", given=last)
    ledger = home.ledger()
    try:
        return [_listed(found, tree) for found in generation_page(ledger, last, before)]
    finally:
        ledger.close()


def _listed(found: GenerationFacts, tree: bool) -> ListedGeneration:
    return ListedGeneration(
        id=found.id,
        number=found.number,
        parent=found.parent,
        status=found.status,
        created_at=found.created_at.isoformat(),
        objective=shown_objective(found.objective),
        recipe=found.recipe,
        evaluator=found.epoch,
        scores=found.scores,
        verdict=_verdict(found),
        artifact=(found.parts or {}).get("policy"),
        tree=tree,
    )


def _verdict(found: GenerationFacts) -> ShortVerdict | None:
    """Return the verdict in short, None also where it cannot be read: `metaevo fsck` names those."""
    if found.decision is None:
        return None
    try:
        return ShortVerdict(decision=found.decision, reasons=tuple(map(kept_reason, found.reasons)))
    except (KeyError, TypeError, AttributeError):  # a reason that is not a code with numbers
        return None


def generation_detail(home: Home, which: str) -> GenerationDetail:
    """Return everything the ledger knows of one generation, cells with intervals and n."""
    ledger = home.ledger()
    try:
        return _detail(ledger, generation(ledger, which), origin(ledger, which))
    finally:
        ledger.close()


def _detail(ledger: Ledger, found: GenerationFacts, made: GenerationOrigin) -> GenerationDetail:
    recipe = queries.recipe(ledger, made.recipe)
    return GenerationDetail(
        id=found.id,
        number=found.number,
        parent=found.parent,
        status=found.status,
        created_at=found.created_at.isoformat(),
        objective=shown_objective(found.objective),
        recipe=found.recipe,
        evaluator=found.epoch,
        scores=found.scores,
        verdict=_verdict(found),
        artifact=(found.parts or {}).get("policy"),
        cells=tuple(
            CellMean(cell=str(s.cell), split=s.split, mean=s.mean, low=s.low, high=s.high, n=s.n)
            for s in cell_scores(ledger, found.id)
        ),
        answer=tuple(AnswerStep(slot=s["slot"], use=s["use"], knobs=s["knobs"]) for s in made.answer),
        parts=found.parts,
        recipe_body=recipe.body if recipe else None,
        exam=full(read_verdict(found.id, made.verdict)) if made.verdict is not None else None,
        ancestors=tuple(Lineage(ledger).ancestors(found.id)[1:]),
    )
