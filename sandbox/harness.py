"""The only program of ours inside a sandbox. Standard library alone; it is process 1 and runs kernel after kernel.

    python3 -s -P -S -B -u harness.py MAX_REPLY MAX_LOG ADDRESS_SPACE MEMORY OPEN_FILES

Requests come on fd 0, replies leave on fd 1 (frames of `sandbox/frame.py`): first the filter of system calls, then
sources and rows. A candidate's code runs only in a forked child, which holds neither. What keeps a child from speaking
for the harness:

- process 1 of a pid namespace cannot be signalled from inside it, and it has no handler of its own;
- PR_SET_DUMPABLE 0: its memory, its descriptors under /proc/1/fd and its environment are closed to the same uid;
- every reply is sealed with a key that the host sends after the child was forked and that serves one call.

What keeps a call from leaving something for the next one:

- process 1 never reads a request: the child takes it from fd 0 by itself, before a line of the candidate runs;
- what comes back, and a compiled kernel, lie in memory that no child inherits (MADV_DONTFORK);
- a child's descriptors are made for it, and the filter (`filter.py`) refuses every call that could mark anything else;
- after each call every process but this one is killed; a file left in /tmp is reported.

What a child says is passed on as opaque bytes: nothing here parses it. Deadline, hang-up and CPU time are watched here
as well as outside: a host that dies leaves nothing running. Nothing in here is trusted: it reports, `judge.py` decides.

A call's price is the pages that parent and child write after the fork, each copied for 1 to 4 microseconds. Hence no
`signal`, `hmac` or `hashlib` here, no JSON in process 1, and as few objects as possible on the way of a call.
"""

from __future__ import annotations

import ast
import collections  # noqa: F401 (imported before the forks: what kernels may import costs them nothing)
import contextlib
import ctypes
import gc
import json
import marshal
import math  # noqa: F401
import mmap
import os
import re  # noqa: F401
import resource
import select
import struct
import sys
import time
from _blake2 import blake2s
from _signal import SIG_DFL, SIGINT, signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

at_fork, os.register_at_fork = os.register_at_fork, lambda **_: None
import random  # noqa: E402 (it would draw a new seed in every child: all of ours have the same one)

os.register_at_fork = at_fork

LENGTH, HEAD, ASK = struct.Struct(">I"), struct.Struct(">cBBI"), struct.Struct(">cII")
KEY, CODE, FRAME = 32, 64 << 20, 5
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER, SIGKILL = 4, 22, 38, 2, 9
REPLY, GO, DONE = 3, 4, 5
"""What a child has open beside its own /dev/null (0) and its log (1, 2): the pipe for its one frame; until it starts,
the pipe on which it waits, and the one on which it says that it has the request. In process 1 they are /dev/null."""
PASSED, OVERTIME_S = 75, 1.0
"""How process 1 ends where a call is this much past its deadline and the host has not ended it (`judge.py`)."""
SCRATCH = "/tmp"
READY = b"ready"
SOON_S, LOOK_S = 5e-5, 0.1
DECODE = json.JSONDecoder().raw_decode
ENCODE = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    {}, json.JSONEncoder().default, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)
"""What `json.loads` and `json.dumps` end in, made once: a sixth of a call."""


