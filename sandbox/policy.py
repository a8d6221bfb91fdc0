"""What every container of ours is, as the daemon is told and as `docker inspect` must answer.

`differences` compares the whole HostConfig in a closed world: a key that neither the policy nor a list of the
daemon's harmless defaults knows is a difference, so that a newer daemon's new switch is seen. There is no `init`:
the harness is process 1 itself, because process 1 cannot be signalled from inside its pid namespace.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.types import Limits

LABEL = "metaevo.sandbox"
SESSION = "metaevo.sandbox.session"
HOLDER = "metaevo.sandbox.holder"
"""Which process of which machine holds a container (`leases.py`)."""
SPACE_FACTOR = 4
"""A child's address space, as a multiple of the memory limit: the second layer where cgroups fail."""
MASKED = (
    "/dev/mqueue",
    *(f"/proc/{name}" for name in (
        "acpi", "asound", "buddyinfo", "bus", "cmdline", "config.gz", "cpuinfo", "diskstats", "driver", "fs",
        "interrupts", "iomem", "ioports", "irq", "kallsyms", "kcore", "keys", "key-users", "kmsg", "latency_stats",
        "loadavg", "locks", "meminfo", "modules", "partitions", "sched_debug", "schedstat", "scsi", "slabinfo",
        "softirqs", "stat", "swaps", "sys", "sysrq-trigger", "timer_list", "timer_stats", "uptime", "version",
        "vmallocinfo", "vmstat", "zoneinfo",
    )),
    "/sys",
)  # fmt: skip
"""What tells of the machine or reaches into it: shown empty."""
READ_ONLY = ("/proc/sys", "/sys")
ENVIRONMENT = ("PYTHONHASHSEED=0", "LC_ALL=C.UTF-8", "PATH=/usr/bin")


@cache
def seccomp() -> str:
    """Return the seccomp profile as the text that the daemon takes."""
    return json.dumps(json.loads((Path(__file__).parent / "seccomp.json").read_text("utf-8")))


@dataclass(frozen=True, slots=True)
class Policy:
    """One container's settings."""

    image: str
    python: str
    limits: Limits
    runtime: str
    owner: str
    session: str
    uid: int
    holder: str = ""

    def command(self) -> list[str]:
        """Return the harness's command line; the kernel's source is never part of it."""
        limit = self.limits
        memory = limit.memory_mib << 20
        sizes = (limit.reply_bytes, limit.log_bytes, memory * SPACE_FACTOR, memory, limit.open_files)
        # as -I, but heeding ENVIRONMENT: else sets are ordered differently in every container
        return [self.python, "-s", "-P", "-S", "-B", "-u", "/harness.py", *map(str, sizes)]

    def config(self) -> dict[str, Any]:
        """Return the container's own half of the create request."""
        return {
            "Image": self.image,
            "Cmd": self.command(),
            "Entrypoint": [],
            "User": f"{self.uid}:{self.uid}",
            "Env": list(ENVIRONMENT),
            "WorkingDir": "/",
            "Hostname": "sandbox",
            "NetworkDisabled": True,
            "Labels": {LABEL: self.owner, SESSION: self.session, HOLDER: self.holder},
            "StopSignal": "SIGKILL",  # process 1 hears no other: a daemon that restarts need not wait
            "Tty": False,
            "OpenStdin": True,
            "StdinOnce": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
        }

    def host_config(self) -> dict[str, Any]:
        """Return the host's half of the create request."""
        limit = self.limits
        memory = limit.memory_mib << 20
        ulimits = (
            ("core", 0),
            ("fsize", 0),
            ("memlock", 0),
            ("msgqueue", 0),
            ("nofile", limit.open_files),
            ("nproc", limit.pids),
        )
        return {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", f"seccomp={seccomp()}"],
            "PidsLimit": limit.pids,
            "Memory": memory,
            "MemorySwap": memory,
            "MemorySwappiness": 0,
            "NanoCpus": round(limit.cpus * 1_000_000_000),
            "OomScoreAdj": 500,
            "IpcMode": "none",
            "CgroupnsMode": "private",
            "Tmpfs": {
                # Nobody but root may write there, and nobody is root: a kernel has no place for files at all.
                "/tmp": "rw,noexec,nosuid,nodev,size=1m,nr_inodes=16,mode=0555",
            },
            "Ulimits": [{"Name": name, "Hard": value, "Soft": value} for name, value in ulimits],
            "LogConfig": {"Type": "none", "Config": {}},
            "MaskedPaths": list(MASKED),
            "ReadonlyPaths": list(READ_ONLY),
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "Runtime": self.runtime,
            "ShmSize": 1 << 20,
        }

    def differences(self, inspected: dict[str, Any]) -> list[str]:
        """Return what `docker inspect` says otherwise, one line each; empty where it equals the policy."""
        config, host = inspected.get("Config") or {}, inspected.get("HostConfig") or {}
        said = [
            f"Config.{key}: {config.get(key)!r}"
            for key, value in self.config().items()
            if config.get(key) != value and not (not value and not config.get(key))
        ]
        wanted = self.host_config()
        said += [
            f"HostConfig.{key}: {str(host.get(key))[:80]!r}"
            for key, value in wanted.items()
            if not same(host.get(key), value)
        ]
        said += [
            f"HostConfig.{key}: {str(value)[:80]!r}, not in the policy"
            for key, value in host.items()
            if key not in wanted and not empty(value)
        ]
        if inspected.get("Image") != self.image:
            said.append(f"Image: {inspected.get('Image')!r}")
        networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
        said += [f"Networks: {name}" for name in networks if name != "none"]
        said += [
            f"Mounts: {mount.get('Destination')}"
            for mount in inspected.get("Mounts") or []
            if mount.get("Type") != "tmpfs"
        ]
        return said


def same(found: object, wanted: object) -> bool:
    """Return whether two settings are equal where the order of a list says nothing."""
    if isinstance(found, list) and isinstance(wanted, list):
        return sorted(map(repr, found)) == sorted(map(repr, wanted))
    return bool(found == wanted)


def empty(value: object) -> bool:
    """Return whether a setting is off: empty, zero, false, or a table of such."""
    if isinstance(value, dict):
        return all(empty(inner) for inner in value.values())
    if isinstance(value, list):
        return all(empty(inner) for inner in value)
    return not value or value == -1
