"""Environments as a person sees them: what is there, and what the audit of one found."""

from collections.abc import Mapping

from services.records import record


@record
class EnvironmentName:
    """An environment that can be used by its name."""

    name: str
    from_: str
    used: bool


@record
class UsedEnvironment:
    """An environment of the home's configuration, as it describes itself."""

    name: str
    from_: str
    used: bool
    ability: str
    direction: str
    levels: tuple[int, ...]
    texts: Mapping[str, int | None]
    """How many texts a level has, null where it is endless."""
    train: bool


@record
class AuditFinding:
    """One check of a reward; a severe one that fails refuses the environment."""

    name: str
    ok: bool
    detail: str
    severe: bool


@record
class AuditedCell:
    """A cell's size, what a constant answer scores in it, and the smallest gain it can prove."""

    level: int
    texts: int | None
    splits: Mapping[str, int | None]
    constant: float
    provable: float


@record
class ModelScore:
    """What a generation scores on an environment's probe items."""

    generation: str
    mean: float
    low: float
    high: float
    n: int


@record
class EnvironmentAudit:
    """Whether an environment can be trusted, and what it could prove."""

    environment: str
    ability: str
    usable: bool
    findings: tuple[AuditFinding, ...]
    cells: tuple[AuditedCell, ...]
    isolation: Mapping[str, bool]
    """Which doors were closed to its code."""
    model: ModelScore | None

    @property
    def well(self) -> bool:
        """Return whether the environment is usable."""
        return self.usable
