"""The policy: what every container is, and that any deviation an inspection shows is named."""

import copy
import json
from typing import Any

import pytest

from sandbox import filter as calls
from sandbox.policy import Policy, seccomp
from sandbox.types import Limits

POLICY = Policy("sha256:" + "a" * 64, "/usr/bin/python3", Limits(), "runc", "owner", "session", 200_001)


def inspected() -> dict[str, Any]:
    """What a daemon answers for a container that equals the policy, with its own defaults beside."""
    return {
        "Image": POLICY.image,
        "Config": {**POLICY.config(), "Domainname": "", "Volumes": None},
        "HostConfig": {**POLICY.host_config(), "Binds": None, "Privileged": False, "Devices": [], "CpuShares": 0},
        "Mounts": [],
        "NetworkSettings": {"Networks": {"none": {}}},
    }


def test_an_equal_inspection_has_no_differences() -> None:
    assert POLICY.differences(inspected()) == []


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("HostConfig", "Privileged", True),
        ("HostConfig", "NetworkMode", "bridge"),
        ("HostConfig", "ReadonlyRootfs", False),
        ("HostConfig", "CapDrop", None),
        ("HostConfig", "CapAdd", ["SYS_ADMIN"]),
        ("HostConfig", "SecurityOpt", ["no-new-privileges"]),
        ("HostConfig", "PidsLimit", None),
        ("HostConfig", "Memory", 0),
        ("HostConfig", "MemorySwap", -1),
        ("HostConfig", "NanoCpus", 0),
        ("HostConfig", "PidMode", "host"),
        ("HostConfig", "IpcMode", "shareable"),
        ("HostConfig", "UTSMode", "host"),
        ("HostConfig", "UsernsMode", "host"),
        ("HostConfig", "CgroupnsMode", "host"),
        ("HostConfig", "Binds", ["/:/host"]),
        ("HostConfig", "Devices", [{"PathOnHost": "/dev/kvm"}]),
        ("HostConfig", "DeviceRequests", [{"Driver": "nvidia"}]),
        ("HostConfig", "LogConfig", {"Type": "json-file", "Config": {}}),
        ("HostConfig", "RestartPolicy", {"Name": "always", "MaximumRetryCount": 0}),
        ("HostConfig", "MaskedPaths", []),
        ("HostConfig", "Runtime", "runsc"),
        ("HostConfig", "ASwitchOfTomorrow", True),
        ("Config", "User", ""),
        ("Config", "Cmd", ["sh"]),
        ("Config", "Env", ["HF_TOKEN=x"]),
        ("Config", "Tty", True),
    ],
)
def test_every_deviation_is_named(part: str, key: str, value: object) -> None:
    found = copy.deepcopy(inspected())
    found[part][key] = value
    said = POLICY.differences(found)
    assert len(said) == 1
    assert key in said[0]


def test_another_image_a_network_or_a_mount_is_named() -> None:
    found = inspected()
    found.update(Image="sha256:b", Mounts=[{"Type": "bind", "Destination": "/host"}])
    found["NetworkSettings"] = {"Networks": {"bridge": {}}}
    assert [line.split(":")[0] for line in POLICY.differences(found)] == ["Image", "Networks", "Mounts"]


def test_no_source_and_no_secret_is_in_the_command_line() -> None:
    assert POLICY.command()[:7] == ["/usr/bin/python3", "-s", "-P", "-S", "-B", "-u", "/harness.py"]
    assert all(word.isdigit() for word in POLICY.command()[7:])


@pytest.mark.parametrize(
    "name",
    ["io_uring_setup", "ptrace", "process_vm_readv", "userfaultfd", "keyctl", "bpf", "perf_event_open", "memfd_create",
     "mq_open", "unshare", "setns", "mount", "pidfd_getfd", "socket", "shmget", "clone3"],
)  # fmt: skip
def test_the_seccomp_profile_closes_the_measured_holes(name: str) -> None:
    profile = json.loads(seccomp())
    rules = [rule for rule in profile["syscalls"] if name in rule["names"]]
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert rules
    assert all(rule["action"] != "SCMP_ACT_ALLOW" for rule in rules)


def test_clone_makes_no_namespace_and_limits_are_ones_own() -> None:
    rules = {tuple(rule["names"]): rule for rule in json.loads(seccomp())["syscalls"] if len(rule["names"]) == 1}
    assert rules[("clone",)]["args"][0]["value"] == 0x7E020000
    assert rules[("clone",)]["args"][0]["op"] == "SCMP_CMP_MASKED_EQ"
    assert rules[("prlimit64",)]["args"] == [{"index": 0, "value": 0, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]


@pytest.mark.parametrize(
    "name",
    ["fork", "kill", "fcntl", "flock", "shmget", "semget", "msgget", "memfd_create", "socket", "unshare", "ptrace",
     "utimensat", "clone", "clone3", "execve", "sched_setaffinity", "setpriority", "inotify_init1", "mincore",
     "sysinfo", "statfs"],
)  # fmt: skip
def test_our_own_filter_leaves_a_kernel_what_computes(name: str) -> None:
    allowed = {word.split(":")[0] for word in calls.ALLOWED.split()}
    assert name not in allowed
    assert {"read", "mmap", "openat", "clock_gettime", "exit_group"} <= allowed
    assert set(calls.refused()) == {"x86_64", "aarch64"}
    for program in calls.programs():
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
