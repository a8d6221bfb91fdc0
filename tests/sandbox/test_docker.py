"""The container tiers on a real daemon: policy, pool, limits by verdict, orphans. Needs tests/backends/docker.sh."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.address import Address
from sandbox.cell import DockerCell
from sandbox.daemon import Daemon
from sandbox.docker import Docker
from sandbox.errors import Refused, Unavailable
from sandbox.images import Lock, read_lock
from sandbox.policy import LABEL, SESSION
from sandbox.self_check import self_check
from sandbox.types import Kernel, Shape, Verdict
from tests.hostile import tiers

pytestmark = [*tiers.ALONE, pytest.mark.timeout(300)]
PROBES = ("network", "read-only", "no place for files", "nothing to see", "rights", "the filter", "system calls")
"""What amicontained and deepce look for from inside, by the names of our own checks."""
ADD = Kernel("def add(a, b):\n    return a + b\n", "add", Shape.NUMBER)

STOPS = Kernel("def f(n):\n    for _ in range(n):\n        print('x' * 100000)\n    return n\n", "f")


@pytest.fixture(scope="module", params=tiers.CONTAINERS)
def docker(request: pytest.FixtureRequest) -> Iterator[Docker]:
    tiers.need(request.param)
    sandbox = tiers.open_tier(request.param, owner=f"unit-{request.param}")
    assert isinstance(sandbox, Docker)
    yield sandbox
    sandbox.close()


def test_rows_are_answered_in_order_and_repeat(docker: Docker) -> None:
    assert docker.run(ADD, [[1, 2], [3, 4], [0.5, 0]], wall_s=20).values == (3, 7, 0.5)
    draws = Kernel("import random\ndef draw():\n    return random.random()\n", "draw", Shape.NUMBER)
    assert docker.run(draws, [[], []], wall_s=20).values == docker.run(draws, [[], []], wall_s=20).values


def test_a_set_has_the_same_order_in_every_container(docker: Docker) -> None:
    kernels = [Kernel(f"def order():\n    # {i}\n    return hash('a')\n", "order", Shape.NUMBER) for i in range(3)]
    found = [docker.run(kernel, [[]]).values for kernel in kernels]
    assert found[0] is not None
    assert found == found[:1] * 3


def test_an_import_beyond_the_list_is_refused_inside(docker: Docker) -> None:
    result = docker.run(Kernel("def f():\n    import os\n    return 1\n", "f"), [[]], wall_s=20)
    assert result.verdict is Verdict.POLICY_VIOLATION
    assert "line 2: imports os" in result.note


def test_inspect_of_every_container_equals_the_policy(docker: Docker) -> None:
    docker.run(ADD, [[1, 2]], wall_s=20)
    docker.pool.settle(60)
    containers = [*docker.pool._blank, *docker.pool._idle]
    assert containers
    for container in containers:
        assert isinstance(container.cell, DockerCell)
        assert container.cell.policy.differences(docker.daemon.inspect(container.id)) == []


def test_cis_section_5_and_the_probes_find_nothing(docker: Docker) -> None:
    docker.run(ADD, [[1, 2]], wall_s=20)
    for entry in docker.daemon.owned(docker.owner):
        said = docker.daemon.inspect(entry["Id"])
        host = said["HostConfig"]
        wrong = {
            "5.3 capabilities": host["CapAdd"] or host["CapDrop"] != ["ALL"],
            "5.4 privileged": host["Privileged"],
            "5.5 mounts": [m for m in said["Mounts"] if m["Type"] != "tmpfs"] or host["Binds"],
            "5.7 ports": host["PortBindings"],
            "5.9 host network": host["NetworkMode"] != "none",
            "5.10 memory": not host["Memory"],
            "5.11 cpu": not (host["NanoCpus"] or host["CpuShares"]),
            "5.12 read-only root": not host["ReadonlyRootfs"],
            "5.14 restart": host["RestartPolicy"]["Name"] not in ("", "no"),
            "5.15 pid mode": host["PidMode"],
            "5.16 ipc mode": host["IpcMode"] != "none",
            "5.17 devices": host["Devices"],
            "5.20 uts mode": host["UTSMode"],
            "5.21 seccomp": not any(o.startswith("seccomp={") for o in host["SecurityOpt"]),
            "5.25 privileges": "no-new-privileges" not in host["SecurityOpt"],
            "5.28 pids": not 0 < host["PidsLimit"] <= 64,
            "5.30 user namespace": host["UsernsMode"] == "host",
            "4.1 root": said["Config"]["User"].split(":")[0] in ("", "0"),
            "secrets": [
                e for e in said["Config"]["Env"] if e.split("=")[0] not in ("PATH", "LC_ALL", "PYTHONHASHSEED")
            ],
        }
        assert not [name for name, found in wrong.items() if found], json.dumps(host)[:500]
    proof = self_check(docker, PROBES)
    assert (proof.passed, proof.failed) == (PROBES, {})


def test_the_pool_hides_the_start_of_the_next_container(docker: Docker) -> None:
    docker.pool.settle(60)
    before = docker.meter.read()
    for number in range(1, 4):
        assert docker.run(STOPS, [[number]], wall_s=20).verdict is Verdict.OVERFLOW
        docker.pool.settle(60)
    after = docker.meter.read()
    assert after.starts - before.starts >= 2
    assert after.waited == before.waited


def test_program_after_program_is_bound_without_a_start(docker: Docker) -> None:
    docker.pool.settle(60)
    before = docker.meter.read()
    for number in range(2 * docker.pool.most):
        kernel = Kernel(f"def f():\n    return {number}\n", "f", Shape.NUMBER)
        assert docker.run(kernel, [[]], wall_s=20).values == (number,)
    docker.pool.settle(60)
    assert docker.meter.read().starts - before.starts <= 2


def test_a_candidates_own_crash_costs_no_container_and_an_anomaly_does(docker: Docker) -> None:
    docker.run(ADD, [[1, 2]], wall_s=20)
    (first,) = docker.pool.ids(ADD.version)
    assert docker.run(ADD, [[1, "x"]], wall_s=20).verdict is Verdict.CRASH
    assert docker.pool.ids(ADD.version) == [first]
    docker.run(STOPS, [[0]], wall_s=20)
    (other,) = docker.pool.ids(STOPS.version)
    assert docker.run(STOPS, [[3]], wall_s=20).verdict is Verdict.OVERFLOW
    assert docker.pool.ids(STOPS.version) == []
    assert other not in {entry["Id"] for entry in docker.daemon.owned(docker.owner)}
    assert docker.run(ADD, [[1, 2]], wall_s=20).values == (3,)


def test_a_container_is_recycled_after_its_calls() -> None:
    tiers.need("docker")
    lock = read_lock(tiers.image())
    with Docker(lock, owner="worn", address=Address(tiers.url()), calls=3, request_s=60) as docker:
        seen = set()
        for _ in range(7):
            seen |= set(docker.pool.ids(ADD.version))
            docker.run(ADD, [[1, 2]], wall_s=20)
        seen |= set(docker.pool.ids(ADD.version))
        assert len(seen) == 3


ORPHANS = """
import os, sys
from tests.hostile import tiers
from tests.sandbox.test_docker import ADD
docker = tiers.open_tier("docker", owner=sys.argv[1])
docker.run(ADD, [[1, 2]], wall_s=20)
docker.pool.settle(60)
print(docker.pool.count(), flush=True)
os.kill(os.getpid(), 9)
"""


def test_orphans_of_a_killed_process_are_swept_by_label_and_others_are_left() -> None:
    tiers.need("docker")
    root = Path(__file__).parents[2]
    with_other = tiers.open_tier("docker", owner="somebody-else")
    try:
        said = subprocess.run(
            [sys.executable, "-c", ORPHANS, "orphans"], cwd=root, capture_output=True, text=True, check=False
        )
        assert int(said.stdout) >= 1, said.stderr[-500:]
        docker = tiers.open_tier("docker", owner="orphans")
        try:
            assert isinstance(docker, Docker)
            assert isinstance(with_other, Docker)
            docker.pool.settle(60)
            owned = docker.daemon.owned("orphans/docker")
            assert {entry["Labels"][SESSION] for entry in owned} == {docker.pool.session}
            assert len(docker.daemon.owned("somebody-else/docker")) == with_other.pool.count() > 0
        finally:
            docker.close()
    finally:
        with_other.close()
    daemon = Daemon(Address(tiers.url()))
    left = daemon.client.containers(all=True, filters={"label": [f"{LABEL}=orphans/docker"]})
    daemon.close()
    assert left == []


def test_an_image_or_a_runtime_that_the_daemon_lacks_is_refused_and_nothing_is_pulled() -> None:
    tiers.need("docker")
    lock = read_lock(tiers.image())
    with pytest.raises(Refused, match="no image"):
        Docker(
            Lock("sha256:" + "0" * 64, lock.harness, lock.layer, lock.python, ""),
            owner="x",
            address=Address(tiers.url()),
        )
    with pytest.raises(Refused, match="runtime"):
        Docker(lock, owner="x", address=Address(tiers.url()), runtime="none-such")


def test_a_daemon_that_is_not_there_is_infrastructure(tmp_path: Path) -> None:
    tiers.need("docker")
    lock = read_lock(tiers.image())
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer"):
        Docker(lock, owner="x", address=Address(f"unix://{tmp_path}/none.sock"), request_s=2)
    assert time.monotonic() - begun < 10
