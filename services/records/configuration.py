"""What is said of a configuration."""

from services.records import record
from services.records.recipes import BrokenRecipe


@record
class ConfigCheck:
    """Whether metaevo.toml can be started with, and the keys whose component comes with a later part."""

    file: str
    environments: tuple[str, ...]
    later: tuple[str, ...]
    ok: bool
    broken_recipes: tuple[BrokenRecipe, ...] = ()
    """Recipes that are wrong: evolution starts, and goes on without them."""
    warnings: tuple[str, ...] = ()
    """Protected rules that an unchanged candidate passes too seldom, with what would help."""

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
    margins: tuple[str, ...] = ()
    """What is protected by files alone: the smallest loss that their items decide."""
    unused: tuple[str, ...] = ()
    """Settings of the checkpoint's generation_config.json: none of them is used."""
