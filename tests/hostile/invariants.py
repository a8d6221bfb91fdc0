"""The eight host invariants of THREATS.md 1.3, (a) to (h), read from the host's own side after every program."""

import os
import threading
import time
from pathlib import Path

from sandbox.docker import Docker
from sandbox.policy import LABEL
from sandbox.types import Kernel, Limits, Sandbox, Shape
from tests.hostile.program import digest

MEMORY = ("/sys/fs/cgroup/memory/docker/{}/memory.usage_in_bytes", "/sys/fs/cgroup/docker/{}/memory.current")
"""Where cgroups of the first and the second version tell what a container uses, with the driver `cgroupfs`."""
BENIGN = Kernel("def act(a, b):\n    return a * b\n", "act", Shape.NUMBER)
SPARE_FDS = 12
"""Connections that the client library keeps open come and go."""


class Host:
    """A tier and what the host looked like before."""

    def __init__(self, sandbox: Sandbox, canaries: Path) -> None:
        self.sandbox, self.canaries = sandbox, canaries
        self.rest()
        self.files, self.threads, self.fds = digest(canaries), threading.active_count(), self.open_fds()
        self.disk = self.on_disk()

    def rest(self) -> None:
        """Wait until the pool has replaced what was thrown away, and a benign call has come through."""
        self.sandbox.run(BENIGN, [[1, 1]], wall_s=20)
        if isinstance(self.sandbox, Docker):
            assert self.sandbox.pool.settle(60)

    @staticmethod
    def open_fds() -> int:
        """Return how many descriptors this process has."""
        return len(os.listdir("/proc/self/fd"))

    def on_disk(self) -> int:
        """Return the bytes that the daemon holds for our containers' own layers."""
        if not isinstance(self.sandbox, Docker):
            return 0
        said = self.sandbox.daemon.client.containers(all=True, size=True, filters={"label": LABEL})
        return sum(entry.get("SizeRw", 0) for entry in said)

    def broken(self, seconds: float, wall_s: float) -> list[str]:
        """Return the invariants that do not hold."""
        said = []
        if digest(self.canaries) != self.files:
            said.append("(a, h) a canary file or the list of promotions changed")
        if seconds > wall_s + 2:
            said.append(f"(e) took {seconds:.1f} s")
        answer = self.sandbox.run(BENIGN, [[6, 7]], wall_s=20)
        if answer.values != (42,):
            said.append(f"(f) the next call gave {answer}")
        if isinstance(self.sandbox, Docker):
            if not self.sandbox.pool.settle(60):
                said.append("(b) the pool does not settle")
            said += self.left(self.sandbox)
            if self.on_disk() - self.disk > 16 << 20:
                said.append("(c) disk")
        if threading.active_count() != self.threads:
            said.append(f"(d) {threading.active_count()} threads, before {self.threads}")
        if abs(self.open_fds() - self.fds) > SPARE_FDS:
            said.append(f"(d) {self.open_fds()} descriptors, before {self.fds}")
        return said

    @staticmethod
    def left(docker: Docker) -> list[str]:
        """Return containers that the pool does not know, processes beside process 1, volumes, networks, memory."""
        client, said = docker.daemon.client, []
        found = [entry["Id"] for entry in docker.daemon.owned(docker.owner)]
        if len(found) != docker.pool.count():
            said.append(f"(b) {len(found)} containers, the pool knows {docker.pool.count()}")
        if docker.runtime == "runc":
            for container in found:
                until = time.monotonic() + 5
                while len(client.top(container)["Processes"] or ()) > 1 and time.monotonic() < until:
                    time.sleep(0.1)
                if len(client.top(container)["Processes"] or ()) > 1:
                    said.append("(b) a process lived on")
        if client.volumes(filters={"label": LABEL})["Volumes"] or client.networks(filters={"label": LABEL}):
            said.append("(b) a volume or a network")
        places = [Path(place.format(container)) for container in found for place in MEMORY]
        used = [int(place.read_text()) for place in places if place.is_file()]
        if found and not used:
            said.append("(c) no cgroup tells what memory is used")
        if max(used, default=0) > 2 * Limits().memory_mib << 20:
            said.append("(c) memory")
        return said
