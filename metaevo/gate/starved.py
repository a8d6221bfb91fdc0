"""Could an examination have proven anything? A gate that has no items for what it is asked says no for ever."""

from metaevo.gate.evidence import MoreItems, ProtectionFinding, Verdict

TRIES = 4
"""Cycles a candidate may be examined in: the one that found it, and three more."""


def starved_of(verdict: Verdict) -> str:
    """Return what the verdict lacked that no later cycle could bring; empty where more items, or a gain, would decide.

    A candidate without a gain in sight starves nobody.
    """
    for reason in verdict.reasons:
        more = reason.numbers
        if not isinstance(more, MoreItems):
            continue
        protects = isinstance(more.found, ProtectionFinding)
        what = more.found.what if isinstance(more.found, ProtectionFinding) else ", ".join(verdict.evidence.cells)
        if more.needed is None and not (protects and more.left == 0):
            continue
        needed = "more" if more.needed is None else f"about {more.needed:,} more"
        if more.left is not None and (more.needed or 1) > more.left:
            return f"{what} needs {needed} items, and {more.left:,} are left"
        if protects and more.most and (more.needed or 0) > TRIES * more.most:
            return f"{what} needs {needed} items, and {TRIES} cycles read {TRIES * more.most:,}"
    return ""
