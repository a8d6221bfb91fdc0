"""What the sandbox's tiers prove, and the image they start from."""

from services.records import record


@record
class LimitCheck:
    """One limit or need of a tier, and what was found."""

    name: str
    ok: bool
    detail: str


@record
class Tier:
    """A tier: whether it may run code here, and why."""

    backend: str
    usable: bool
    checks: tuple[LimitCheck, ...]

    @property
    def well(self) -> bool:
        """Return whether the tier is usable."""
        return self.usable


@record
class PinnedImage:
    """The containers' image as the lock file names it, and where it is."""

    image: str
    source: str
    python: str
    harness: str
    lock: str
    host: str
