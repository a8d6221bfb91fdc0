"""Whose container is dead: what ran out, what stopped, and whose holder on this machine has ended; nobody else's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import leases
from sandbox.policy import HOLDER, SESSION
from tests.hostile import tiers

NOW = 1_000_000.0


def entry(*, state: str = "running", age_s: float = 10, held_by: str | None = None) -> dict[str, object]:
    labels = {HOLDER: leases.holder() if held_by is None else held_by, SESSION: "other"}
    return {"Id": "x", "State": state, "Created": NOW - age_s, "Labels": labels}


def gone() -> str:
    """Return the name of a holder that was a process of this machine."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        born = leases.started(process.pid)
    return f"{leases.machine()}:{process.pid}:{born}"


def test_what_lives_or_may_live_is_left() -> None:
    assert not leases.dead(entry(), NOW)
    assert not leases.dead(entry(age_s=leases.RETIRE_S), NOW)
    assert not leases.dead(entry(held_by=f"another-machine:4026531836:{os.getpid()}:1"), NOW)
    assert not leases.dead(entry(state="created", held_by=""), NOW)


def test_what_is_provably_dead_is_swept() -> None:
    assert leases.dead(entry(state="exited"), NOW)
    assert leases.dead(entry(age_s=leases.LEASE_S + 1, held_by=""), NOW)
    assert leases.dead(entry(held_by=gone()), NOW)
    assert leases.dead(entry(held_by=f"{leases.machine()}:{os.getpid()}:1"), NOW)  # another process had this number


def test_the_clock_is_the_daemons_and_ids_are_inside_its_mapping() -> None:
    assert leases.clock_s({"SystemTime": "1970-01-02T00:00:01.5Z"}) == 86_401.0
    assert leases.mapped({"SecurityOptions": ["name=seccomp,profile=default", "name=userns"]})
    assert leases.mapped({"SecurityOptions": ["name=rootless"]})
    assert not leases.mapped({"SecurityOptions": ["name=seccomp,profile=default"]})
    assert max(leases.MAPPED) < 65_536


OTHER = """
import sys
from tests.hostile import tiers
from tests.sandbox.test_docker import ADD
docker = tiers.open_tier("docker", owner=sys.argv[1])
assert docker.run(ADD, [[1, 2]], wall_s=20).values == (3,)
docker.close()
"""


@pytest.mark.full
@pytest.mark.containers
@pytest.mark.timeout(120)
def test_two_commands_on_one_home_serve_beside_each_other() -> None:
    from tests.sandbox.test_docker import ADD

    tiers.need("docker")
    docker = tiers.open_tier("docker", owner="beside")
    try:
        assert docker.run(ADD, [[1, 2]], wall_s=20).values == (3,)
        (mine,) = docker.pool.ids(ADD.version)
        root = Path(__file__).parents[2]
        subprocess.run([sys.executable, "-c", OTHER, "beside"], cwd=root, check=True)
        assert docker.run(ADD, [[2, 2]], wall_s=20).values == (4,)
        assert docker.pool.ids(ADD.version) == [mine]
        assert docker.meter.read().repeated == 0
    finally:
        docker.close()
