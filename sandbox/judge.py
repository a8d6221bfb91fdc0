"""The promises, as one function: from what the host saw to who failed.

1. A candidate is judged only by what it cannot write: the seal of process 1, the container's state, the host's clock.
2. Infrastructure is never a score: where the daemon does not answer, does not know the container, or has it paused,
   and where process 1 never said that the child started, `Unavailable` is raised.
3. A candidate cannot fake infrastructure: the source is not in any command line, so create, start and attach fail
   without it; process 1 cannot be killed from inside and closes no stream; before the child runs a line, process 1
   has said so under seal. An end that a candidate *might* have caused some unknown way is `Doubt`: the caller repeats
   it in a fresh container, and if it comes back while a known kernel is answered, it is the candidate's failure.
4. Text decides nothing. What a candidate prints, raises or returns is data, quoted and cut.
"""

import signal
from dataclasses import dataclass
from enum import StrEnum

from sandbox import frame
from sandbox.errors import Unavailable
from sandbox.types import Kernel, Result, Verdict


class Ending(StrEnum):
    """How the host's end of a call ended."""

    ANSWERED = "answered"
    """A whole reply under a valid seal."""
    DEADLINE = "deadline"
    """The host's clock."""
    CLOSED = "closed"
    """The stream ended."""
    GARBLED = "garbled"
    """Bytes that are no reply, or whose seal is wrong, or more than any reply may have."""


FAILURES = {
    "raised": (Verdict.CRASH, "raised"),
    "memory": (Verdict.OOM, "raised"),
    "refused": (Verdict.POLICY_VIOLATION, "the look at the source"),
    "no frame": (Verdict.CRASH, "ended by itself with {} and no reply"),
    "log": (Verdict.OVERFLOW, "more than the cap of the log"),
    "reply": (Verdict.OVERFLOW, "more than the cap of the reply"),
}
"""What the harness says of a child that ended without values."""
NO_HEAD = frame.Head("")
PASSED = 75
"""How process 1 ends by itself where a call is past its deadline: nobody inside can end it, so it is its own word."""


@dataclass(frozen=True, slots=True)
class State:
    """What the daemon says of a container. Unknown where the daemon answers that there is none."""

    known: bool = True
    running: bool = False
    paused: bool = False
    oom: bool = False
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a verdict may be made of. `state` is None where the daemon gave no answer."""

    ending: Ending
    started: bool
    seconds: float
    head: frame.Head = NO_HEAD
    payload: bytes = b""
    state: State | None = None
    fresh: bool = True
    """Whether no call was served there before: a daemon's word that memory ran out is never taken back."""


class Doubt(Exception):
    """Infrastructure or candidate: repeat it in a fresh container; if it comes back, it is this result.

    None where the kernel had not begun: a container that died while it stood idle says nothing about the candidate,
    and if that comes back it is infrastructure.
    """

    def __init__(self, result: Result | None) -> None:
        super().__init__(result.note if result else "the container or its stream had ended before the call")
        self.result = result


def needs_state(seen: Evidence) -> bool:
    """Return whether the container's state decides: for all but a plain reply."""
    killed_ = seen.head.how == "signal" and seen.head.number == signal.SIGKILL
    return seen.ending is not Ending.ANSWERED or killed_


def judge(seen: Evidence, kernel: Kernel, rows: int) -> Result:
    """Return the candidate's result.

    Raises:
        Unavailable: Infrastructure failed.
        Doubt: It could be either.
    """
    if not needs_state(seen):
        return reported(seen, kernel, rows)
    state = there(seen)
    if state.oom:
        return hoarded(seen)
    if seen.ending is Ending.ANSWERED:
        return killed(seen)
    if not seen.started and not (state.running and seen.ending is Ending.DEADLINE):
        raise Doubt(None)
    if seen.ending is Ending.GARBLED:
        raise Doubt(failed(seen, Verdict.PROTOCOL_VIOLATION, "bytes in the stream that the harness did not seal"))
    if not seen.started:
        raise Unavailable("sandbox", "the harness never said that the kernel started: the stream or the host stalls")
    if not state.running and state.exit_code == PASSED:
        return failed(seen, Verdict.TIMEOUT, "the deadline passed")
    if not state.running:
        raise Doubt(failed(seen, Verdict.CRASH, f"the container ended with {state.exit_code}, twice"))
    if seen.ending is Ending.CLOSED:
        raise Unavailable("sandbox", "the stream to a running container broke")
    return failed(seen, Verdict.TIMEOUT, "the deadline passed")


def hoarded(seen: Evidence) -> Result:
    """Return the result of a container that passed its memory limit; whose call that was is sure in a fresh one."""
    result = failed(seen, Verdict.OOM, "the container passed its memory limit")
    if not seen.fresh:
        raise Doubt(result)
    return result


def there(seen: Evidence) -> State:
    """Return the container's state.

    Raises:
        Unavailable: The daemon does not say, or somebody outside removed or paused the container.
    """
    if seen.state is None:
        raise Unavailable("sandbox", f"the daemon did not say how the call ended ({seen.ending})", "is it running?")
    if not seen.state.known:
        raise Unavailable("sandbox", "the container was removed from outside during the call")
    if seen.state.paused:
        raise Unavailable("sandbox", "the container was paused from outside during the call")
    return seen.state


def failed(seen: Evidence, verdict: Verdict, why: str) -> Result:
    """Return a result without values: the host's reason, then the candidate's words."""
    said = frame.shown(seen.payload) if seen.payload else ""
    note = frame.shown(f"{why}: {said}" if said else why)
    return Result(verdict, note=note, log=frame.shown(seen.head.log), seconds=seen.seconds)


def killed(seen: Evidence) -> Result:
    """Return the result of a child that a signal ended, with no memory limit passed."""
    number = seen.head.number
    if number == signal.SIGSYS:
        return failed(seen, Verdict.POLICY_VIOLATION, "a system call that ends the process")
    result = failed(seen, Verdict.CRASH, f"ended by signal {number}")
    if number == signal.SIGKILL:
        raise Doubt(result)
    return result


def reported(seen: Evidence, kernel: Kernel, rows: int) -> Result:
    """Return the result of a plain, sealed reply."""
    head = seen.head
    if head.how == "signal":
        return killed(seen)
    if head.how in FAILURES:
        verdict, why = FAILURES[head.how]
        return failed(seen, verdict, why.format(head.number))
    if head.how != "returned":
        return failed(seen, Verdict.PROTOCOL_VIOLATION, f"no single frame ({head.how})")
    log = frame.shown(head.log)
    try:
        values = frame.values(seen.payload, rows, kernel.returns)
    except frame.Malformed as error:
        note = f"what came back: {frame.shown(str(error))}"
        return Result(Verdict.PROTOCOL_VIOLATION, note=note, log=log, seconds=seen.seconds)
    return Result(Verdict.OK, values, log=log, seconds=seen.seconds)
