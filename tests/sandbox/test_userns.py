"""A daemon that maps user ids: the containers' ids are inside its mapping, and they keep what they promise."""

import tempfile
from pathlib import Path

import pytest

from sandbox.address import Address
from sandbox.docker import Docker
from sandbox.leases import MAPPED
from sandbox.self_check import self_check
from sandbox.types import Kernel, Shape
from tests.hostile import tiers
from tests.hostile.daemons import OwnDaemon
from tests.hostile.test_whose_failure import copied

pytestmark = [*tiers.ALONE, pytest.mark.timeout(300)]


def test_kernels_run_on_a_daemon_that_remaps_users() -> None:
    tiers.need("docker")
    # in /tmp itself: another folder for temporary files may be closed to the mapped users
    folder = Path(tempfile.mkdtemp(prefix="metaevo-remap-", dir="/tmp"))
    folder.chmod(0o755)
    own = OwnDaemon(folder, **{"userns-remap": "default"})
    own.start()
    try:
        with Docker(copied(own), owner="remap", address=Address(own.url), request_s=60) as docker:
            kernel = Kernel("def add(a, b):\n    return a + b\n", "add", Shape.NUMBER)
            assert docker.run(kernel, [[1, 2]], wall_s=20).values == (3,)
            users = {docker.daemon.inspect(c["Id"])["Config"]["User"] for c in docker.daemon.owned(docker.owner)}
            assert all(int(user.partition(":")[0]) in MAPPED for user in users)
            proof = self_check(docker, ["answers", "memory", "rights", "the filter"])
            assert proof.holds, str(proof)
    finally:
        own.stop()
