"""Move an old home to the newest splits of texts: every exam changes, and what was trained before is not sealed."""

from metaevo.errors import Refused
from metaevo.evolution.bootstrap import UNSEALED, scheme_of
from metaevo.ledger.cycles import close_open_cycle
from metaevo.ledger.queries import newest_examined
from metaevo.types import CycleEnd
from objectives.splits import NEWEST
from services.home.home import Home
from services.records.audit import SplitsMoved


def move_splits(home: Home, reason: str) -> SplitsMoved:
    """Move the home to the newest scheme; an open cycle ends void, the next one opens a new evaluator epoch.

    Raises:
        BadInput: Nothing has run here.
        Refused: It has the newest scheme already.
    """
    with home.held():
        ledger = home.ledger(read_only=False)
        try:
            before = scheme_of(ledger)
            if before is NEWEST:
                raise Refused("this home splits its texts by the newest scheme already")
            newest = newest_examined(ledger)
            close_open_cycle(ledger, "void", CycleEnd.EVALUATOR_CHANGED, f"the splits of texts were moved: {reason}")
            ledger.set_meta(UNSEALED, newest or "")
            ledger.set_meta("splits", str(int(NEWEST)))
            said = f"texts are split by the text alone from now on: {reason}"
            ledger.event("splits_moved", said, None, before=int(before), unsealed=newest)
            return SplitsMoved(scheme=int(NEWEST), before=int(before), unsealed=newest, reason=reason)
        finally:
            ledger.close()
