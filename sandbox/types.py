"""The words of the sandbox: a kernel, its rows, its limits, and what one call gave.

A call ends in exactly one of two ways, and they are different types. Either the *candidate* was judged: a `Result`
with one of seven verdicts. Or *infrastructure* failed: `errors.Unavailable` is raised, there is no Result, and
nothing was learnt about the candidate (verdict `infra_unavailable`, which no Result can carry). Which of the two it
is follows from container state, the host's clock and the daemon's own answers, never from text that a candidate
can write (`judge.py`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Protocol, TypeAlias

from sandbox.errors import BadKernel

Json: TypeAlias = Any
"""What JSON can say: None, bool, int within 64 bits, finite float, str, list, dict with str keys."""

Row: TypeAlias = Sequence[Json]
"""The positional arguments of one application of the kernel, as JSON values."""

ALLOWED_IMPORTS = frozenset({"math", "re", "json", "random", "collections"})
"""What a generated kernel may import (DESIGN.md section 6)."""


class Verdict(StrEnum):
    """How a call ended."""

    OK = "ok"
    """Every row gave a value of the promised shape."""
    TIMEOUT = "timeout"
    """The host's clock passed the deadline while the container ran."""
    OOM = "oom"
    """The container's memory limit was hit."""
    OVERFLOW = "overflow"
    """More output than the cap, in the reply or in the log."""
    CRASH = "crash"
    """The kernel raised, exited, or was killed by a signal."""
    PROTOCOL_VIOLATION = "protocol_violation"
    """What came back is not a single frame of strict JSON in the promised shape."""
    POLICY_VIOLATION = "policy_violation"
    """The source imports what it may not, or the process made a system call that kills."""
    INFRA_UNAVAILABLE = "infra_unavailable"
    """No judgement: carried by `Unavailable` alone, never by a Result."""


class Shape(StrEnum):
    """What a kernel promises to return for one row (DESIGN.md section 6)."""

    TRUTH = "truth"
    """`keep(row) -> bool`."""
    NUMBER = "number"
    """`weight(row)`, `score(prompt, completion)`: a finite int or float, no bool."""
    INDICES = "indices"
    """`order(rows)`, `choose(cells)`: a list of ints."""
    TEXTS = "texts"
    """`ask(row) -> list[str]`."""
    OBJECT = "object"
    """`rewrite(task)`, `use(row, replies)`: a dict."""
    ANY = "any"
    """Any JSON value."""


@dataclass(frozen=True)
class Kernel:
    """One version of a kernel: source text that defines `function`. Never imported or parsed on the host.

    `imports` is the list that the static look inside the sandbox allows; None switches that look off.
    """

    source: str
    function: str
    returns: Shape = Shape.ANY
    imports: frozenset[str] | None = ALLOWED_IMPORTS

    def __post_init__(self) -> None:
        if not self.function.isidentifier():
            raise BadKernel(
                "function", "no Python name", "give the name of a function in the source", given=repr(self.function)
            )
        try:
            self.source.encode("utf-8")
        except UnicodeEncodeError as error:
            raise BadKernel(
                "source", f"no UTF-8 at character {error.start}", "write it without lone surrogates"
            ) from None

    @cached_property
    def version(self) -> str:
        """Return the SHA-256 of everything that decides what runs, as 64 hex digits."""
        allowed = "*" if self.imports is None else ",".join(sorted(self.imports))
        return hashlib.sha256("\0".join((self.function, allowed, self.source)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use. Every one of them is proven by `self_check`, none is trusted from a flag."""

    wall_s: float = 2.0
    memory_mib: int = 128
    cpus: float = 1.0
    pids: int = 64
    open_files: int = 64
    source_bytes: int = 256 * 1024
    request_bytes: int = 16 * 1024 * 1024
    reply_bytes: int = 4 * 1024 * 1024
    log_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise BadKernel(f"limits.{name}", "", "must be above 0", given=f"{getattr(self, name)}")


NOTE_CHARS = 8000
"""The longest note or log text kept from a call, in characters."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the candidate did. `values` has one entry per row where the verdict is ok, and is None otherwise.

    `note` is for people: the host's reason, then what the candidate said, quoted, cut and without control characters.
    `seconds` is the host's clock around the call.
    """

    verdict: Verdict
    values: tuple[Json, ...] | None = None
    note: str = ""
    log: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.verdict is Verdict.INFRA_UNAVAILABLE:
            raise ValueError("infrastructure is not a result: raise Unavailable")
        if (self.verdict is Verdict.OK) != (self.values is not None):
            raise ValueError(f"a {self.verdict} result {'needs' if self.verdict is Verdict.OK else 'has no'} values")


class Sandbox(Protocol):
    """One tier that runs kernels. Laws:

    - Nothing of a call is left for the next one; two kernel versions never share an interpreter or a container.
    - Only data comes back: strict JSON of the kernel's shape, at most `limits.reply_bytes`.
    - An attempt ends within its deadline plus 2 s on a machine that is not overloaded; there are at most two.
    - Calls from several threads at once are allowed.
    """

    @property
    def tier(self) -> str:
        """Return the name of the tier: monty, docker or docker+RUNTIME."""

    @property
    def limits(self) -> Limits:
        """Return what one call may use."""

    def run(self, kernel: Kernel, rows: Sequence[Row], *, wall_s: float | None = None) -> Result:
        """Return what the kernel did with these rows, in order, within one deadline (`limits.wall_s` unless given).

        Raises:
            Unavailable: Infrastructure failed; nothing was learnt about the kernel.
            Refused: This tier may not run kernels.
            BadKernel: The request is larger than the limits allow or no JSON.
        """

    def close(self) -> None:
        """Remove everything this tier started."""


@dataclass(frozen=True, slots=True)
class Check:
    """One limit and the program that tries to pass it: `proves` judges from what the host saw."""

    name: str
    source: str
    proves: Callable[["Probe"], str | None]
    rows: tuple[Row, ...] = ((),)
    calls: int = 1
    wall_s: float | None = 20.0
    """The deadline of each call: long, so that a busy machine is not a missing limit. None: the tier's own."""
    apart: bool = False
    """Whether each row is a call of its own."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What the host saw of one check: the results of its calls, and its own clock around the last."""

    results: tuple[Result, ...]
    limits: Limits
    seconds: float
