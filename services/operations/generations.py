"""What exists and why: generations, show, why, rollback."""

from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Argument, Option
from services.records.generations import GenerationDetail, ListedGeneration, RolledBack
from services.records.why import Why, WhyBase


@operation("read")
def generations(
    home: Home,
    *,
    last: Annotated[int, Option("how many at most, the newest of them")] = 50,
    before: Annotated[str | None, Option("only older ones than this id: the smallest one of the page before")] = None,
    tree: Annotated[bool, Option("draw the lineage")] = False,
) -> list[ListedGeneration]:
    """List the generations, a page at a time: status, parent, objective, scores, verdict."""
    from services.reports.generations import page

    return page(home, last, before, tree=tree)


@operation("read")
def show(
    home: Home, generation: Annotated[str, Argument("id or alias, for example g000007 or champion")]
) -> GenerationDetail:
    """Show one generation: its scores per cell with intervals, its verdict, its parts."""
    from services.reports.generations import generation_detail

    return generation_detail(home, generation)


@operation("read")
def why(
    home: Home,
    generation: Annotated[str | None, Argument("id or alias")] = None,
    *,
    latest: Annotated[bool, Option("the last decided one")] = False,
) -> Why | WhyBase:
    """Explain a decision in at most twelve lines, every number with its interval, limit and n."""
    from services.reports.why import why_generation

    return why_generation(home, None if latest else generation)


@operation("operate")
def rollback(
    home: Home,
    *,
    reason: Annotated[str, Option("why; it is kept and shown")],
    to: Annotated[str | None, Option("the ancestor to go back to (default: the previous champion)")] = None,
) -> RolledBack:
    """Make an ancestor the champion again: weights, memory, prompts and objectives together."""
    from metaevo.ledger.cycles import close_open_cycle
    from metaevo.ledger.lineage import Lineage
    from metaevo.ledger.lineage import rollback as roll_back
    from metaevo.types import CycleEnd
    from services.actions.rollback import verify_parts

    with home.held():
        ledger = home.ledger(read_only=False)
        try:
            target = Lineage(ledger).alias("previous") if to is None else to
            if target is not None:
                row = Lineage(ledger).row(target)
                verify_parts(home, row)
                target = row.id
            left, goal = roll_back(ledger, target, who="operator", why=reason)
            close_open_cycle(ledger, "void", CycleEnd.ROLLED_BACK, f"rolled back to {goal}")
            ledger.event("rolled_back", f"rolled back from {left} to {goal}: {reason}")
        finally:
            ledger.close()
    return RolledBack(left=left, champion=goal, reason=reason)
