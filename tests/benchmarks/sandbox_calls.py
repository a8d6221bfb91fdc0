"""How many calls of an unread kernel a second? Our warm tiers beside what others do, in turn, in one run.

Peers: `docker run` for each call, `docker exec` for each call (both with our image and our limits), bubblewrap with
the system's Python, and a bare fork (no isolation at all: what a call could cost at best). Needs what
`tests/backends/docker.sh` exports; ways that the machine lacks are named and left out.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.docker import Docker
from sandbox.policy import Policy
from sandbox.types import Kernel, Sandbox, Shape
from tests.benchmarks.measure import Line, Result, Spread, alternated, own_cpu_s, say
from tests.hostile import tiers
from tests.hostile.invariants import Host
from tests.hostile.program import CANARY, contained
from tests.hostile.programs import PROGRAMS
from tests.hostile.test_hostile import run as hostile_run

KERNEL = Kernel("def act(a, b):\n    return a + b\n", "act", Shape.NUMBER)
CODE = "def act(a, b):\n    return a + b\nprint(act(1, 2))"
ROWS, CALLS, ROUNDS, NEW = 64, 200, 5, 8
BESIDE = 20
"""Benign calls timed after each hostile program."""
CORES = os.cpu_count() or 1
AIM_PER_S, AIM_TIMES, AIM_NEW_PER_S, AIM_NEW = 500, 200, 40, 0.8
Call = Callable[[], None]


def calls_of(tier: Sandbox, rows: int = 1) -> Call:
    """Return a call of a tier with so many rows."""

    def call() -> None:
        assert tier.run(KERNEL, [[1, 2]] * rows, wall_s=30).values == (3,) * rows

    call()
    return call


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
    base, run_ = ["docker", "-H", tiers.url()], ["-I", "-S", "-c", CODE]
    python, image = docker.lock.python, docker.lock.image
    idle = [*base, "run", "-d", *flags(policy), image, python, "-c", "import time; time.sleep(3600)"]
    held = subprocess.run(idle, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yield {
            "docker run": process([*base, "run", "--rm", *flags(policy), image, python, *run_]),
            "docker exec": process([*base, "exec", held, python, *run_]),
        }
    finally:
        subprocess.run([*base, "rm", "-f", held], capture_output=True, check=True)


def bare_bubblewrap() -> list[str]:
    """Return the words that start the system's Python in bubblewrap."""
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr", "--proc", "/proc"]
    for link in ("lib", "lib64", "bin"):
        words += ["--symlink", f"usr/{link}", f"/{link}"]
    return [*words, "/usr/bin/python3"]


def nothing_in_bubblewrap() -> None:
    """Start a Python in bubblewrap and end it: what a new program costs at least where each has a place of its own."""
    subprocess.run([*bare_bubblewrap(), "-c", "pass"], check=True, stdin=subprocess.DEVNULL)


def new_programs(tier: Sandbox) -> Call:
    """Return a call with a program that the tier has never seen."""
    count = iter(range(10**9))

    def call() -> None:
        fresh = replace(KERNEL, source=f"{KERNEL.source}# new {next(count)}\n")
        assert tier.run(fresh, [[1, 2]], wall_s=30).values == (3,)

    call()
    return call


FORKS = """
import json, os, sys, time
source, count = sys.argv[1], int(sys.argv[2])
times = []
for _ in range(count):
    begun = time.perf_counter()
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        space = {}
        exec(source, space)
        os.write(into, json.dumps([space["act"](*row) for row in json.loads("[[1,2]]")]).encode())
        os._exit(0)
    os.close(into)
    assert json.loads(os.read(out, 100)) == [3]
    os.close(out)
    os.waitpid(pid, 0)
    times.append(time.perf_counter() - begun)
print(json.dumps(times))
"""
"""In a small process of its own, as our harness is: a fork costs by what the forking process holds."""


def bare_forks(count: int) -> Callable[[], dict[str, float]]:
    """Return a timing of so many bare forks that apply and answer through a pipe."""
    words = [sys.executable, "-I", "-S", "-c", FORKS, KERNEL.source, str(count)]
    return lambda: rates(json.loads(subprocess.run(words, capture_output=True, check=True).stdout))


