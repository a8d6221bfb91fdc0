"""A child process that speaks frames, as the control plane holds it: started late, watched, killed for sure.

Death goes both ways: the child ends when its parent is gone (a pipe only the parent holds), and a child that is
silent for longer than its deadline is killed with its whole process group.
"""

import contextlib
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from metaevo.engines.protocol import LIMIT
from metaevo.errors import EngineDied, EngineTimeout

PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
    "PYTHONPATH",  # a package that the control plane finds must be found by engines and graders too
)
"""Environment variables a child inherits: no token, no key, no secret of the daemon's own."""


class Child:
    """One process of ``python -m module``, with frames on its stdin and stdout."""

    def __init__(
        self, module: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.module, self.arguments, self.environment = module, tuple(arguments), dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._alive: int | None = None
        self._log: Any = None
        self._rest = b""

    @property
    def running(self) -> bool:
        """Return whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Return the process id, None where it is not running."""
        return self._process.pid if self._process is not None and self.running else None

    def start(self) -> None:
        """Start the process; its stderr goes to a file of its own whose end explains a death."""
        theirs, self._alive = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._process = subprocess.Popen(
            # -P: a random.py in the folder where a person stands is none of ours
            [sys.executable, "-P", "-m", self.module, str(theirs), *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=inherited | self.environment,
            pass_fds=(theirs,),
            start_new_session=True,
        )
        os.close(theirs)
        self._rest = b""

    def send(self, message: object) -> None:
        """Write one frame.

        Raises:
            EngineDied: The process is gone.
        """
        if self._process is None or self._process.stdin is None:
            raise EngineDied(f"{self.module} is not running")
        body = to_json(message)
        try:
            self._process.stdin.write(struct.pack(">I", len(body)) + body)
            self._process.stdin.flush()
        except (BrokenPipeError, OSError) as error:
            raise EngineDied(self._epitaph()) from error

    def receive(self, timeout_s: float) -> Any:
        """Read one frame.

        Raises:
            EngineTimeout: None came within ``timeout_s``; the process was killed.
            EngineDied: The process is gone.
        """
        until = time.monotonic() + timeout_s
        (size,) = struct.unpack(">I", self._read(4, until, timeout_s))
        if size > LIMIT:
            self.kill()
            raise EngineDied(f"{self.module}: a frame of {size} bytes is not a frame")
        return from_json(self._read(size, until, timeout_s))

    def kill(self) -> None:
        """End the process and everything it started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if self._alive is not None:
            os.close(self._alive)
        self._process, self._alive, self._log = None, None, None

    def _read(self, size: int, until: float, timeout_s: float) -> bytes:
        if self._process is None or self._process.stdout is None:
            raise EngineDied(f"{self.module} is not running")
        handle = self._process.stdout.fileno()
        while len(self._rest) < size:
            left = until - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                self.kill()
                raise EngineTimeout(f"{self.module} was silent for {timeout_s:.0f} s and was killed")
            piece = os.read(handle, 1 << 20)
            if not piece:
                raise EngineDied(self._epitaph())
            self._rest += piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _epitaph(self) -> str:
        """Return how the process ended, with the last line it wrote, and clean up after it."""
        code, last = None, ""
        with contextlib.suppress(subprocess.TimeoutExpired):  # it closed its stream and lives on: killed below
            code = self._process.wait(5) if self._process is not None else None
        if self._log is not None:
            self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 4000))
            lines = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
            last = f": {lines[-1][:300]}" if lines else ""
        self.kill()
        how = "a closed stream" if code is None else f"signal {-code}" if code < 0 else f"exit status {code}"
        return f"{self.module} ended with {how}{last}"