def take(count: int, fd: int = 0) -> bytes:
    """Return exactly so many bytes and read no further. The other side gone: the end of this process."""
    parts = []
    while count:
        part = os.read(fd, min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def put(fd: int, data: bytes | memoryview) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def reply(key: bytes, how: bytes, number: int, dirty: bool, log: memoryview, payload: memoryview) -> None:
    """Send one sealed reply."""
    head, seal = HEAD.pack(how, number, dirty, len(log)), blake2s(key=key)
    for part in (head, log, payload):
        seal.update(part)
    put(1, LENGTH.pack(len(head) + len(log) + len(payload)) + seal.digest() + head)
    put(1, log)
    put(1, payload)


def look(tree: Any, allowed: frozenset[str]) -> str:
    """Return the first import that is not allowed, or nothing."""
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [("." * node.level) + (node.module or "")]
        for name in names:
            if name.split(".")[0] not in allowed:
                return f"line {node.lineno}: imports {name}"  # type: ignore[attr-defined]
    return ""


def wait() -> None:
    """In a child: return when process 1 has told the host that it starts. Not a line of the candidate ran before."""
    if os.read(GO, 1) != b"g":
        os._exit(1)
    os.close(GO)


def compiling(body: bytes) -> tuple[bytes, bytes]:
    """In a child: return what to say about the source: P refused by the look, K the function's name and the code."""
    wait()
    order = json.loads(body)
    tree = ast.parse(order["source"], "kernel.py")
    refused = "" if order["imports"] is None else look(tree, frozenset(order["imports"]))
    if refused:
        return b"P", refused.encode("utf-8", "replace")
    return b"K", marshal.dumps((order["function"], compile(tree, "kernel.py", "exec", dont_inherit=True)))


def applying(kernel: bytes, body: bytes) -> tuple[bytes, bytes]:
    """In a child: return R and the values of all rows as JSON. Whatever the candidate raises goes up."""
    function, code = marshal.loads(kernel)
    space: dict[str, Any] = {"__name__": "kernel", "__builtins__": __builtins__}
    rows = DECODE(body.decode())[0]
    wait()
    exec(code, space)
    call = space[function]
    return b"R", "".join(ENCODE([call(*row) for row in rows], 0)).encode()


class Bounds:
    """What a child may use, and its filter; made before the forks."""

    def __init__(self, space: int, memory: int, files: int, inner: bytes) -> None:
        self.libc = ctypes.CDLL(None)
        self.inner = self.filter(inner)
        self.space, self.memory = space + grown(), memory
        own = {"CORE": 0, "FSIZE": 0, "MEMLOCK": 0, "MSGQUEUE": 0, "NOFILE": files}
        for name, most in own.items():
            with contextlib.suppress(OSError, ValueError):  # gVisor knows some of them only from the runtime
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))

    @staticmethod
    def filter(program: bytes) -> Any:
        """Return a program as prctl takes it; the buffer keeps the steps alive."""
        steps = ctypes.create_string_buffer(program, len(program))
        whole = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(steps)))
        whole.steps = steps  # type: ignore[attr-defined]
        return whole

    def install(self, program: Any) -> None:
        """Put a filter on this process and all that come from it."""
        if self.libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or self.libc.prctl(PR_SET_SECCOMP, FILTER, program):
            os._exit(74)

    def put_on(self, seconds: int) -> None:
        """In a child: give up memory, time and system calls for good."""
        resource.setrlimit(resource.RLIMIT_AS, (self.space, self.space))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        self.install(self.inner)


