"""What cycles decided."""

from services.records import record


@record
class DecidedCycle:
    """One cycle in a line's worth of data."""

    cycle: int
    outcome: str
    candidate: str | None
    objective: tuple[str, ...] | None
    why: str


@record
class CyclesRun:
    """The cycles of one run, the champion after them, and what all cycles of the home took."""

    home: str
    decided: tuple[DecidedCycle, ...]
    champion: str | None
    cycles: int
    wall_s: float
    tokens: int
