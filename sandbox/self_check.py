"""Proof of every limit, at start and daily. A tier that lacks one is refused, and the message names what is missing.

Flags are not believed: gVisor with `--ignore-cgroups` takes `--memory` and does not keep it (THREATS.md 1.2). What a
tier looks like from inside (rights, namespaces, seccomp) is kept as a fingerprint; a change is a reason to look.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sandbox.checks import checks, embedded
from sandbox.errors import Refused
from sandbox.state import left
from sandbox.types import Check, Kernel, Limits, Probe, Result, Row, Sandbox

DAY_S = 86_400.0
LOOKS = """
import os
def act():
    keys = ('Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp')
    said = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)
    mounts = sorted(line.split()[4] for line in open('/proc/self/mountinfo'))
    rights = {k: said[k].strip() for k in keys[3:] if k in said}
    return {'rights': rights, 'mounts': mounts, 'dev': sorted(os.listdir('/dev')), 'root': sorted(os.listdir('/'))}
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """What one self-check found. `failed` maps the name of a limit to what was found instead."""

    tier: str
    passed: tuple[str, ...]
    failed: dict[str, str]
    fingerprint: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Return whether every limit held."""
        return not self.failed

    def __str__(self) -> str:
        if self.holds:
            return f"{self.tier}: {len(self.passed)} limits proven in {self.seconds:.1f} s"
        return f"{self.tier}: " + "; ".join(f"{name} is not kept ({why})" for name, why in self.failed.items())


def probe(sandbox: Sandbox, check: Check) -> str | None:
    """Return what is wrong with one limit, None where it held.

    Raises:
        Unavailable: The check could not be made.
    """
    kernel = Kernel(check.source, "act", imports=None)
    results, seconds = [], 0.0
    for rows in [(row,) for row in check.rows] if check.apart else [check.rows] * check.calls:
        begun = time.monotonic()
        results.append(sandbox.run(kernel, rows, wall_s=check.wall_s))
        seconds = time.monotonic() - begun
    return check.proves(Probe(tuple(results), sandbox.limits, seconds))


def twice(attempt: Callable[[], str | None]) -> str | None:
    """Return what is wrong with a limit; a machine under load may raise one false alarm, so the first is repeated."""
    return attempt() and attempt()


def self_check(sandbox: Sandbox, only: Sequence[str] = ()) -> Proof:
    """Return the proof of every limit of a tier, or of those named.

    Raises:
        Unavailable: A check could not be made.
    """
    begun, limits = time.monotonic(), sandbox.limits
    if sandbox.tier == "monty":
        wanted = embedded(limits.memory_mib)
    else:
        wanted = checks(limits.memory_mib, limits.pids, own_kernel="runsc" in sandbox.tier)
    tries: dict[str, Callable[[], str | None]] = {c.name: partial(probe, sandbox, c) for c in wanted}
    if sandbox.tier != "monty":
        tries["state"] = partial(left, sandbox)
    found = {name: twice(attempt) for name, attempt in tries.items() if not only or name in only}
    return Proof(
        sandbox.tier,
        tuple(name for name, wrong in found.items() if wrong is None),
        {name: wrong for name, wrong in found.items() if wrong is not None},
        looks(sandbox),
        time.monotonic() - begun,
    )


def looks(sandbox: Sandbox) -> str:
    """Return a short hash of how a container looks from inside; empty for the embedded tier, which has no inside."""
    if sandbox.tier == "monty":
        return ""
    said = sandbox.run(Kernel(LOOKS, "act", imports=None), [()], wall_s=20.0)
    return hashlib.sha256(repr(said.values).encode()).hexdigest()[:16]


class Proven:
    """A tier that runs kernels only while its proof is fresh. The first call proves, and each after a day."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        every_s: float = DAY_S,
        now: Callable[[], float] = time.monotonic,
        prove: Callable[[Sandbox], Proof] = self_check,
    ) -> None:
        self.sandbox, self.every_s, self.now, self.prove = sandbox, every_s, now, prove
        self.proof: Proof | None = None
        self._at = 0.0
        self._lock = threading.Lock()

    @property
    def tier(self) -> str:
        """Return the name of the tier."""
        return self.sandbox.tier

    @property
    def limits(self) -> Limits:
        """Return what one call may use."""
        return self.sandbox.limits

    def run(self, kernel: Kernel, rows: Sequence[Row], *, wall_s: float | None = None) -> Result:
        """Return what the kernel did; see `types.Sandbox`.

        Raises:
            Refused: A limit is not kept; the message names it.
            Unavailable: Infrastructure failed, also while proving.
        """
        self.must_hold()
        return self.sandbox.run(kernel, rows, wall_s=wall_s)

    def must_hold(self) -> Proof:
        """Return the proof, made anew where it is older than a day.

        Raises:
            Refused: A limit is not kept.
        """
        with self._lock:
            if self.proof is None or self.now() - self._at >= self.every_s:
                self.proof, self._at = self.prove(self.sandbox), self.now()
        if not self.proof.holds:
            raise Refused(f"sandbox tier {self.proof}", "", "take another tier")
        return self.proof

    def close(self) -> None:
        """Close the tier."""
        self.sandbox.close()
