"""What the next cycle would do and what it could prove."""

from collections.abc import Mapping

from services.records import record


@record
class PlannedObjective:
    """What the next cycle would set out to raise, and why."""

    ability: str
    direction: str
    cells: tuple[str, ...]
    reason: str


@record
class NamedWeakness:
    """A mistake the champion makes: where, what, and its share of the errors there."""

    where: str
    name: str
    share: float


@record
class PlannedSearch:
    """How much would be tried."""

    trials: int
    finals: int
    skeletons: int
    tried_before: int


@record
class PlannedExam:
    """How many items the gate would look at, at most."""

    screen: int
    confirmation: int


@record
class Plan:
    """What the next cycle would do, and the smallest gain it could prove."""

    cycle: int
    champion: str
    objective: PlannedObjective
    weaknesses: tuple[NamedWeakness, ...]
    smallest_provable_gain: float
    parked: Mapping[str, str]
    search: PlannedSearch
    first_recipes: tuple[str, ...]
    exam: PlannedExam
    forecast_s: float | None
    ungraded: tuple[str, ...]
    """Why rewards did not grade answers of late, and how many."""


@record
class NothingPlanned:
    """The next cycle would do nothing, and why."""

    cycle: int
    champion: str
    objective: None
    why: str
