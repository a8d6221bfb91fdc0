"""The only program of ours inside a container. Standard library alone; it is process 1 and runs one kernel version.

    python3 -s -P -S -B -u harness.py MAX_REPLY MAX_LOG ADDRESS_SPACE

Requests come on fd 0, replies leave on fd 1 (frames of `sandbox/frame.py`): first the source, then rows. A candidate's
code runs only in a forked child, which holds neither. What keeps a child from speaking for the harness:

- process 1 of a pid namespace cannot be signalled from inside it, SIGKILL and SIGSTOP included;
- PR_SET_DUMPABLE 0: its memory, its descriptors under /proc/1/fd and its environment are closed to the same uid;
- every reply is sealed with a key that the host sends after the child was forked and that serves one call.

What a child says is passed on as opaque bytes: nothing here parses it. After each call every process but this one is
killed, so nothing of a call lives on; a file left in /tmp is reported, and the host throws the container away.
Nothing in here is trusted by the host: it reports, `judge.py` decides.

A call's price is the pages that parent and child write after the fork, each copied for 1 to 4 microseconds. Hence no
`signal`, `hmac` or `hashlib` here, no JSON in process 1, and as few objects as possible on the way of a call.
"""

from __future__ import annotations

import collections  # noqa: F401 (imported before the forks: what kernels may import costs them nothing)
import ctypes
import gc
import json
import marshal
import math  # noqa: F401
import os
import re  # noqa: F401
import resource
import select
import struct
import sys
import time
from _blake2 import blake2s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

at_fork, os.register_at_fork = os.register_at_fork, lambda **_: None
import random  # noqa: E402 (it would draw a new seed in every child: all of ours have the same one)

os.register_at_fork = at_fork

LENGTH, HEAD = struct.Struct(">I"), struct.Struct(">cBBI")
KEY, CHUNK, CODE = 32, 65536, 64 << 20
PR_SET_DUMPABLE, SIGKILL = 4, 9
REPLY, GO = 3, 4
"""What a child has open beside /dev/null (0) and its log (1, 2): the pipe for its one frame; the pipe on which it
waits, until it starts. In process 1 these two numbers are /dev/null."""
SCRATCH = "/tmp"
READY = b"ready"
SOON_S, LOOK_S = 5e-5, 0.1
DECODE = json.JSONDecoder().raw_decode
ENCODE = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    {}, json.JSONEncoder().default, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)
"""What `json.loads` and `json.dumps` end in, made once: a sixth of a call."""


def take(count: int) -> bytes:
    """Return exactly so many bytes of fd 0 and read no further. The host gone: the end of this container."""
    parts = []
    while count:
        part = os.read(0, min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def put(fd: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def reply(key: bytes, how: bytes, number: int = 0, dirty: bool = False, log: bytes = b"", payload: bytes = b"") -> None:
    """Send one sealed reply."""
    said = HEAD.pack(how, number, dirty, len(log)) + log + payload
    put(1, LENGTH.pack(len(said)) + blake2s(said, key=key).digest() + said)


def look(tree: Any, allowed: frozenset[str]) -> str:
    """Return the first import that is not allowed, or nothing."""
    import ast

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
    import ast

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


def child(out: int, log: int, go: int, kernel: bytes, body: bytes) -> None:
    """Be the child: give up every descriptor of the harness, work, answer, end."""
    try:
        for have, want in ((REPLY, 0), (log, 1), (log, 2), (out, REPLY), (go, GO)):
            os.dup2(have, want)
        os.closerange(GO + 1, 64)
        try:
            kind, said = applying(kernel, body) if kernel else compiling(body)
        except BaseException as error:  # noqa: BLE001 (whatever a candidate raises is its own crash)
            kind, said = b"E", f"{type(error).__name__}: {str(error)[:4000]}"[:8000].encode("utf-8", "replace")
        put(REPLY, LENGTH.pack(len(said) + 1) + kind + said)
    finally:
        os._exit(1)


class Tap:
    """One pipe from the child, read up to a cap."""

    def __init__(self, most: int) -> None:
        self.fd, self.theirs = os.pipe()
        os.set_blocking(self.fd, False)
        self.most, self.data, self.open = most, bytearray(), True

    def pull(self) -> bool:
        """Read what is there; return whether the cap was passed."""
        while self.open and len(self.data) <= self.most:
            try:
                part = os.read(self.fd, CHUNK)
            except BlockingIOError:
                return False
            self.open = bool(part)
            self.data += part
        return len(self.data) > self.most


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


def attend(pid: int, out: Tap, log: Tap) -> tuple[bytes, int]:
    """Return (which cap the child passed, its wait status): wait for its end, then end all of its kin.

    A process that ends closes its pipe a moment before it can be waited for: hence the short pauses.
    """
    passed, done, status, pause = b"", 0, 0, SOON_S
    while not (done or passed):
        select.select([tap.fd for tap in (out, log) if tap.open], [], [], LOOK_S if out.open else pause)
        passed = b"L" if log.pull() else b"O" if out.pull() else b""
        done, status = os.waitpid(pid, os.WNOHANG)
        if not out.open:
            pause = min(2 * pause, LOOK_S)
    sweep()
    return (b"L" if log.pull() else b"O" if out.pull() else passed), status


def ended(status: int, data: bytearray, kinds: bytes) -> tuple[bytes, int]:
    """Return the end of a child that passed no cap, as a letter of `frame.HOW`, and its signal or exit code.

    It may say of itself only what its work can end in (`kinds`).
    """
    more = len(data) - LENGTH.size - LENGTH.unpack(data[:4])[0] if len(data) > LENGTH.size else -1
    if more > 0:
        return b"X", 0
    if os.WIFSIGNALED(status):
        return b"S", os.WTERMSIG(status)
    if not data:
        return b"N", os.WEXITSTATUS(status)
    return (b"T" if more or data[4] not in kinds else bytes(data[4:5])), 0


class Harness:
    """Holds the compiled kernel and answers requests until the host hangs up."""

    def __init__(self, most: int, log: int) -> None:
        self.most, self.log, self.kernel = most, log, b""

    def answer(self) -> None:
        """Serve one request: fork first, only then take the key; tell the host; only then let the child go."""
        most, kinds = (self.most, b"RE") if self.kernel else (CODE, b"KPE")
        out, log, (go, send) = Tap(most + 5), Tap(self.log), os.pipe()
        body = take(*LENGTH.unpack(take(LENGTH.size)))
        pid = os.fork()
        if pid == 0:
            child(out.theirs, log.theirs, go, self.kernel, body)
        os.close(out.theirs)
        os.close(log.theirs)
        key = take(KEY)
        reply(key, b"B")
        put(send, b"g")
        os.close(send)
        os.close(go)
        passed, status = attend(pid, out, log)
        how, number = (passed, 0) if passed else ended(status, out.data, kinds)
        payload = bytes(out.data[5:])
        if how == b"K":
            self.kernel = payload
        said = payload if how in b"REP" else b""
        reply(key, how, number, bool(os.listdir(SCRATCH)), bytes(log.data[: self.log]), said)
        os.close(out.fd)
        os.close(log.fd)


def main() -> None:
    """Close this process to its children's eyes, then serve."""
    if os.getpid() != 1:
        sys.exit(72)  # `sweep` kills every process it can see: only process 1 of a namespace may run this
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit(71)
    most, log, space = (int(word) for word in sys.argv[1:4])
    resource.setrlimit(resource.RLIMIT_AS, (space, space))  # for the children, who inherit it
    harness = Harness(most, log)
    null = os.open(os.devnull, os.O_RDWR)
    for place in (REPLY, GO):
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
