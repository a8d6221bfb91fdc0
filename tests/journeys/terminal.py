"""The command line as a user has it: `metaevo` in this process where only words matter, a process where more does."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli import main
from tests.journeys.schemas import must_fit

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Return stdout as JSON."""
        return json.loads(self.out)


def metaevo(*words: object, home: Path | None = None, code: int | None = 0) -> Said:
    """Run a command in this process. ``code`` is the exit code it must have; None: any."""
    where = ["--home", str(home)] if home is not None else []
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, os.environ.pop("METAEVO_HOME", None))
    sys.argv = ["metaevo", *where, *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        ended = end.code if isinstance(end.code, int) else 0
    finally:
        sys.argv = before[0]
        if before[1] is not None:
            os.environ["METAEVO_HOME"] = before[1]
    return _checked(words, Said(ended, out.getvalue(), err.getvalue()), code)


def _checked(words: tuple[object, ...], said: Said, code: int | None) -> Said:
    assert code in (None, said.code), f"metaevo {' '.join(map(str, words))}: exit {said.code}\n{said.out}\n{said.err}"
    if "--json" in words and said.out:
        must_fit(words, said.out)
    return said


def shell(
    *words: object,
    home: Path | None = None,
    code: int | None = 0,
    cwd: Path = ROOT,
    python: str = sys.executable,
    environment: dict[str, str] | None = None,
    timeout: float = 1000,
) -> Said:
    """Run a command in a process of its own, with nothing in its environment that a fresh machine has not."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    kept |= {"HOME": str(home.parent if home else cwd), **(environment or {})}
    where = ["--home", str(home)] if home is not None else []
    result = subprocess.run(
        [python, "-m", "services.cli", *where, *map(str, words)],
        cwd=cwd,
        env=kept,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return _checked(words, Said(result.returncode, result.stdout, result.stderr), code)
