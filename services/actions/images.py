"""Build the image that containers start from, load it into the daemon, and pin its id in a lock file."""

import os
import shutil
import sys
from contextlib import closing
from pathlib import Path

from metaevo.errors import BadInput, SandboxUnavailable
from sandbox.errors import SandboxError
from services.home.home import Home
from services.records.sandbox import PinnedImage
from services.reports.sandbox import START, Place, place

BUILD_S = 300.0
"""How long the daemon may take for one request: it pulls and loads whole images."""


def build_image(
    home: Home | None, host: str | None, image: Path | None, base: str, debian: tuple[str, str]
) -> PinnedImage:
    """Build on a registry's image, or on Debian's (release, mirror); return what the lock pins and where it is.

    Raises:
        BadInput: The base is not named by digest, or the address is refused.
        SandboxUnavailable: Something is missing here, all of it by name, or the work itself failed.
    """
    name, mark, digest = base.partition("@sha256:")
    if base and (not name or not mark or len(digest) != 64):
        raise BadInput(
            "--base", "", f"name it by digest: {name.split(':')[0] or 'NAME'}@sha256:… (64 hex digits)", given=base
        )
    where = place(home, host, image)
    missing = [] if base else _missing()
    return _built(where, missing, base, debian)


def _missing() -> list[str]:
    """Return what debootstrap needs and this process has not."""
    there = shutil.which("debootstrap") is not None
    return [*([] if there else ["debootstrap (or --base NAME@sha256:…)"]), *([] if os.geteuid() == 0 else ["root"])]


def _built(where: Place, missing: list[str], base: str, debian: tuple[str, str]) -> PinnedImage:
    from sandbox import images
    from sandbox.daemon import Daemon

    try:
        daemon = Daemon(where.address, request_s=BUILD_S)
    except SandboxError as error:
        missing = [*missing, f"a daemon: {error.plain}; {START}"]
        raise SandboxUnavailable(f"sandbox build: needs {', '.join(missing)}") from error
    with closing(daemon):
        if missing:
            raise SandboxUnavailable(f"sandbox build: needs {', '.join(missing)}")
        where.image.mkdir(parents=True, exist_ok=True)
        _say(f"building on {base or f'Debian {debian[0]}'} for {where.address.url}; this takes minutes")
        try:
            if base:
                lock = images.from_registry(daemon, where.image, base)
            else:
                lock = images.build_from_debian(daemon, where.image, suite=debian[0], mirror=debian[1])
        except SandboxError as error:
            raise SandboxUnavailable(f"sandbox build: {error.plain}; nothing was pinned") from error
    return PinnedImage(
        image=lock.image,
        source=lock.source,
        python=lock.python,
        harness=lock.harness,
        lock=str(where.image / images.LOCK),
        host=where.address.url,
    )


def _say(text: str) -> None:
    sys.stderr.write(f"metaevo: {text}\n")
    sys.stderr.flush()
