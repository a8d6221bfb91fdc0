"""Evidence files: ``tests/evidence/<claim>.json``, one entry a part, each written as it ends.

A part carries command, seeds, machine, numbers, commit, the paths it rests on (`claims.py`) and a fingerprint of just
those, so that ``python -m tests.evidence.record`` (in ``make check``) can name what is stale: evidence and benchmarks
alike. Pages name the code: a commit is rewritten when a branch is, what it held is not. Results that were measured
when the fingerprint was of the whole tree keep it; they are stale, for nobody can say which of its files mattered.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metaevo.artifacts.fingerprint import fingerprint
from tests.evidence.claims import BENCHMARKS, CLAIMS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "tests" / "benchmarks" / "results"
PROVES = ("metaevo", "objectives", "sandbox", "services")


def path(claim: str) -> Path:
    """Return the claim's file."""
    return HERE / f"{claim}.json"


def read(claim: str) -> dict[str, Any]:
    """Return the parts of a claim that are there."""
    return dict(json.loads(path(claim).read_text())) if path(claim).is_file() else {}


def write(claim: str, part: str, command: str, seeds: list[int], numbers: dict[str, Any], wall_s: float) -> None:
    """Add a part to its claim's file, whole or not at all."""
    entry = {
        "command": command,
        "seeds": seeds,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_s": round(wall_s, 1),
        "machine": machine(),
        "commit": commit(),
        "code": code(CLAIMS[claim]),
        "rests_on": list(CLAIMS[claim]),
        "numbers": numbers,
    }
    with (HERE / ".lock").open("w") as lock:  # parts may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        beside = path(claim).with_suffix(".part")
        beside.write_text(json.dumps(read(claim) | {part: entry}, indent=1, sort_keys=True) + "\n")
        os.replace(beside, path(claim))


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: cores, memory, processor, Python and library versions."""
    from importlib.metadata import version

    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "processor": model[0] if model else platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "trl", "peft", "optuna")},
    }


def commit() -> str:
    """Return the commit, with ``+`` where the tree differs from it."""
    run = lambda *args: subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=False).stdout  # noqa: E731
    return run("rev-parse", "--short=12", "HEAD").strip() + (
        "+" if run("status", "--porcelain", *PROVES).strip() else ""
    )


def code(paths: Iterable[str], root: Path = ROOT) -> str:
    """Return a fingerprint of the files that these globs name: their places and their bytes.

    Raises:
        ValueError: A glob names nothing: a file was moved, and what rests on it was not told.
    """
    files = set[Path]()
    for glob in paths:
        found = [path for path in root.glob(glob) if path.is_file() and "__pycache__" not in path.parts]
        if not found:
            raise ValueError(f"tests/evidence/claims.py: {glob}: there is no such file; say where it is now")
        files.update(found)
    return fingerprint([(path.relative_to(root).as_posix(), _digest(path)) for path in sorted(files)])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True, slots=True)
class Measured:
    """One result on record: what it is called on pages, which code gave it, and which code its paths hold now."""

    label: str
    """``evidence:CLAIM`` or ``benchmark:NAME``."""
    code: str
    commit: str
    whole: bool
    """Whether ``code`` is of the whole tree, as it was before results named what they rest on."""
    now: str
    renew: str

    @property
    def stale(self) -> bool:
        """Return whether the code it rests on has changed, or may have."""
        return self.whole or self.code != self.now

    @property
    def sentence(self) -> str:
        """Return what to say of a stale one."""
        of = "of the whole tree; which files it rests on was not recorded" if self.whole else f"now {self.now}"
        return f"{self.label}: stale, measured on code {self.code} ({of}); renew with {self.renew}"


def on_record(root: Path = ROOT) -> Iterator[Measured]:
    """Yield every part of every claim, and every benchmark, that has numbers."""
    for claim, paths in CLAIMS.items():
        file = root / "tests" / "evidence" / f"{claim}.json"
        parts = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for part in parts.values():
            yield _measured(f"evidence:{claim}", part, code(paths, root), f"make evidence CLAIM={claim}")
    for name, paths in BENCHMARKS.items():
        file = root / "tests" / "benchmarks" / "results" / f"{name}.json"
        if file.is_file():
            result = json.loads(file.read_text(encoding="utf-8"))
            yield _measured(f"benchmark:{name}", result, code(paths, root), f"make bench ARGS={name}")


def _measured(label: str, entry: Mapping[str, Any], now: str, renew: str) -> Measured:
    return Measured(label, entry["code"], entry["commit"].removesuffix("+"), "rests_on" not in entry, now, renew)


def unnamed(text: str, stale: Iterable[Measured]) -> Iterator[str]:
    """Yield which stale results a page shows without their code, or its commit, in the same section."""
    for section in re.split(r"^#+ ", text, flags=re.MULTILINE):
        for measured in stale:
            shown = re.search(rf"{re.escape(measured.label)}\b", section)
            if shown and measured.code not in section and measured.commit not in section:
                yield f"shows {measured.label} without its code {measured.code}"


def pages(root: Path = ROOT) -> list[Path]:
    """Return what people read: the pages at the top, and those of the packages and tests."""
    return sorted(
        {*root.glob("*.md"), *(path for top in (*PROVES, "deploy", "tests") for path in (root / top).rglob("*.md"))}
    )


def main(root: Path = ROOT) -> int:
    """Name what is stale; red only where a page shows such a number but not its code."""
    stale = [measured for measured in on_record(root) if measured.stale]
    for sentence in dict.fromkeys(measured.sentence for measured in stale):
        print(sentence)
    wrong = [
        f"{page.relative_to(root)} {said}"
        for page in pages(root)
        for said in dict.fromkeys(unnamed(page.read_text(encoding="utf-8"), stale))
    ]
    for line in wrong:
        print(line)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
