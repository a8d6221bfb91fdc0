"""Many short processes of one program, each a fork of a server that imported it: ``-m tests.faults.forks MODULE``.

The server answers every line of JSON (a list of arguments) with a process id and then with how that process ended:
the status that ``MODULE.child(arguments)`` returned. What the processes share are imports, a second of computing.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from metaevo.registry.registry import Registry
from metaevo.registry.slots import SLOTS

ROOT = Path(__file__).resolve().parents[2]


class Forks:
    """The client: one process at a time."""

    def __init__(self, module: str) -> None:
        alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # a process with threads cannot be forked
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forks", module],
            cwd=ROOT,
            env=alone,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *arguments: object) -> int:
        """Start a process and return its id."""
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        self.server.stdin.flush()
        return self.said()

    def said(self) -> int:
        """Return how the process ended: its exit status, or minus the signal that killed it."""
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())

    def run(self, *arguments: object) -> int:
        """Run a process to its end."""
        self.start(*arguments)
        return self.said()

    def close(self) -> None:
        """End the server."""
        assert self.server.stdin is not None
        self.server.stdin.close()
        self.server.wait(60)


def warm() -> None:
    """Import what every run imports late, and read every module's source once."""
    for name in ("ctypes", "numpy", "sqlalchemy.dialects.sqlite", "services.actions.run", "services.reports.plan"):
        importlib.import_module(name)
    registry = Registry()
    for slot in SLOTS:
        for name in registry.names(slot):
            registry.get(slot, name)


def serve(module: str) -> None:
    """Fork one process for each line; the server never has threads or open connections of its own."""
    program = importlib.import_module(module)
    warm()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = program.child(json.loads(line))
            except BaseException:  # noqa: BLE001 - the process boundary: the server must not go on in a child
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