def rates(times: list[float]) -> dict[str, float]:
    """Return calls a second, median and 99th percentile in milliseconds."""
    times, count = sorted(times), len(times)
    tail = times[min(count - 1, int(count * 0.99))]
    return {"per_s": count / sum(times), "median_ms": times[count // 2] * 1e3, "p99_ms": tail * 1e3}


def block(call: Call, count: int) -> Callable[[], dict[str, float]]:
    """Return a timing of so many calls in a row."""

    def timing() -> dict[str, float]:
        times = []
        for _ in range(count):
            begun = time.perf_counter()
            call()
            times.append(time.perf_counter() - begun)
        return rates(times)

    return timing


def together(call: Call, count: int) -> Callable[[], dict[str, float]]:
    """Return a timing of one caller for each core, all at once: calls a second and core."""

    def timing() -> dict[str, float]:
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(lambda _: call(), range(CORES)))
            begun = time.perf_counter()
            list(pool.map(lambda _: [call() for _ in range(count)], range(CORES)))
        return {"per_s": count / (time.perf_counter() - begun)}

    return timing


def cpu(tier: Docker, call: Call, count: int) -> Callable[[], dict[str, float]]:
    """Return the CPU milliseconds of a call, in this process and inside; the daemon's own are not among them."""

    def timing() -> dict[str, float]:
        here, inside = own_cpu_s(), tier.cpu_s(KERNEL.version)
        for _ in range(count):
            call()
        here = own_cpu_s() - here
        return {"here_ms": here / count * 1e3, "inside_ms": (tier.cpu_s(KERNEL.version) - inside) / count * 1e3}

    return timing


def starts(tier: Docker) -> Callable[[], dict[str, float]]:
    """Return the first call of a kernel nobody has seen, with a container standing by or made for it."""
    count = iter(range(10**9))

    def timing() -> dict[str, float]:
        fresh = replace(KERNEL, source=f"{KERNEL.source}# {os.getpid()} {next(count)}\n")
        assert tier.pool.settle(60)
        begun, waited = time.perf_counter(), tier.meter.read().waited
        assert tier.run(fresh, [[1, 2]], wall_s=30).values == (3,)
        return {"ms": (time.perf_counter() - begun) * 1e3, "waited": float(tier.meter.read().waited - waited)}

    return timing


def attacked(tier: Docker, folder: Path, quick: bool) -> tuple[list[str], list[float]]:
    """Run the hostile list on the tier whose speed is measured; return what came through, and calls/s after each."""
    broken, speeds, call = [], [], calls_of(tier)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for at, program in enumerate(PROGRAMS[:2] if quick else PROGRAMS):
            canaries, place = folder / f"canaries-{at}", folder / f"folder-{at}"
            for made in (canaries, place):
                made.mkdir(parents=True)
            (canaries / "answers").write_text(CANARY)
            (place / "log").write_text("a log\n")
            port, file = str(server.getsockname()[1]), str(canaries / "answers")
            given = {"word": CANARY, "file": file, "socket": file, "canaries": str(canaries), "folder": str(place)}
            host = Host(tier, canaries)
            result = hostile_run(tier, program, {**given, "port": port, "abstract": "metaevo-bench"})
            said = [contained(program, result, place), *host.broken(result.seconds, tier.limits.wall_s)]
            broken += [f"{program.name}: {what}" for what in said if what]
            speeds.append(block(call, BESIDE)()["per_s"])
    return broken, speeds


def run(folder: Path, quick: bool = False) -> Result:
    """Time every way in turn, then run the hostile list on the same tier."""
    many, lacking = (4 if quick else CALLS), {}
    arms: dict[str, Callable[[], dict[str, float]]] = {"bare fork": bare_forks(many)}
    hostile: tuple[list[str], list[float]] | None = None
    with ExitStack() as stack:
        for name in tiers.ALL:
            if lack := tiers.missing(name):
                lacking[name] = lack
                continue
            tier = tiers.open_tier(name, owner="bench", standby=1)
            stack.callback(tier.close)
            call = calls_of(tier)
            arms[name] = block(call, max(2, many // 10) if "runsc" in name else many)
            if name != "monty":
                arms[f"{name}, new programs"] = block(
                    new_programs(tier), max(2, many // (20 if "runsc" in name else 4))
                )
            if name == "docker" and isinstance(tier, Docker):
                stood = tiers.open_tier("docker", owner="bench-cold", standby=0, most=1)
                assert isinstance(stood, Docker)
                stack.callback(stood.close)
                arms |= {name: block(peer, 2 if quick else 5) for name, peer in _peers(stack, tier).items()}
                arms |= {"rows": block(calls_of(tier, ROWS), many), "cores": together(call, many)}
                arms |= {"cpu": cpu(tier, call, many), "standing by": starts(tier), "cold": starts(stood)}
        if shutil.which("bwrap"):
            arms["bwrap a call"] = block(process([*bare_bubblewrap(), "-I", "-S", "-c", CODE]), 2 if quick else 10)
            arms["bwrap python3 -c pass"] = block(nothing_in_bubblewrap, 2 if quick else 10)
        say(f"sandbox_calls: {', '.join(arms)}; left out: {lacking or 'nothing'}")
        found = alternated(arms, 2 if quick else ROUNDS)
        if "docker" not in lacking:
            mine = tiers.open_tier("docker", owner="bench-hostile", standby=2)
            stack.callback(mine.close)
            assert isinstance(mine, Docker)
            hostile = attacked(mine, folder / "sandbox_calls", quick)
    numbers = {**found, "left out": lacking, "cores": CORES}
    return Result(_lines(found, hostile), _how(lacking), numbers | {"came through": hostile[0] if hostile else None})


def _peers(stack: ExitStack, docker: Docker) -> dict[str, Call]:
    return stack.enter_context(docker_peers(docker))


def _lines(
    found: Mapping[str, list[dict[str, float]]], hostile: tuple[list[str], list[float]] | None
) -> tuple[Line, ...]:
    def line(what: str, arm: str, key: str, unit: str, *, times: float = 1.0, **limit: Any) -> list[Line]:
        return [Line(what, Spread.of(times * one[key] for one in found[arm]), unit, **limit)] if arm in found else []

    def over(one: str, other: str, **limit: Any) -> list[Line]:
        if not {one, other} <= set(found):
            return []
        pairs = zip(found[one], found[other], strict=True)
        return [Line(f"{one} / {other}", Spread.of(a["per_s"] / b["per_s"] for a, b in pairs), "x", **limit)]

    lines = line("docker, warm calls", "docker", "per_s", "1/s", at_least=AIM_PER_S)
    lines += line("docker, median", "docker", "median_ms", "ms") + line("docker, p99", "docker", "p99_ms", "ms")
    lines += line("docker, a caller for each core", "cores", "per_s", "1/s and core")
    lines += line(f"docker, {ROWS} rows a call", "rows", "per_s", "1/s")
    lines += line("  rows", "rows", "per_s", "1/s", times=ROWS)
    lines += line("docker, CPU in this process", "cpu", "here_ms", "ms") + line("  inside", "cpu", "inside_ms", "ms")
    for way in ("docker run", "docker exec", "bwrap a call", "bare fork", "monty", "bubblewrap", "docker+runsc"):
        lines += line(way, way, "per_s", "1/s")
    lines += line("docker, new programs", "docker, new programs", "per_s", "1/s", at_least=AIM_NEW_PER_S)
    for way in ("bwrap python3 -c pass", "bubblewrap, new programs", "docker+runsc, new programs"):
        lines += line(way, way, "per_s", "1/s")
    lines += over("bubblewrap, new programs", "bwrap python3 -c pass", at_least=AIM_NEW)
    lines += over("docker", "docker run", at_least=AIM_TIMES)
    for one, other in (("docker", "docker exec"), ("docker", "bwrap a call"), ("bare fork", "docker")):
        lines += over(one, other)
    lines += line("a new kernel's first call, container standing by", "standing by", "ms", "ms")
    lines += line("  of them waited for a start", "standing by", "waited", "", at_most=0)
    lines += line("a new kernel's first call, container made for it", "cold", "ms", "ms")
    if hostile:
        broken, speeds = hostile
        lines += [
            Line(f"hostile programs that came through, of {len(speeds)}", Spread.of([len(broken)]), "", at_most=0),
            Line("docker, warm calls after each of them", Spread.of(speeds), "1/s"),
        ]
    return tuple(lines)


def _how(lacking: Mapping[str, str]) -> str:
    return (
        f"Every way in turn, {ROUNDS} rounds in alternating order; a spread is over rounds. A call is one row of two "
        "integers, answered in a forked process of its own, with everything of it killed afterwards; docker run, "
        "docker exec and bwrap start a Python each time; a new program is bound and "
        "called once. CPU inside is read from the cgroups. "
        + (f"Left out: {', '.join(f'{name} ({why})' for name, why in lacking.items())}." if lacking else "")
    )
