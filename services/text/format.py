"""Numbers as people read them, and the gate's reasons as sentences."""

from collections.abc import Callable, Mapping
from typing import Any

from services.records.modules import GeneratedDetail, WrittenModule


def signed(share: float | None) -> str:
    """Return a difference of shares in points: +9.4."""
    return "not measured" if share is None else f"{100 * share:+.1f}".replace("-", "−")


def points(share: float) -> str:
    """Return a difference of shares in points, without a sign: 3.1 points."""
    return f"{100 * abs(share):.1f} points"


def per_cent(share: float) -> str:
    """Return a share in per cent: 61 %."""
    return f"{100 * share:.0f} %"


def thousands(number: float) -> str:
    """Return a number with thousands separated; very large ones as a power."""
    return f"{number:.1e}" if number >= 1e9 else f"{number:,.0f}"


def counted(number: float, what: str) -> str:
    """Return how many there are of something: 1 item, 1,500 items."""
    return f"{thousands(number)} {what}{'' if number == 1 else 's'}"


def bounded(n: Mapping[str, Any]) -> str:
    """Return a difference with its interval, limit and n."""
    return f"{signed(n['mean'])} ({signed(n['low'])}…{signed(n['high'])}, limit {signed(n['limit'])}, n {n['n']})"


def reason_words(reason: Mapping[str, Any]) -> str:
    """Return one of the gate's reasons as a sentence with its numbers."""
    code, numbers = reason["code"], reason["numbers"]
    made = WORDS.get(code, _facts)(numbers)
    return f"{code}: {made}."


def _needs(n: Mapping[str, Any]) -> str:
    needed, left = n.get("needed"), n.get("left")
    lacking = "" if left is None or left >= (needed or 1) else f", and {_left(left)}: the hold ends"
    if "what" in n:
        more = f"; about {counted(needed, 'item')} would settle it" if needed else ""
        more = f"; it is not settled{lacking}" if lacking and not needed else f"{more}{lacking}"
        return f"{n['what']} {bounded(n)} against {n['against']}{more}"
    more = "no gain in sight" if needed is None else f"about {counted(needed, 'more item')}{lacking}"
    return f"{signed(n['mean'])} after {counted(n['n'], 'item')}, {more}, limit {thousands(n['limit'])}"


def _left(items: int) -> str:
    """Return how few items there are still to ask."""
    return f"{counted(items, 'item')} {'is' if items == 1 else 'are'} left" if items else "no item is left"


def _cell(n: Mapping[str, Any]) -> str:
    if n.get("e_value") is None:  # a verdict of schema 3 or before
        return f"{n['cell']}, p {n['p']:.2g} after Holm correction"
    seen = f"{signed(n['mean'])} on {counted(n['n'], 'item')}, margin {points(n['margin'])}"
    return f"{n['cell']} {seen}, e-value {thousands(n['e_value'])} with e-Holm"


def _facts(n: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in n.items())


WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "screen failed": lambda n: f"{signed(n['mean'])} on {counted(n['n'], 'item')}, {signed(n['bar'])} needed",
    "ability harmed": lambda n: f"{n['what']} {bounded(n)} against {n['against']}",
    "cell harmed": _cell,
    "needs more items": _needs,
    "gain proven": lambda n: f"{signed(n['mean'])} on {counted(n['n'], 'item')}",
    "awaits approval": lambda n: "the champion is pinned" if n.get("pinned") else "a person must approve",
}
"""The gate's closed list of reasons; guards say their own numbers."""


def written_by(made: WrittenModule | GeneratedDetail) -> str:
    """Return who wrote a generated module, from what, what admission found and what became of it."""
    parents = f" from {', '.join(made.parents)}" if made.parents else ""
    when = f" in cycle {made.cycle}" if made.cycle is not None else ""
    numbers = f" ({_facts(made.numbers)})" if made.numbers else ""
    who = f" {made.model} (prompt {made.prompt})" if made.model else ""
    since = f", now {made.state}: {made.reason}" if made.reason else f", {made.state}"
    return f"{made.module} by {made.proposer}{who}{parents}{when}, admitted on {made.tier}{numbers}{since}"
