"""When the reference moves, and whom a candidate must not be worse than then: the best of former times.

Without the second question a line could lose two points of an ability with every five promotions, for ever.
"""

from collections.abc import Sequence

from metaevo.ledger.cycles import promotion_count
from metaevo.ledger.scores import scores_of_each
from metaevo.runtime.host import Host
from metaevo.types import Generation
from objectives.goals import Rule
from objectives.statistics import wilson
from objectives.types import Split

MOVE_REFERENCE = 5
"""Promotions after which the reference generation moves to the champion."""
REMEMBERED = 512
"""Ancestors that are looked at."""


def best_of_line(host: Host, rules: Sequence[Rule], champion: str, epoch: int) -> dict[str, Generation]:
    """Return for every rule the ancestor with the highest lower bound on anchor items, where the reference moves next.

    Empty before any other promotion than the fifth, tenth, and so on.
    """
    if (promotion_count(host.ledger) + 1) % MOVE_REFERENCE:
        return {}
    line = host.lineage.ancestors(champion, REMEMBERED)
    scores = scores_of_each(host.ledger, line, Split.ANCHOR, epoch)
    found: dict[str, Generation] = {}
    for rule in rules:
        lows: dict[str, float] = {}
        for id_ in line:
            known = [scores[id_][cell] for cell in rule.cells if cell in scores.get(id_, {})]
            n = sum(score.n for score in known)
            if n:
                lows[id_] = wilson(sum(score.mean * score.n for score in known), n).low
        if lows:
            found[rule.what] = host.lineage.get(max(lows, key=lambda id_: (lows[id_], id_)))
    return found
