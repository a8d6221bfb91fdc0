"""A new error budget: only a person opens one, and every rate says how many there were."""

from metaevo.ledger.confirmations import confirmation_count, open_budget
from metaevo.ledger.cycles import next_number
from metaevo.ledger.epochs import newest_epoch
from services.home.home import Home
from services.records.audit import OpenedBudget


def open_new_budget(home: Home, reason: str) -> OpenedBudget:
    """Open the next budget of a home.

    Raises:
        Busy: Another process holds the home.
        BadInput: Nothing has run in it yet.
    """
    with home.held():
        ledger = home.ledger(read_only=False)
        try:
            spent, newest = confirmation_count(ledger, next_number(ledger)), newest_epoch(ledger)
            number = open_budget(ledger, "a person", reason)
            return OpenedBudget(budget=number, epochs=newest.number if newest else 1, spent=spent, reason=reason)
        finally:
            ledger.close()
