"""Evidence files: ``tests/evidence/<claim>.json``, one entry a part, each written as it ends.

A part carries command, seeds, machine, numbers, commit and a fingerprint of the code it proves, so that
``python -m tests.evidence.record`` (in ``make check``) can name the claims whose code has changed since. Pages name the
code: a commit is rewritten when a branch is, what it held is not.
"""

import fcntl
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metaevo.artifacts.fingerprint import fingerprint

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROVES = ("metaevo", "objectives", "services")


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
        "code": code(),
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


def code() -> str:
    """Return a fingerprint of all that ships: Python, TOML and the built-in weights' manifest."""
    files = sorted(
        file
        for folder in PROVES
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".toml", ".json", ".jinja") and "__pycache__" not in file.parts
    )
    return fingerprint([(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")) for file in files])


def main() -> int:
    """Name the claims whose code has changed since; red only where a page shows such a number but not its code."""
    now, pages = code(), [*ROOT.glob("*.md"), *ROOT.glob("*/**/*.md")]
    red = 0
    for file in sorted(HERE.glob("*.json")):
        parts = json.loads(file.read_text())
        old = sorted({part["code"] for part in parts.values()} - {now})
        if not old:
            continue
        print(
            f"evidence: {file.stem}: the code has changed since {', '.join(old)} (now {now}); "
            f"renew with make evidence CLAIM={file.stem}"
        )
        for page in pages:
            if ".venv" in page.parts or f"evidence:{file.stem}" not in (text := page.read_text(encoding="utf-8")):
                continue
            missing = [one for one in old if one not in text]
            if missing:
                red = 1
                print(f"evidence: {page.relative_to(ROOT)} shows {file.stem} without its code {', '.join(missing)}")
    return red


if __name__ == "__main__":
    sys.exit(main())
