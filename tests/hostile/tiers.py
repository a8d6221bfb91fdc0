"""The tiers of this machine, as the environment names them (`tests/backends/docker.sh`), and what is missing."""

import os
import shutil
from pathlib import Path

import pytest

from sandbox.address import Address
from sandbox.bubblewrap import Bubblewrap
from sandbox.docker import Docker
from sandbox.images import read_lock
from sandbox.monty import Monty
from sandbox.types import Limits, Sandbox

ALL = ("monty", "bubblewrap", "docker", "docker+runsc")
HARNESSED, CONTAINERS = ALL[1:], ALL[2:]
ALONE = (pytest.mark.full, pytest.mark.containers)
"""The marks of what fills the machine or judges by its clock: `make test SCOPE=full` runs it last, one at a time."""


def url() -> str:
    """Return the test daemon's address."""
    return os.environ["METAEVO_TEST_DOCKER"]


def image() -> Path:
    """Return the folder of the image's lock."""
    return Path(os.environ["METAEVO_TEST_IMAGE"])


def missing(tier: str) -> str:
    """Return why this machine lacks a tier, or nothing."""
    if tier == "monty":
        return ""
    if tier == "bubblewrap":
        return (
            ""
            if shutil.which("bwrap")
            else "bwrap is not installed: source tests/backends/bubblewrap.sh; bwrap_install"
        )
    if "METAEVO_TEST_DOCKER" not in os.environ:
        return "METAEVO_TEST_DOCKER is not set: source tests/backends/docker.sh; docker_up"
    runtime = tier.partition("+")[2] or "runc"
    have = os.environ.get("METAEVO_TEST_RUNTIMES", "runc").split()
    return "" if runtime in have else f"the daemon has no runtime {runtime}"


def need(tier: str) -> None:
    """Skip by name where the machine lacks a tier; fail where every backend is required."""
    why = missing(tier)
    if why and os.environ.get("METAEVO_TEST_REQUIRE") == "1":
        pytest.fail(f"{tier}: {why}")
    if why:
        pytest.skip(f"{tier}: {why}")


def open_tier(
    tier: str, limits: Limits | None = None, *, owner: str = "tests", standby: int = 1, most: int = 4
) -> Sandbox:
    """Return an opened tier."""
    if tier == "monty":
        return Monty(limits=limits)
    if tier == "bubblewrap":
        return Bubblewrap(limits=limits, standby=standby, most=most)
    return Docker(
        read_lock(image()),
        owner=owner,
        address=Address(url()),
        runtime=tier.partition("+")[2] or "runc",
        limits=limits,
        standby=standby,
        most=most,
        request_s=60.0,
    )
