"""What stands around every decision: facts of the home that only a person may change."""

from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Option
from services.records.audit import OpenedBudget, SplitsMoved


@operation("admin", "audit")
def splits(home: Home, *, reason: Annotated[str, Option("why; it is kept and shown")]) -> SplitsMoved:
    """Split texts as new homes do, by the text alone; what was trained before is marked as not sealed."""
    from services.actions.splits import move_splits

    return move_splits(home, reason)


@operation("admin", "audit")
def budget(home: Home, *, reason: Annotated[str, Option("why; it is kept and shown")]) -> OpenedBudget:
    """Open a new error budget: what was promoted so far is no longer part of the claim, and the count begins anew."""
    from services.actions.budget import open_new_budget

    return open_new_budget(home, reason)
