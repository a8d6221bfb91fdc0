"""Goals and protections with where they stand."""

from collections.abc import Mapping

from services.records import record


@record
class GoalStanding:
    """One goal: what a person wants raised, where it stands, and the smallest gain one decision can prove."""

    name: str
    raise_: str
    direction: str
    weight: float
    why: str
    now: float | None
    low: float | None
    high: float | None
    n: int
    target: float | None
    by: str | None
    spent: float | None
    forecast: float | None
    state: str
    smallest_provable_gain: float
    cells: Mapping[str, float | None] | None = None
    """The champion's score per cell, where they were asked for."""


@record
class ProtectedRule:
    """One protection: its limit, and where the champion stands."""

    what: str
    rule: str
    limit: float | None
    now: float | None
    low: float | None
    against: str
    state: str


@record
class Goals:
    """All goals and protections of a home."""

    goals: tuple[GoalStanding, ...]
    protected: tuple[ProtectedRule, ...]
    protects_nothing: bool


@record
class EditedGoal:
    """A goal that was written into a file, changed there or removed from it."""

    goal: str
    file: str
