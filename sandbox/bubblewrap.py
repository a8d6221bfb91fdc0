"""The bubblewrap tier: the same harness in namespaces of its own, with no root, no daemon and no image.

What is covered: a pid, user, network, mount, IPC and UTS namespace for each harness, a read-only root of one Python and
its libraries, no right at all, and the harness's own filter of system calls, which here allows no further process: the
address space of one process is the memory limit, and one process uses one CPU. It ends with this process. What is not
covered: a bug in the host's kernel; side channels of a shared CPU; the machine's free memory, which no cgroup guards.
Use `docker` with gVisor, or a machine of its own, where that matters.
"""

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.container import Container
from sandbox.errors import Refused, Unavailable
from sandbox.images import HARNESS, harness_digest
from sandbox.interpreter import LIBRARIES, Interpreter, interpreter
from sandbox.judge import State
from sandbox.leases import UIDS
from sandbox.meter import Meter
from sandbox.policy import ENVIRONMENT, MASKED
from sandbox.pool import CALLS, Pool
from sandbox.stream import Stream
from sandbox.types import Kernel, Limits, Result, Row
from sandbox.warm import Warm

PROGRAM, NOBODY, KILL_S = "bwrap", 65534, 10.0
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
FACTS = tuple(path for path in MASKED if path.startswith("/proc/"))


def words(program: str, python: Interpreter, limits: Limits, source: int) -> Iterator[str]:
    """Yield the command line; the harness's text is read from descriptor `source`."""
    yield from (program, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--as-pid-1")
    yield from ("--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL", "--hostname", "sandbox", "--clearenv")
    for variable in (*ENVIRONMENT, f"LD_LIBRARY_PATH={LIBRARIES}"):
        yield from ("--setenv", *variable.split("=", 1))
    yield from python.words()
    for device in DEVICES:
        yield from ("--dev-bind", device, device)
    yield from ("--proc", "/proc")
    for fact in FACTS:
        if os.path.isdir(fact):
            yield from ("--tmpfs", fact, "--remount-ro", fact)
        elif os.path.exists(fact):
            yield from ("--ro-bind", "/dev/null", fact)
    yield from ("--perms", "0444", "--ro-bind-data", str(source), "/harness.py")
    yield from ("--perms", "0555", "--dir", "/tmp", "--remount-ro", "/", "--chdir", "/")
    memory = limits.memory_mib << 20
    sizes = (limits.reply_bytes, limits.log_bytes, memory, memory, limits.open_files)
    yield from (python.inside, "-s", "-P", "-S", "-B", "-u", "/harness.py", *map(str, sizes))


class BubblewrapCell:
    """One `bwrap` and what it holds."""

    def __init__(self, program: str, python: Interpreter, limits: Limits, uid: int, harness: Path) -> None:
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        drop = {"user": uid, "group": uid, "extra_groups": []} if uid != os.geteuid() else {}
        try:
            self.process = subprocess.Popen(
                list(words(program, python, limits, read)),
                stdin=theirs,
                stdout=theirs,
                stderr=subprocess.PIPE,
                pass_fds=(read,),
                start_new_session=True,  # a key pressed at the terminal is not for it
                env={},
                **drop,  # type: ignore[call-overload]
            )
            os.write(write, harness.read_bytes())
        except OSError as error:
            ours.close()
            raise Unavailable("sandbox", f"{program} does not start: {error}") from None
        finally:
            theirs.close()
            os.close(read)
            os.close(write)
        self.id = f"bwrap-{self.process.pid}"
        self.stream = Stream(ours, plain=True)

    def words(self) -> bytes:
        """Return the last that it said on its standard error, once it has ended."""
        try:
            return self.process.communicate(timeout=1.0)[1] or b""
        except subprocess.TimeoutExpired:
            return b""

    def verify(self) -> None:
        """Believe the command line: what it brought about is proven by the self-check."""

    def state(self) -> State:
        """Return how it fares."""
        code = self.process.poll()
        return State(running=code is None, exit_code=code or 0)

    def kill(self) -> None:
        """End it; the kernel ends all inside with it."""
        self.process.kill()
        self.process.wait(KILL_S)

    def remove(self) -> None:
        """Hang up and end it.

        Raises:
            Unavailable: It does not end.
        """
        self.stream.close()
        try:
            self.kill()
        except subprocess.TimeoutExpired:
            raise Unavailable("sandbox", f"{self.id} does not end") from None
        if self.process.stderr:
            self.process.stderr.close()


def bwrap(program: str = PROGRAM) -> str:
    """Return the program's path.

    Raises:
        Refused: There is none.
    """
    found = shutil.which(program)
    if found is None:
        raise Refused("sandbox", f"no {program} on this machine", "install bubblewrap")
    return found


def identity() -> str:
    """Return the tier's name with what decides how a kernel runs: the Python and the harness.

    Raises:
        Refused: There is no bwrap, or no Python.
    """
    bwrap()
    version = interpreter(_user()).version
    return f"bubblewrap python {version[0]}.{version[1]} {harness_digest()[:12]}"


def _user() -> int:
    """Return a user id that stands for whoever runs inside: root's harnesses are given to nobody's."""
    return UIDS.start if os.geteuid() == 0 else os.geteuid()


@dataclass(frozen=True, slots=True)
class Local:
    """A `pool.Ground`: this machine. What stands on it dies with this process, so nothing is ever left."""

    program: str
    limits: Limits
    harness: Path

    def start(self, session: str) -> Container:
        """Return a blank harness; root's is given to a user that nobody is, where that user can read a Python."""
        uid = secrets.choice(UIDS) if os.geteuid() == 0 else os.geteuid()
        cell = BubblewrapCell(self.program, interpreter(_user()), self.limits, uid, self.harness)
        return Container(cell, self.limits)

    def sweep(self, session: str, left: set[str]) -> int:
        """Return 0."""
        return 0

    def clear(self, session: str) -> None:
        """Do nothing."""


class Bubblewrap:
    """A `Sandbox` in this machine's own namespaces. Raises Refused at opening where there is no bwrap."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        standby: int = 1,
        most: int = 8,
        calls: int = CALLS,
        program: str = PROGRAM,
        harness: Path = HARNESS,
    ) -> None:
        found = bwrap(program)
        self._limits, self.meter = limits or Limits(), Meter()
        ground = Local(found, self._limits, harness)
        self.pool = Pool(ground, standby=standby, most=most, calls=calls, meter=self.meter)
        self._warm = Warm(self.pool, self._limits, self.meter)

    @property
    def tier(self) -> str:
        """Return bubblewrap."""
        return "bubblewrap"

    @property
    def limits(self) -> Limits:
        """Return what one call may use."""
        return self._limits

    def run(self, kernel: Kernel, rows: Sequence[Row], *, wall_s: float | None = None) -> Result:
        """Return what the kernel did with these rows, in order; see `types.Sandbox`."""
        return self._warm.run(kernel, rows, wall_s)

    def close(self) -> None:
        """End every harness."""
        self.pool.close()

    def __enter__(self) -> "Bubblewrap":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
