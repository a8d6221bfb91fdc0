"""Containers on a daemon that many share: each carries a lease, and only what is provably dead is swept.

A container is dead where it runs no more (process 1 ends when its host hangs up), where its holder was a process of
this machine that has ended, or where its lease is over by the daemon's own clock: no pool uses a container for so
long. Everything else may belong to another command on this home, or to another machine on the same daemon.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.cell import DockerCell
from sandbox.container import Container
from sandbox.daemon import Daemon
from sandbox.images import Lock
from sandbox.policy import HOLDER, SESSION, Policy
from sandbox.types import Limits

RETIRE_S, LEASE_S = 3000.0, 3600.0
"""A pool gives up a container after the first; anybody may sweep it after the second."""
UIDS, MAPPED = range(200_000, 2_000_000_000), range(10_000, 60_000)
"""A container's user id: one that nobody on the machine has, or one inside the 65,536 of a daemon's own mapping."""
STARTED = 19
"""The field of /proc/PID/stat after the name that says when the process started."""


@cache
def machine() -> str:
    """Return what names this machine since its start, and this pid namespace in it."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"


def started(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; empty where there is none."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if said[0] == "Z" else said[STARTED]


def holder() -> str:
    """Return this process's name on its containers."""
    return f"{machine()}:{os.getpid()}:{started(os.getpid())}"


def ended(held_by: str) -> bool:
    """Return whether a holder was a process of this machine that lives no more."""
    there, _, born = held_by.rpartition(":")
    there, _, pid = there.rpartition(":")
    return there == machine() and pid.isdigit() and started(int(pid)) != born


def dead(entry: Mapping[str, Any], now_s: float) -> bool:
    """Return whether a listed container is provably nobody's, at a moment of the daemon's clock."""
    gone = entry.get("State") in ("exited", "dead")
    return gone or now_s - entry["Created"] > LEASE_S or ended(entry["Labels"].get(HOLDER, ""))


def clock_s(info: Mapping[str, Any]) -> float:
    """Return the daemon's own clock, in seconds since 1970."""
    return datetime.fromisoformat(str(info["SystemTime"])[:19] + "+00:00").timestamp()


def mapped(info: Mapping[str, Any]) -> bool:
    """Return whether a daemon maps user ids: remapped, or run without root."""
    return any(word in str(option) for option in info.get("SecurityOptions") or () for word in ("userns", "rootless"))


@dataclass(slots=True)
class Leased:
    """A `pool.Ground`: the containers of one owner on one daemon."""

    daemon: Daemon
    lock: Lock
    runtime: str
    owner: str
    limits: Limits
    uids: range | None = None

    def start(self, session: str) -> Container:
        """Return a blank container with a user id of its own: the process limit counts per user id."""
        if self.uids is None:
            self.uids = MAPPED if mapped(self.daemon.info()) else UIDS
        policy = Policy(
            image=self.lock.image,
            python=self.lock.python,
            limits=self.limits,
            runtime=self.runtime,
            owner=self.owner,
            session=session,
            uid=secrets.choice(self.uids),
            holder=holder(),
        )
        return Container(DockerCell(self.daemon, policy), self.limits)

    def sweep(self, session: str, left: set[str]) -> int:
        """Remove this owner's dead containers, and those that this session left; return how many.

        Raises:
            Unavailable: The daemon does not answer.
        """
        now_s = clock_s(self.daemon.info())
        found = self.daemon.owned(self.owner)
        gone = [c["Id"] for c in found if c["Id"] in left or (c["Labels"].get(SESSION) != session and dead(c, now_s))]
        for container in gone:
            self.daemon.remove(container)
        return len(gone)

    def clear(self, session: str) -> None:
        """Remove everything of this session.

        Raises:
            Unavailable: The daemon does not answer.
        """
        for entry in self.daemon.owned(self.owner):
            if entry["Labels"].get(SESSION) == session:
                self.daemon.remove(entry["Id"])
