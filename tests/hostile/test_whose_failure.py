"""Many cases: infrastructure that fails, and candidates that fail or pretend; none is taken for the other."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from sandbox.address import Address
from sandbox.docker import Docker
from sandbox.errors import Unavailable
from sandbox.images import read_lock
from sandbox.types import Kernel, Limits, Shape, Verdict
from tests.hostile import tiers
from tests.hostile.daemons import OwnDaemon, Proxy

pytestmark = [*tiers.ALONE, pytest.mark.timeout(900)]
LIMITS = Limits(wall_s=2.0)
SLEEPS = Kernel("import time\ndef act(s):\n    time.sleep(s)\n    return s\n", "act", Shape.NUMBER, imports=None)
AWAKE, ASLEEP, MIDDLE_S = [[0]], [[0.7]], 0.3
SAME = Kernel("def act(n):\n    return n\n", "act", Shape.NUMBER)
IMITATIONS = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "Error response from daemon: No such container: 4f",
    "Error response from daemon: Container is not running",
    "OCI runtime exec failed: exec failed: unable to start container process",
    "read tcp: connection reset by peer",
    "infra_unavailable",
    "sandbox: the daemon did not say how the call ended (closed); is it running?",
    "requests.exceptions.ConnectionError: ('Connection aborted.', RemoteDisconnected())",
    "context deadline exceeded",
    '{"how": "started"}',
)
ENDS = (
    "raise ConnectionError({0!r})",
    "raise type('Unavailable', (Exception,), {{}})({0!r})",
    "print({0!r}); os._exit(125)",
    "print({0!r}); os._exit(126)",
    "print({0!r}); os._exit(127)",
    "sys.stderr.write({0!r}); os._exit(137)",
    "sys.stderr.write({0!r}); os.kill(os.getpid(), 15)",
    "sys.stderr.write({0!r}); os.abort()",
    "sys.exit({0!r})",
    "os.write(3, {0!r}.encode()); os._exit(0)",
    "os.closerange(0, 64); raise OSError({0!r})",
    "os.kill(1, 9); os.kill(os.getppid(), 9); raise OSError({0!r})",
)


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    tiers.need("docker")
    sandbox = tiers.open_tier("docker", LIMITS, owner="whose", standby=2)
    assert isinstance(sandbox, Docker)
    yield sandbox
    sandbox.close()


def test_120_imitated_errors_are_the_candidates_own(docker: Docker) -> None:
    def wrong(end: str, words: str) -> str:
        kernel = Kernel(f"import os, sys\ndef act(n):\n    {end.format(words)}\n", "act", imports=None)
        try:
            verdict = docker.run(kernel, [[1]]).verdict
        except Unavailable as error:
            return f"{end} {words}: {error}"
        return "" if verdict in (Verdict.CRASH, Verdict.PROTOCOL_VIOLATION) else f"{end} {words}: {verdict}"

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda pair: wrong(*pair), product(ENDS, IMITATIONS)))
    assert len(said) == 120
    assert not any(said), "\n".join(filter(None, said))


def during(act: Callable[[], None], call: Callable[[], object]) -> object:
    """Return what the call gave, or the Unavailable it raised, with `act` done in the middle of it."""
    timer = threading.Timer(MIDDLE_S, act)
    timer.start()
    try:
        return call()
    except Unavailable as error:
        return error
    finally:
        timer.join()


def busy(docker: Docker) -> str:
    """Return the id of the container that is in use."""
    return next(iter(docker.pool.ids(SLEEPS.version)))


@pytest.mark.parametrize("way", ["kill", "remove", "pause", "stop"])
def test_20_containers_ended_from_outside_are_never_the_candidates_failure(docker: Docker, way: str) -> None:
    client = docker.daemon.client
    acts = {
        "kill": lambda: client.kill(busy(docker)),
        "remove": lambda: client.remove_container(busy(docker), force=True),
        "pause": lambda: client.pause(busy(docker)),
        "stop": lambda: client.stop(busy(docker), timeout=0),
    }
    for _ in range(5):
        docker.run(SLEEPS, AWAKE, wall_s=20)
        said = during(acts[way], lambda: docker.run(SLEEPS, ASLEEP))
        # Either it says that it does not know, or the repetition in a fresh container gave the true answer.
        assert isinstance(said, Unavailable) or said.values == (0.7,), f"{way}: {said}"
        docker.pool.settle(60)


def test_10_connections_cut_or_hanging_are_never_the_candidates_failure(tmp_path: Path) -> None:
    tiers.need("docker")
    proxy = Proxy(Path(tempfile.mkdtemp(prefix="metaevo-proxy-")) / "s", tiers.url().removeprefix("unix://"))
    lock = read_lock(tiers.image())
    try:
        with Docker(lock, owner="cut", address=Address(proxy.url), limits=LIMITS, request_s=20.0) as docker:
            for round_ in range(10):
                docker.run(SLEEPS, AWAKE, wall_s=20)
                docker.daemon.client.timeout = 2 if round_ % 2 else 20
                said = during(proxy.hangs.set if round_ % 2 else proxy.break_all, lambda: docker.run(SLEEPS, ASLEEP))
                proxy.hangs.clear()
                docker.daemon.client.timeout = 20
                assert isinstance(said, Unavailable) or said.values == (0.7,), f"{round_}: {said}"
                docker.pool.settle(60)
            assert docker.run(SAME, [[3]], wall_s=20).values == (3,)
    finally:
        proxy.close()
        shutil.rmtree(proxy.path.parent)


def test_8_daemons_killed_during_a_call_are_never_the_candidates_failure() -> None:
    tiers.need("docker")
    folder = Path(tempfile.mkdtemp(prefix="metaevo-own-dockerd-"))
    own = OwnDaemon(folder)
    own.start()
    try:
        lock = copied(own)
        for _ in range(8):
            with Docker(lock, owner="killed", address=Address(own.url), limits=LIMITS, request_s=30.0) as docker:
                docker.run(SLEEPS, AWAKE, wall_s=20)
                said = during(own.kill, lambda docker=docker: docker.run(SLEEPS, ASLEEP))
                assert isinstance(said, Unavailable), said
                own.start()
                assert docker.run(SAME, [[3]], wall_s=20).values == (3,)  # the first call after a restart
        with Docker(lock, owner="killed", address=Address(own.url), limits=LIMITS, request_s=30.0) as docker:
            docker.pool.settle(60)
            assert len(docker.daemon.owned("killed/docker")) == docker.pool.count()
    finally:
        own.stop()


def copied(own: OwnDaemon):
    """Load the test image into another daemon; return its lock."""
    from sandbox.daemon import Daemon

    lock = read_lock(tiers.image())
    one, two = (Daemon(Address(url), request_s=120) for url in (tiers.url(), own.url))
    try:
        two.client.load_image(b"".join(one.client.get_image(lock.image)))
        until = time.monotonic() + 30
        while lock.image not in {entry["Id"] for entry in two.client.images(all=True)} and time.monotonic() < until:
            time.sleep(0.2)
    finally:
        one.close()
        two.close()
    return lock
