"""What is said of a configuration."""

from services.records import record


@record
class ConfigCheck:
    """Whether metaevo.toml can be started with, and the keys whose component comes with a later part."""

    file: str
    environments: tuple[str, ...]
    later: tuple[str, ...]
    ok: bool

    @property
    def well(self) -> bool:
        """Return whether the file can be started with."""
        return self.ok


@record
class NewHome:
    """A home that was just made."""

    home: str
    base: str
    environments: tuple[str, ...]
    next: str
