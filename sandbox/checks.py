"""The checks of the self-check: which program tries which limit, and what proves that it held.

The programs are ours, so what they say may be believed; what can be seen from outside (verdict, clock, CPU of the
cgroup, the host's memory) is taken from there. `proves` returns None where the limit held, else what was found.
"""

from collections.abc import Callable

from sandbox import filter as calls
from sandbox.attempts import (
    ARGUMENTS,
    BAD_NUMBERS,
    BURN,
    CALLS,
    DEEP,
    ENDS,
    FACTS,
    FILTER,
    FORKS,
    HOARD,
    HOARD_CHILDREN,
    KEEPS,
    LEFT,
    LONG,
    NETWORK,
    PRINTS,
    RIGHTS,
    SAME,
    SCRATCH,
    SEES,
    SPEAKS,
    SPIN,
    THREADS,
    WRITES,
)
from sandbox.types import Check, Json, Probe, Verdict


def ended(*verdicts: Verdict) -> Callable[[Probe], str | None]:
    """Return a proof: every call ended with one of these."""

    def proves(probe: Probe) -> str | None:
        wrong = [r for r in probe.results if r.verdict not in verdicts]
        return None if not wrong else f"ended {wrong[0].verdict}: {wrong[0].note[:120]}"

    return proves


def last(probe: Probe) -> tuple[Json, str | None]:
    """Return the last call's value, and what is wrong where it gave none."""
    result = probe.results[-1]
    if result.values is None:
        return None, f"the check itself ended {result.verdict}: {result.note[:120]}"
    return result.values[0], None


def nothing(probe: Probe) -> str | None:
    """Prove that a list came back empty."""
    value, wrong = last(probe)
    return wrong or (None if value == [] else f"open: {', '.join(map(str, value))}")


def at_most(limit: Callable[[Probe], float]) -> Callable[[Probe], str | None]:
    """Return a proof: the call was stopped, or came no further than this."""

    def proves(probe: Probe) -> str | None:
        result = probe.results[-1]
        if result.verdict is Verdict.TIMEOUT:
            return "ran to the deadline"
        # What it printed shows how far it came where its end was noticed only afterwards.
        came = int(result.log) if result.log.strip().isdigit() else 0
        far = came if result.values is None else result.values[0]
        return None if far <= limit(probe) else f"reached {far}, the limit is {limit(probe):.0f}"

    return proves


def equal(wanted: Json) -> Callable[[Probe], str | None]:
    """Return a proof: this value came back."""

    def proves(probe: Probe) -> str | None:
        value, wrong = last(probe)
        return wrong or (None if value == wanted else f"gave {str(value)[:100]}")

    return proves


def unchanged(probe: Probe) -> str | None:
    """Prove that each call found what the first one found, and no mark."""
    value, wrong = last(probe)
    if wrong:
        return wrong
    other = [r for r in probe.results if r.values != probe.results[0].values]
    return f"a later call found {str(other[0].values)[:100]}" if other else None if not any(value[0]) else str(value[0])


def ends(probe: Probe) -> str | None:
    """Prove that every call of a row ended its process, where the machine has it."""
    wrong = [r for r in probe.results if r.verdict is not Verdict.POLICY_VIOLATION and r.values != (-1,)]
    return None if not wrong else f"{len(wrong)} did not end the process, one of them ended {wrong[0].verdict}"


def within(probe: Probe) -> str | None:
    """Prove that an endless loop ended at the deadline, by the host's clock."""
    wrong = ended(Verdict.TIMEOUT)(probe)
    return wrong or (None if probe.seconds <= probe.limits.wall_s + 2 else f"took {probe.seconds:.1f} s")


def unheard(probe: Probe) -> str | None:
    """Prove that forged messages were refused or never reached the stream."""
    result = probe.results[-1]
    if result.verdict is Verdict.OK:
        return None if result.values == ("unheard",) else "a forged message was believed"
    return None if result.verdict in (Verdict.PROTOCOL_VIOLATION, Verdict.CRASH) else f"ended {result.verdict}"


def checks(memory_mib: int, pids: int, *, own_kernel: bool) -> tuple[Check, ...]:
    """Return the checks of a container tier. `own_kernel`: calls end in gVisor, not in the host's kernel."""
    steps = memory_mib * 3
    return (
        Check("answers", SAME, equal(42)),
        Check("time", SPIN, within, wall_s=None),
        Check("memory", HOARD.format(steps=steps), at_most(lambda p: p.limits.memory_mib)),
        Check("memory of children", HOARD_CHILDREN.format(steps=steps), at_most(lambda p: p.limits.memory_mib)),
        Check("processes", FORKS.format(count=pids * 3), at_most(lambda p: p.limits.pids)),
        Check("threads", THREADS.format(count=pids * 3), at_most(lambda p: p.limits.pids)),
        Check("cpu", BURN, at_most(lambda p: p.limits.cpus * 1.3 + 0.2)),
        Check("reply", LONG, ended(Verdict.OVERFLOW, Verdict.OOM)),
        Check("log", PRINTS, ended(Verdict.OVERFLOW)),
        Check("numbers", BAD_NUMBERS, ended(Verdict.PROTOCOL_VIOLATION)),
        Check("network", NETWORK, nothing),
        Check("read-only", WRITES, nothing),
        Check("no place for files", SCRATCH, nothing),
        Check("nothing is left", LEFT, equal([0, []]), calls=3),
        Check("nothing to see", SEES, nothing),
        Check("rights", RIGHTS, nothing),
        Check("the filter", FILTER, equal(["2", "2"])),
        Check("system calls", CALLS, nothing, rows=((calls.refused(),),)),
        Check("arguments of system calls", ARGUMENTS, nothing),
        Check("system calls that end it", ENDS, ends, rows=tuple((one,) for one in calls.ended()), apart=True),
        *(() if own_kernel else (Check("facts of the host", FACTS, nothing),)),
        Check("the harness's voice", SPEAKS, unheard),
    )


def embedded(memory_mib: int) -> tuple[Check, ...]:
    """Return the checks of the embedded interpreter."""
    closed = "def act():\n    try:\n        {0}\n        return ['open']\n    except Exception:\n        return []\n"
    reach = {
        "files": "open('/etc/hostname').read()",
        "environment": "import os; os.environ['PATH']",
        "network": "import socket",
        "processes": "import subprocess",
        "foreign code": "import ctypes",
    }
    return (
        Check("answers", SAME, equal(42)),
        Check("time", SPIN, within, wall_s=None),
        Check("memory", HOARD.format(steps=memory_mib * 3), at_most(lambda p: p.limits.memory_mib)),
        Check("recursion", DEEP, ended(Verdict.CRASH)),
        Check("state", KEEPS, unchanged, calls=3),
        Check("reply", LONG, ended(Verdict.OVERFLOW, Verdict.OOM)),
        Check("log", PRINTS, ended(Verdict.OVERFLOW), wall_s=None),  # it hears of the cap only when its time is over
        Check("numbers", BAD_NUMBERS, ended(Verdict.PROTOCOL_VIOLATION)),
        *(Check(name, closed.format(line), nothing) for name, line in reach.items()),
    )
