"""What looks at the machine found."""

from typing import Literal

from services.records import record


@record
class MachineCheck:
    """One thing looked at: its state, what was found, and what to do."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    fix: str


@record
class Doctor:
    """Every check of the machine and the home."""

    healthy: bool
    checks: tuple[MachineCheck, ...]

    @property
    def well(self) -> bool:
        """Return whether no check failed."""
        return self.healthy


@record
class HomeCheck:
    """One invariant of the home, and where it does not hold."""

    name: str
    ok: bool
    problems: tuple[str, ...]


@record
class Fsck:
    """Every invariant of the home."""

    clean: bool
    checks: tuple[HomeCheck, ...]

    @property
    def well(self) -> bool:
        """Return whether every invariant holds."""
        return self.clean
