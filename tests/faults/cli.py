"""The real command line in a process of its own, and what may be said about how it refused."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from services.cli import main
from tests.faults.forks import ROOT, Forks

BASE = """seed = 3
[model]
base = "builtin:tiny"
[environments.sorting]
levels = [4, 5]
"""
"""The smallest configuration that is right."""
PASSING = ("lock", "metaevo.db-wal", "metaevo.db-shm")
"""Files that come and go while a home is used."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


def metaevo(*arguments: str | Path, home: Path | None = None, env: dict[str, str] | None = None) -> Said:
    """Run the command line to its end, in a process of its own."""
    if not SERVERS:
        SERVERS.append(Forks("tests.faults.cli"))
    place = ["--home", str(home)] if home is not None else []
    with TemporaryDirectory() as aside:
        out, err = Path(aside, "out"), Path(aside, "err")
        code = SERVERS[0].run(out, err, json.dumps(env or {}), *place, *arguments)
        return Said(code, out.read_text(), err.read_text())


SERVERS: list[Forks] = []


def child(arguments: list[str]) -> int:
    """Be the program ``metaevo``: stdout and stderr go to the first two arguments, the third is more environment."""
    out, err, env, *rest = arguments
    for handle, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
    for name in [name for name in os.environ if name.startswith("METAEVO")]:
        del os.environ[name]
    os.environ.update(json.loads(env))
    sys.argv = ["metaevo", *rest]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def installed(*arguments: str | Path) -> Said:
    """Run the installed script to its end."""
    command = [str(Path(sys.executable).parent / "metaevo"), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def written(folder: Path, text: str = BASE) -> Path:
    """Return a folder with this metaevo.toml and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metaevo.toml").write_text(text)
    return folder


def tree(folder: Path) -> dict[str, str]:
    """Return every file and folder below with what is in it; a ledger by its rows, not by its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found[name] = "folder"
        elif name == "metaevo.db":
            with closing(sqlite3.connect(path)) as ledger:
                found[name] = hashlib.sha256("\n".join(ledger.iterdump()).encode()).hexdigest()
        elif name not in PASSING:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def refused(said: Said, code: int, *parts: str) -> None:
    """One line on stderr with all these parts, this exit code, nothing on stdout."""
    assert "Traceback" not in said.err, said.err[-1500:]
    lines = said.err.rstrip("\n").splitlines()
    assert len(lines) == 1, said.err[-1500:]
    assert lines[0].startswith("metaevo: "), lines[0]
    missing = [part for part in parts if part not in lines[0]]
    assert not missing, f"no {missing} in {lines[0]!r}"
    assert (said.code, said.out) == (code, ""), f"exit {said.code}, said {said.out[:200]!r}: {lines[0]}"
    assert len(lines[0]) < 1200, len(lines[0])
