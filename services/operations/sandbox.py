"""The sandbox: what each tier proves on this machine, and the image that containers start from."""

from pathlib import Path
from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Option
from services.records.sandbox import PinnedImage, Tier

Host = Annotated[str | None, Option("the daemon: unix://, ssh:// or tcp:// with TLS (default: as the home says)")]
Folder = Annotated[Path | None, Option("folder of the image's lock file (default: as the home says)")]


@operation("read", "sandbox", home=False)
def check(home: Home | None = None, *, host: Host = None, image: Folder = None) -> list[Tier]:
    """Prove every limit of every tier; what a tier lacks is named with the way to get it."""
    from services.reports.sandbox import check_tiers

    return check_tiers(home, host, image)


@operation("admin", "sandbox", home=False)
def build(
    home: Home | None = None,
    *,
    base: Annotated[str, Option("a registry's image with a Python, NAME@sha256:… (default: debootstrap)")] = "",
    suite: Annotated[str, Option("Debian's release, for debootstrap")] = "bookworm",
    mirror: Annotated[str, Option("where debootstrap gets packages (default: Debian's own)")] = "",
    host: Host = None,
    image: Folder = None,
) -> PinnedImage:
    """Build the containers' image, load it into the daemon, and pin its id in a lock file."""
    from services.actions.images import build_image

    return build_image(home, host, image, base, (suite, mirror))
