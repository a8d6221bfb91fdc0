"""The only program of ours inside a container. Standard library alone; it is process 1 and runs one kernel version.

    python3 -I -S -B harness.py MAX_SOURCE MAX_REQUEST MAX_REPLY MAX_LOG ADDRESS_SPACE

Requests come on fd 0, replies leave on fd 1 (frames of `sandbox/frame.py`). A candidate's code runs only in a
forked child, which holds neither. What keeps a child from speaking for the harness:

- process 1 of a pid namespace cannot be signalled from inside it, SIGKILL and SIGSTOP included;
- PR_SET_DUMPABLE 0: its memory, its descriptors under /proc/1/fd and its environment are closed to the same uid;
- every reply is sealed with a key that the host sends after the child was forked and that serves one call.

What a child says is passed on as opaque bytes: nothing here parses it. After each call every process but this one is
killed, so nothing of a call lives on; a file left in /tmp is reported, and the host throws the container away.
Nothing in here is trusted by the host: it reports, `judge.py` decides.
"""

import ast
import collections  # noqa: F401 (imported before the forks: what kernels may import costs them nothing)
import ctypes
import gc
import hashlib
import hmac
import json
import marshal
import math  # noqa: F401
import os
import random
import re  # noqa: F401
import resource
import select
import signal
import struct
import sys
import time
from typing import Any

LENGTH = struct.Struct(">I")
KEY, CHUNK = 32, 65536
NO_FRAME, ONE_FRAME, MORE = "nothing", "frame", "more"
PR_SET_DUMPABLE = 4
SCRATCH = "/tmp"
READY = b"ready"
LOOK_S = 0.1


