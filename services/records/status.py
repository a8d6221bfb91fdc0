"""The status of a home: alive, doing what, why, what next, what it needs."""

from typing import Literal

from services.records import record
from services.records.generations import PursuedObjective


@record
class LastDecision:
    """How the last cycle ended."""

    cycle: int
    outcome: str
    candidate: str | None
    why: str
    at: str | None


@record
class AttentionItem:
    """One thing that needs a person: how badly, since when, and the command that helps."""

    code: str
    severity: Literal["page", "ticket"]
    since: str | None
    sentence: str
    command: str


@record
class Budgets:
    """What was used of each budget, and the budget, null where there is none; no keys before the first run."""

    cycles: tuple[int, int | None] | None = None
    wall_s: tuple[float, float | None] | None = None
    tokens: tuple[int, int | None] | None = None


@record
class Cost:
    """What all cycles took; no keys before the first run."""

    tokens: int | None = None
    wall_s: float | None = None


@record
class HeldCandidate:
    """A candidate that is held: about how many items it still needs, and how many nights of them that is.

    Only what one night decides is examined again; where nights is null or more, the next cycle ends the hold.
    """

    generation: str
    since_cycle: int
    needed: int | None
    nights: int | None
    waits_for: Literal["items", "a person"]


@record
class Status:
    """The status of a home."""

    state: str
    reason: str
    phase: str | None
    mode: str
    autonomy: str | None
    cycle: int
    champion: str | None
    objective: PursuedObjective | None
    last_decision: LastDecision | None
    goals: tuple[str, ...]
    attention: tuple[AttentionItem, ...]
    budgets: Budgets
    cost: Cost
    next_fire_at: str | None
    heartbeat_age_s: float | None
    held: tuple[HeldCandidate, ...] = ()


@record
class Event:
    """One event: a code, a sentence, when, and in which cycle."""

    code: str
    sentence: str
    at: str
    cycle: int | None
