"""Calls of an unread kernel per second: our warm tiers beside what others do, interleaved in one run.

    python -m tests.benchmarks.sandbox_calls [--calls 200] [--rounds 3] [--out FILE]

Peers: `docker run` for each call, `docker exec` for each call (both with our image and our limits), bubblewrap with
the system's Python, and a bare fork (no isolation at all: what a call could cost at best). Each round asks every way
in turn, so that a busy machine is busy for all. Needs what `tests/backends/docker.sh` exports; ways that the machine
lacks are named and left out.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sandbox.docker import Docker
from sandbox.policy import Policy
from sandbox.types import Kernel, Shape
from tests.hostile import tiers

KERNEL = Kernel("def act(a, b):\n    return a + b\n", "act", Shape.NUMBER)
CODE = "def act(a, b):\n    return a + b\nprint(act(1, 2))"
Call = Callable[[], None]


@contextmanager
def warm(tier: str) -> Iterator[tuple[Call, Callable[[], dict[str, float]]]]:
    """A warm tier of ours, and what its meter says in the end."""
    sandbox = tiers.open_tier(tier, owner="bench", standby=1)
    try:

        def call() -> None:
            assert sandbox.run(KERNEL, [[1, 2]], wall_s=30).values == (3,)

        def meter() -> dict[str, float]:
            read = sandbox.meter.read()
            return {"starts": read.starts, "waited_for_a_start": read.waited}

        call()
        yield call, meter
    finally:
        sandbox.close()


def flags(policy: Policy) -> list[str]:
    """Return our limits as words of the docker command line."""
    limits = policy.limits
    return [
        "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--ipc=none",
        f"--pids-limit={limits.pids}", f"--memory={limits.memory_mib}m", f"--memory-swap={limits.memory_mib}m",
        f"--cpus={limits.cpus}", "--log-driver=none", "--user=65534:65534",
    ]  # fmt: skip


def process(words: list[str]) -> Call:
    """Return a call that starts these words and reads the answer."""

    def call() -> None:
        said = subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout
        assert said.strip() == "3"

    return call


@contextmanager
def docker_peers(docker: Docker) -> Iterator[dict[str, Call]]:
    """`docker run` and `docker exec` for each call, with our image and limits."""
    policy = Policy(docker.lock.image, docker.lock.python, docker.limits, "runc", "bench-peer", "", 65534)
    base, run = ["docker", "-H", tiers.url()], ["-I", "-S", "-c", CODE]
    python, image = docker.lock.python, docker.lock.image
    idle = [*base, "run", "-d", *flags(policy), image, python, "-c", "import time; time.sleep(3600)"]
    held = subprocess.run(idle, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield {
            "docker run": process([*base, "run", "--rm", *flags(policy), image, python, *run]),
            "docker exec": process([*base, "exec", held, python, *run]),
        }
    finally:
        subprocess.run([*base, "rm", "-f", held], capture_output=True, check=True)


def bubblewrap() -> Call | None:
    """Return a call in bubblewrap, None where the machine has none."""
    if not shutil.which("bwrap"):
        return None
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr", "--proc", "/proc"]
    for link in ("lib", "lib64", "bin"):
        words += ["--symlink", f"usr/{link}", f"/{link}"]
    return process([*words, "/usr/bin/python3", "-I", "-S", "-c", CODE])


def bare_fork() -> None:
    """Fork, apply, answer through a pipe."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        space: dict[str, Callable[[int, int], int]] = {}
        exec(KERNEL.source, space)  # type: ignore[arg-type]
        os.write(into, json.dumps([space["act"](1, 2)]).encode())
        os._exit(0)
    os.close(into)
    assert json.loads(os.read(out, 100)) == [3]
    os.close(out)
    os.waitpid(pid, 0)


def timed(call: Call, count: int) -> list[float]:
    """Return the seconds of each call."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return times


def summary(times: list[float]) -> dict[str, float]:
    """Return calls per second and milliseconds."""
    times = sorted(times)
    return {
        "calls": len(times),
        "calls_per_s": round(len(times) / sum(times), 1),
        "median_ms": round(statistics.median(times) * 1e3, 3),
        "p99_ms": round(times[min(len(times) - 1, int(len(times) * 0.99))] * 1e3, 3),
    }


def main(words: list[str] | None = None) -> int:
    """Measure, print a table's worth of JSON."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.sandbox_calls")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args(words)
    ways: dict[str, tuple[Call, int]] = {"bare fork": (bare_fork, said.calls)}
    meters, lacking = {}, {}
    with ExitStack() as stack:
        for tier in tiers.ALL[:3]:
            if tiers.missing(tier):
                lacking[tier] = tiers.missing(tier)
                continue
            call, meters[tier] = stack.enter_context(warm(tier))
            ways[tier] = (call, said.calls if "runsc" not in tier else said.calls // 10)
        if "docker" in ways:
            docker = tiers.open_tier("docker", owner="bench-image", standby=0)
            assert isinstance(docker, Docker)
            stack.callback(docker.close)
            ways |= {name: (call, 5) for name, call in stack.enter_context(docker_peers(docker)).items()}
        wrapped = bubblewrap()
        if wrapped:
            ways["bubblewrap"] = (wrapped, 10)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(said.rounds):
            for name, (call, count) in ways.items():
                times[name] += timed(call, count)
        found = {name: summary(taken) for name, taken in times.items()}
        pools = {tier: read() for tier, read in meters.items()}
    report = {"ways": found, "pools": pools, "left out": lacking, "load": os.getloadavg(), "cores": os.cpu_count()}
    if "docker run" in found and "docker" in found:
        medians = found["docker run"]["median_ms"] / found["docker"]["median_ms"]
        report["docker run over docker, medians"] = round(medians, 1)
    text = json.dumps(report, indent=1)
    sys.stdout.write(text + "\n")
    if said.out:
        said.out.write_text(text + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