def take(count: int) -> bytes:
    """Return exactly so many bytes of fd 0. The host gone: the end of this container."""
    parts = []
    while count:
        part = os.read(0, min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def request(most: int) -> bytes:
    """Return the next request's body."""
    (length,) = LENGTH.unpack(take(4))
    if length > most:
        os._exit(64)
    return take(length)


def put(fd: int, data: bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def reply(key: bytes, head: dict[str, Any], payload: bytes = b"") -> None:
    """Send one sealed reply."""
    said = json.dumps(head).encode()
    tag = hmac.new(key, said + payload, hashlib.sha256).digest()
    put(1, LENGTH.pack(len(said)) + tag + said + LENGTH.pack(len(payload)) + payload)


def look(tree: ast.AST, allowed: frozenset[str]) -> str:
    """Return the first import that is not allowed, or nothing."""
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [("." * node.level) + (node.module or "")]
        for name in names:
            if name.split(".")[0] not in allowed:
                return f"line {node.lineno}: imports {name}"  # type: ignore[attr-defined]
    return ""


def compiling(order: dict[str, Any]) -> tuple[bytes, bytes]:
    """In a child: return what to say about the source: P refused by the look, E an error, K compiled code."""
    tree = ast.parse(order["source"], "kernel.py")
    refused = "" if order["imports"] is None else look(tree, frozenset(order["imports"]))
    if refused:
        return b"P", refused.encode("utf-8", "replace")
    return b"K", marshal.dumps(compile(tree, "kernel.py", "exec", dont_inherit=True))


def applying(code: bytes, function: str, body: bytes) -> tuple[bytes, bytes]:
    """In a child: return R and the values of all rows as JSON. Whatever the candidate raises goes up."""
    space: dict[str, Any] = {"__name__": "kernel", "__builtins__": __builtins__}
    random.seed(0)
    exec(marshal.loads(code), space)
    call = space[function]
    return b"R", json.dumps([call(*row) for row in json.loads(body)]).encode()


def child(out: int, log: int, go: int, space: int, work: Any) -> None:
    """Be the child: give up every descriptor of the harness, wait for the word, work, answer, end."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        held = os.dup(out), os.dup(go)
        os.dup2(held[0], 3)
        os.dup2(held[1], 4)
        os.closerange(5, 64)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        if os.read(4, 1) != b"g":
            os._exit(1)
        os.close(4)
        try:
            kind, said = work()
        except BaseException as error:  # noqa: BLE001 (whatever a candidate raises is its own crash)
            kind, said = b"E", f"{type(error).__name__}: {str(error)[:4000]}"[:8000].encode("utf-8", "replace")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        put(3, LENGTH.pack(len(said) + 1) + kind + said)
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

    def state(self) -> str:
        """Return whether the data is nothing whole, exactly one frame, or more than one."""
        if len(self.data) < 4:
            return NO_FRAME
        (length,) = LENGTH.unpack(self.data[:4])
        if len(self.data) - 4 < length or length < 1:
            return NO_FRAME
        return ONE_FRAME if len(self.data) - 4 == length else MORE


def sweep() -> None:
    """Kill and reap every process but this one, until there is none. Signals are repeated: gVisor may lose one."""
    while True:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            continue
        time.sleep(0.001)


def attend(pid: int, out: Tap, log: Tap, wake: int) -> tuple[str, int | None]:
    """Return (which cap the child passed, its wait status): wait for its end, then end all of its kin."""
    passed, status = "", None
    while status is None and not passed:
        ready, _, _ = select.select([wake, *(tap.fd for tap in (out, log) if tap.open)], [], [], LOOK_S)
        passed = "log" if log.pull() else "reply" if out.pull() else ""
        if wake in ready:
            os.read(wake, CHUNK)
        if wake in ready or not ready:
            done, how = os.waitpid(pid, os.WNOHANG)
            status = how if done else None
    sweep()
    return ("log" if log.pull() else "reply" if out.pull() else passed), status


def report(passed: str, status: int | None, out: Tap) -> dict[str, Any]:
    """Return what happened, in the harness's words."""
    if passed:
        return {"how": "overflow", "which": passed}
    state = out.state()
    if state == MORE:
        return {"how": "extra"}
    if status is not None and os.WIFSIGNALED(status):
        return {"how": "killed", "signal": os.WTERMSIG(status)}
    if state == NO_FRAME:
        return {"how": "torn" if out.data else "exited", "code": os.waitstatus_to_exitcode(status or 0)}
    return {"how": {82: "returned", 69: "raised", 80: "refused", 75: "compiled"}.get(out.data[4], "torn")}


class Harness:
    """Holds the compiled kernel and answers requests until the host hangs up."""

    def __init__(self, source: int, request_: int, reply_: int, log: int, space: int) -> None:
        self.most = {"L": 6 * source + CHUNK, "C": request_}
        self.reply, self.log, self.space = reply_, log, space
        self.code, self.function = b"", ""
        self.wake, theirs = os.pipe()
        for end in (self.wake, theirs):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)

    def answer(self) -> None:
        """Serve one request: fork first, only then take the key; tell the host; only then let the child go."""
        op = take(1).decode("latin-1")
        body = request(self.most[op])
        work: Any
        if op == "L":
            order = json.loads(body)
            self.function = order["function"]
            work, most = lambda: compiling(order), 64 * 1024 * 1024
        else:
            work, most = lambda: applying(self.code, self.function, body), self.reply
        out, log, (go, send) = Tap(most + 5), Tap(self.log), os.pipe()
        pid = os.fork()
        if pid == 0:
            child(out.theirs, log.theirs, go, self.space, work)
        for end in (out.theirs, log.theirs, go):
            os.close(end)
        key = take(KEY)
        reply(key, {"how": "started"})
        put(send, b"g")
        os.close(send)
        passed, status = attend(pid, out, log, self.wake)
        os.close(out.fd)
        os.close(log.fd)
        head = report(passed, status, out)
        head["log"] = bytes(log.data[: self.log]).decode("utf-8", "replace")
        head["dirty"] = bool(os.listdir(SCRATCH)) if os.path.isdir(SCRATCH) else False
        payload = bytes(out.data[5:]) if head["how"] in ("returned", "raised", "refused") else b""
        if head["how"] == "compiled":
            self.code = bytes(out.data[5:])
        reply(key, head, payload)


def main() -> None:
    """Close this process to its children's eyes, then serve."""
    if os.getpid() != 1:
        sys.exit(72)  # `sweep` kills every process it can see: only process 1 of a namespace may run this
    if ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit(71)
    harness = Harness(*(int(word) for word in sys.argv[1:6]))
    gc.collect()
    gc.freeze()
    gc.disable()
    put(1, READY)
    while True:
        harness.answer()


if __name__ == "__main__":
    main()
