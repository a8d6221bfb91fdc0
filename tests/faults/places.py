"""Places that are hard to write to, made for a test and gone with it. They need root; elsewhere the test is skipped."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mounted(*arguments: str) -> None:
    found = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"mounting is not permitted here: {found.stderr.strip()}")


@contextmanager
def small_disk(place: Path, mib: int) -> Iterator[Path]:
    """Yield a file system of its own with so many MiB."""
    if os.geteuid() != 0:
        pytest.skip("a small disk needs root to mount a tmpfs")
    place.mkdir()
    _mounted("-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def read_only(place: Path) -> Iterator[Path]:
    """Make a folder read-only, also for root, while the block runs."""
    if os.geteuid() != 0:
        pytest.skip("a read-only folder that root cannot write needs root to mount it")
    _mounted("--bind", str(place), str(place))
    try:
        _mounted("-o", "remount,ro,bind", str(place))
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
