"""At which level of error the home's next confirmation would stand."""

from metaevo.gate.settings import GateRules
from metaevo.ledger.confirmations import next_level
from metaevo.ledger.cycles import next_number
from objectives.statistics import level
from services.home.home import Home


def next_error(home: Home, rules: GateRules) -> float:
    """Return the level of the confirmation that comes next on endless cells; the first one's where nothing ran yet."""
    if not home.founded:
        return level(rules.alpha, 1)
    ledger = home.ledger()
    try:
        return next_level(ledger, rules.alpha, next_number(ledger))[1]
    finally:
        ledger.close()
