"""One hostile program, run twice: on a bare process, harmless and showing its effect; in a tier, at full strength.

The source defines `act(given)`. `BARE` is put before it: True on the bare process, where doses are small. `given` names
the canaries: a secret, a folder, a listener. How the effect shows decides how control and containment are judged.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sandbox.types import Kernel, Result, Shape, Verdict

CANARY = "canary-3f9a6c51d7"
CONTROL_S = 20.0


class Shows(StrEnum):
    """How a program's effect shows."""

    SAID = "said"
    """It returns True where it came through, else False."""
    VALUE = "value"
    """Any value that comes back as `returns` is the effect."""
    ENDLESS = "endless"
    """It does not end by itself."""
    DEAD = "dead"
    """It ends without an answer."""
    LATE = "late"
    """It leaves something behind that writes the file `late` after it answered."""
    DATA = "data"
    """True on a bare process; inside it may say what it likes, for it is only data."""


OUTSIDE = frozenset(v for v in Verdict if v is not Verdict.INFRA_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Program:
    """A name of THREATS.md 1.3 (H…) or of ours (O…), what it is, and its source."""

    name: str
    source: str
    shows: Shows = Shows.SAID
    expect: frozenset[Verdict] = OUTSIDE
    returns: Shape = Shape.ANY
    calls: int = 1

    def kernel(self) -> Kernel:
        """Return it as it runs in a tier."""
        return Kernel(f"BARE = False\n{self.source}", "act", self.returns, imports=None)


RUNNER = """
import json, sys
def host_side(given):
    hidden_answer = given['secret']
    space = {'__name__': 'kernel'}
    exec('BARE = True\\n' + given['source'], space)
    return space['act'](given)
given = json.loads(sys.argv[1])
found = host_side(given)
print('\\nRESULT ' + json.dumps([found], default=str), flush=True)
"""


def on_a_bare_process(program: Program, given: dict[str, str]) -> bool:
    """Return whether the effect showed."""
    words = [sys.executable, "-I", "-c", RUNNER, json.dumps({**given, "source": program.source})]
    env = {**os.environ, "METAEVO_CANARY": CANARY}
    limit = 1.5 if program.shows is Shows.ENDLESS else CONTROL_S
    said = ""
    for _ in range(program.calls):
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
        try:
            said = process.communicate(timeout=limit)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            return program.shows is Shows.ENDLESS
        finally:
            if program.shows is not Shows.LATE:
                _end(process)
    answers = [line for line in said.splitlines() if line.startswith("RESULT ")]
    return _shown(program, answers, Path(given["folder"]))


def _shown(program: Program, answers: list[str], folder: Path) -> bool:
    if program.shows is Shows.LATE:
        return _late(folder)
    if program.shows is Shows.DEAD:
        return not answers
    if program.shows in (Shows.VALUE, Shows.DATA):
        return bool(answers)
    return bool(answers) and answers[-1] == "RESULT [true]"


def _late(folder: Path) -> bool:
    for _ in range(100):
        if (folder / "late").exists():
            return True
        time.sleep(0.1)
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def contained(program: Program, result: Result, folder: Path) -> str:
    """Return what came through, or nothing."""
    if result.verdict not in program.expect:
        return f"verdict {result.verdict}, expected {sorted(program.expect)}: {result.note[:200]}"
    text = f"{result.values}{result.note}{result.log}"
    if CANARY in text or len(text) > 30_000:
        return "the secret came out, or too much to read"
    if any(ord(c) < 32 and c not in "\n\t" for c in result.note + result.log) or "\u202e" in result.note + result.log:
        return "control characters in what people see"
    answered = program.shows in (Shows.VALUE, Shows.ENDLESS, Shows.DEAD) and result.verdict is Verdict.OK
    if answered or (program.shows is Shows.SAID and result.values and any(v is True for v in result.values)):
        return f"it came through: {str(result.values)[:100]}"
    if (folder / "late").exists():
        return "something lived on"
    return ""


def digest(folder: Path) -> str:
    """Return a hash of every file below a folder, with times."""
    said = [(str(p), p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(folder.rglob("*")) if p.is_file()]
    return hashlib.sha256(repr(said).encode()).hexdigest()
