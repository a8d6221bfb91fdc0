"""Make a golden home with the code as it is: ``python -m tests.replay.golden FILE.tar.zst``.

It is a real home on the built-in model: a promotion, and a second candidate that is held, for a person must approve. A
part that changes tables adds one made by the code before it, so that what is in use today can be opened for ever. The
recipe trains adapters and little is rehearsed, so that it stays small.
"""

import io
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from services.home.home import Home
from services.home.open import engine_processes
from tests.journeys import small

CONFIG = (
    small.CONFIG.replace("items = 16", "items = 8")
    .replace("trials = 2", "trials = 1")
    .replace("0.05", "0.2")
    .replace("levels = [4, 5]", "levels = [4, 5, 6, 7]")
    .replace("levels = [4, 5]", "levels = [4, 5, 6, 7]")
    + '[fixed]\nrecipe = "adapter"\n'
)
ADAPTER = small.PLAIN.replace('"plain"', '"adapter"').replace(
    "update =", 'stability = [{ use = "low_rank_adaptation", knobs = { r = 4 } }]\nupdate ='
)


def make(path: Path) -> Home:
    """Make the home."""
    home = small.create(path, CONFIG)
    (path / "recipes" / "adapter.toml").write_text(ADAPTER)
    run(home)
    run(home, approval=True)
    return home


def run(home: Home, *, approval: bool = False) -> None:
    """Run one cycle with real engines, of few tasks."""

    def briefly(_app: Any, evolution: Any) -> None:
        few = replace(evolution.settings, pool=96, rehearsal=96, dev=64, anchor=8)
        evolution.settings = replace(few, approval=approval)

    (made,) = small.evolve(home, make=engine_processes, watched=briefly)
    print(made.number, made.outcome, made.why, flush=True)


def pack(home: Path, file: Path) -> None:
    """Write a home without its logs and locks, in the order of its names, with no times and no owner."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for path in sorted(home.rglob("*")):
            if path.is_file() and path.suffix not in (".log", ".lock") and not path.name.endswith(("-wal", "-shm")):
                entry = archive.gettarinfo(path, path.relative_to(home).as_posix())
                entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
                with path.open("rb") as stream:
                    archive.addfile(entry, stream)
    file.write_bytes(zstandard.ZstdCompressor(level=19).compress(whole.getvalue()))


def unpack(file: Path, home: Path) -> Path:
    """Write a golden home into an empty folder and return it."""
    data = zstandard.ZstdDecompressor().decompress(file.read_bytes(), max_output_size=1 << 28)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(home, filter="data")
    return home


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        pack(make(Path(place) / "home").path, Path(sys.argv[1]))
