"""What of this machine a process may really use: a container or a service may be given less than it sees."""

import math
import os
from pathlib import Path, PurePosixPath

GROUPS = Path("/sys/fs/cgroup")
"""Control groups, version 2: what limits a container or a systemd service."""


def usable_cores(groups: Path = GROUPS, own: str | None = None) -> int:
    """Return how many cores may be kept busy: those the process is bound to, or its control group's quota, rounded up.

    More threads than that would wait for each other, because the kernel stops a group that has used up its quota.
    ``own`` is the path of the process's group below ``groups`` (default: what the kernel says).
    """
    cores = len(os.sched_getaffinity(0))
    path = PurePosixPath(_own_group() if own is None else own)
    for part in (path, *path.parents):
        file = groups / str(part).lstrip("/") / "cpu.max"
        if file.is_file():
            quota, _, period = file.read_text(encoding="utf-8").strip().partition(" ")
            if quota.isdigit() and period.isdigit():
                cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def _own_group() -> str:
    """Return the path of this process's group of version 2; ``/`` where there is none."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "/"
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