def grown() -> int:
    """Return the address space that this process has, which no candidate asked for."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * mmap.PAGESIZE
    except (OSError, ValueError):
        return 0


def child(fds: tuple[int, int, int, int], kind: bytes, sizes: tuple[int, int], seconds: int, limits: Bounds) -> None:
    """Be the child: take kernel and request, give up every descriptor of the harness, work, answer, end."""
    out, log, go, done = fds
    try:
        kernel, body = take(sizes[0], go), take(sizes[1])
        os.close(0)
        os.open(os.devnull, os.O_RDWR)  # the lowest number: 0, and no description that another call has had
        for have, want in ((log, 1), (log, 2), (out, REPLY), (go, GO), (done, DONE)):
            os.dup2(have, want)
        os.closerange(DONE + 1, 256)
        limits.put_on(seconds)
        put(DONE, b"d")
        os.close(DONE)
        shift = shifted()
        try:
            how, said = compiling(body) if kind == b"B" else applying(kernel, body)
        except MemoryError:
            how, said = b"M", b"MemoryError"
        except BaseException as error:  # noqa: BLE001 (whatever a candidate raises is its own crash)
            how, said = b"E", f"{type(error).__name__}: {str(error)[:4000]}"[:8000].encode("utf-8", "replace")
        put(REPLY, LENGTH.pack(len(said) + 1) + how + said)
        del shift
    finally:
        os._exit(1)


def shifted() -> list[bytes]:
    """Return objects that move all later ones by a random way: a kernel that uses addresses repeats in no two calls.

    Forked from one process they would all have the same addresses, and nobody would see it before the next start.
    """
    return [
        bytes(size) for size, count in zip(range(1, 497, 16), os.urandom(31), strict=True) for _ in range(count % 16)
    ]


class Box:
    """Memory of process 1 that no child inherits: what one pipe said last, up to a cap."""

    def __init__(self, most: int) -> None:
        area = mmap.mmap(-1, most + 1, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        area.madvise(mmap.MADV_DONTFORK)
        self.view, self.most, self.size = memoryview(area), most, 0


class Tap:
    """One pipe from the child, read into a box."""

    def __init__(self, box: Box) -> None:
        self.fd, self.theirs = os.pipe()
        os.set_blocking(self.fd, False)
        self.box, self.open = box, True
        box.size = 0

    def pull(self) -> bool:
        """Read what is there; return whether the cap was passed."""
        box = self.box
        while self.open and box.size <= box.most:
            try:
                got = os.readv(self.fd, (box.view[box.size :],))
            except BlockingIOError:
                return False
            self.open = got > 0
            box.size += got
        return box.size > box.most


def sweep() -> None:
    """Kill and reap every process but this one, until there is none. Signals are repeated: gVisor may lose one."""
    while True:
        try:
            os.kill(-1, SIGKILL)
        except ProcessLookupError:
            return
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue
        time.sleep(0.001)


def attend(pid: int, out: Tap, log: Tap, until: float, memory: int) -> tuple[bytes, int]:
    """Return (which cap the child passed, its wait status): wait for its end, then end all of its kin.

    Its memory is what the kernel counted; where no cgroup ends it, it may have met its limit and gone on.

    A process that ends closes its pipe a moment before it can be waited for: hence the short pauses. During a call the
    host sends nothing: what can be read of fd 0 is its end, and then, or past the deadline, this namespace ends too.
    """
    passed, done, status, pause = b"", 0, 0, SOON_S
    while not (done or passed):
        ready = [0, *(tap.fd for tap in (out, log) if tap.open)]
        if 0 in select.select(ready, [], [], LOOK_S if out.open else pause)[0]:
            os._exit(0)
        if time.monotonic() > until:
            os._exit(PASSED)
        passed = b"L" if log.pull() else b"O" if out.pull() else b""
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done and used.ru_maxrss << 10 > memory:
            passed = passed or b"M"
        if not out.open:
            pause = min(2 * pause, LOOK_S)
    sweep()
    return (b"L" if log.pull() else b"O" if out.pull() else passed), status


def ended(status: int, out: Box, kinds: bytes) -> tuple[bytes, int]:
    """Return the end of a child that passed no cap, as a letter of `frame.HOW`, and its signal or exit code.

    It may say of itself only what its work can end in (`kinds`).
    """
    more = out.size - LENGTH.size - LENGTH.unpack(out.view[:4])[0] if out.size > LENGTH.size else -1
    if more > 0:
        return b"X", 0
    if os.WIFSIGNALED(status):
        return b"S", os.WTERMSIG(status)
    if not out.size:
        return b"N", os.WEXITSTATUS(status)
    return (b"T" if more or out.view[4] not in kinds else bytes(out.view[4:5])), 0


class Harness:
    """Holds the compiled kernel and answers requests until the host hangs up."""

    def __init__(self, most: int, log: int, limits: Bounds) -> None:
        self.said, self.log, self.kernel, self.limits = Box(most + FRAME), Box(log), Box(CODE + FRAME), limits

    def answer(self) -> None:
        """Serve one request: fork before anything of it is read; tell the host; only then let the child go."""
        kind, wall_ms, size = ASK.unpack(take(ASK.size))
        binds = kind == b"B"
        code = 0 if binds else self.kernel.size
        box = self.kernel if binds else self.said
        out, log, (go, send), (told, done) = Tap(box), Tap(self.log), os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            fds = (out.theirs, log.theirs, go, done)
            child(fds, kind, (max(0, code - FRAME), size), 1 + -(-wall_ms // 1000), self.limits)
        for fd in (out.theirs, log.theirs, go, done):
            os.close(fd)
        put(send, self.kernel.view[FRAME:code])
        take(1, told)
        os.close(told)
        key = take(KEY)
        reply(key, b"B", 0, False, NOTHING, NOTHING)
        put(send, b"g")
        os.close(send)
        until = time.monotonic() + wall_ms / 1000 + OVERTIME_S
        passed, status = attend(pid, out, log, until, self.limits.memory)
        how, number = (passed, 0) if passed else ended(status, box, b"KPEM" if binds else b"REM")
        spoke = box.view[FRAME : box.size] if how in b"REPM" and not passed else NOTHING
        reply(key, how, number, bool(os.listdir(SCRATCH)), self.log.view[: min(self.log.size, self.log.most)], spoke)
        if binds and how != b"K":
            box.size = 0
        os.close(out.fd)
        os.close(log.fd)


NOTHING = memoryview(b"")


def main() -> None:
    """Close this process to its children's eyes, then serve."""
    if os.getpid() != 1:
        sys.exit(72)  # `sweep` kills every process it can see: only process 1 of a namespace may run this
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit(71)
    signal(SIGINT, SIG_DFL)  # Python's own handler would be one that a signal from inside reaches
    os.environ.pop("LD_LIBRARY_PATH", None)  # what the loader needed is no kernel's matter
    most, log, space, memory, files = (int(word) for word in sys.argv[1:6])
    outer, inner = (take(*LENGTH.unpack(take(LENGTH.size))) for _ in range(2))
    limits = Bounds(space, memory, files, inner)
    limits.install(limits.filter(outer))
    harness = Harness(most, log, limits)
    null = os.open(os.devnull, os.O_RDWR)
    for place in (REPLY, GO, DONE):
        os.dup2(null, place)  # so that no pipe made later has one of these numbers
    random.seed(0)
    gc.collect()
    gc.freeze()
    gc.disable()
    put(1, READY)
    while True:
        harness.answer()


if __name__ == "__main__":
    main()
