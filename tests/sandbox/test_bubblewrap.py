"""The tier of this machine's own namespaces: what it answers, what it proves, and what is not left of it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.bubblewrap import Bubblewrap
from sandbox.errors import Refused
from sandbox.images import HARNESS
from sandbox.self_check import self_check
from sandbox.types import Kernel, Limits, Shape, Verdict
from tests.hostile import tiers

ROOT = Path(__file__).parents[2]
ADD = Kernel("def add(a, b):\n    return a + b\n", "add", Shape.NUMBER)
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def bubblewrap() -> Iterator[Bubblewrap]:
    tiers.need("bubblewrap")
    with Bubblewrap(limits=Limits(wall_s=1.0)) as sandbox:
        yield sandbox


def test_rows_are_answered_in_order_and_repeat(bubblewrap: Bubblewrap) -> None:
    assert bubblewrap.run(ADD, [[1, 2], [3, 4], [0.5, 0]], wall_s=20).values == (3, 7, 0.5)
    draws = Kernel("import random\ndef draw():\n    return [random.random(), hash('a')]\n", "draw")
    assert bubblewrap.run(draws, [[], []], wall_s=20).values == bubblewrap.run(draws, [[], []], wall_s=20).values


def test_program_after_program_is_bound_without_a_start(bubblewrap: Bubblewrap) -> None:
    bubblewrap.pool.settle(20)
    before = bubblewrap.meter.read()
    for number in range(20):
        kernel = Kernel(f"def f():\n    return {number}\n", "f", Shape.NUMBER)
        assert bubblewrap.run(kernel, [[]], wall_s=20).values == (number,)
    assert bubblewrap.meter.read().starts - before.starts <= 2


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("while True: pass", Verdict.TIMEOUT),
        ("kept = []\n    while True: kept.append('x' * (1 << 20) + str(len(kept)))", Verdict.OOM),
        ("raise ValueError('no')", Verdict.CRASH),
        ("return ctypes.CDLL(None).syscall(165, 0, 0, 0, 0)", Verdict.POLICY_VIOLATION),
        ("return 'x' * (8 << 20)", Verdict.OVERFLOW),
        ("os.kill(1, 2)", Verdict.CRASH),
        ("os.fork()", Verdict.CRASH),
    ],
)
def test_each_end_has_its_verdict_and_the_next_call_is_answered(
    bubblewrap: Bubblewrap, body: str, verdict: Verdict
) -> None:
    kernel = Kernel(f"import ctypes, os\ndef f():\n    {body}\n", "f", imports=None)
    assert bubblewrap.run(kernel, [[]]).verdict is verdict
    assert bubblewrap.run(ADD, [[6, 7]], wall_s=20).values == (13,)


def test_every_limit_is_proven_by_its_effect(bubblewrap: Bubblewrap) -> None:
    proof = self_check(bubblewrap)
    assert proof.holds, str(proof)
    assert {"the filter", "system calls", "system calls that end it", "state", "facts of the host"} <= {*proof.passed}


@pytest.mark.parametrize(
    ("line", "instead", "only", "why"),
    [
        ("area.madvise(mmap.MADV_DONTFORK)", "pass", "state", "the mark is in memory: rw-p"),
        ("self.install(self.inner)", "pass", "system calls", "the check itself ended"),  # two processes answer
        ("limits.install(limits.filter(outer))", "pass", "system calls", "open: "),
    ],
)
def test_a_harness_that_lacks_a_line_is_refused_by_what_it_does(
    tmp_path: Path, line: str, instead: str, only: str, why: str
) -> None:
    tiers.need("bubblewrap")
    text = HARNESS.read_text()
    assert text.count(line) == 1
    (tmp_path / "harness.py").write_text(text.replace(line, instead))
    with Bubblewrap(harness=tmp_path / "harness.py") as sandbox:
        proof = self_check(sandbox, [only])
    assert proof.failed[only].startswith(why)


def test_no_program_is_a_refusal_that_names_it() -> None:
    with pytest.raises(Refused, match="no bwrap-of-nowhere on this machine; install bubblewrap"):
        Bubblewrap(program="bwrap-of-nowhere")


HOST = """
import sys, threading
from sandbox.types import Kernel, Limits
from tests.hostile import tiers
tier = tiers.open_tier(sys.argv[1], Limits(wall_s=1.0), owner="killed-host")
spin = Kernel("def f(n):\\n    while n:\\n        pass\\n    return 0\\n", "f")
tier.run(spin, [[0]], wall_s=30)
pids = [tier.daemon.inspect(c["Id"])["State"]["Pid"] for c in tier.daemon.owned(tier.owner)] if sys.argv[2:] else []
threading.Timer(0.3, lambda: print(*pids, flush=True)).start()
tier.run(spin, [[1]])
"""


def below(pids: set[int]) -> set[int]:
    """Return these processes and all that come from them."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "tier",
    [*tiers.ALL[:2], *(pytest.param(name, marks=tiers.ALONE) for name in tiers.CONTAINERS)],
)
def test_a_killed_host_leaves_no_kernel_alive_two_seconds_past_its_deadline(tier: str) -> None:
    tiers.need(tier)
    words = [sys.executable, "-c", HOST, tier, *(["containers"] if tier in tiers.CONTAINERS else [])]
    host = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert host.stdout
    pids = {int(word) for word in host.stdout.readline().split()} - {0}
    running = below(pids | {host.pid}) - {host.pid}
    assert running
    host.kill()
    host.wait()
    until = time.monotonic() + 1.0 + 2.0
    while any(map(lives, running)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not [pid for pid in running if lives(pid)]
