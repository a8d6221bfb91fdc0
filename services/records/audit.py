"""What became of a fact of the home that a person changed."""

from services.records import record


@record
class SplitsMoved:
    """The scheme by which the home splits its texts now, and the newest generation that is not sealed."""

    scheme: int
    before: int
    unsealed: str | None
    """It and what came before it may have been trained on what is an exam item now."""
    reason: str


@record
class OpenedBudget:
    """An error budget: its number, how many epochs the home has had, and what the one before had spent."""

    budget: int
    epochs: int
    spent: int
    """Confirmations of the budget before."""
    reason: str
