"""Make a golden home with the code as it is: ``python -m tests.replay.golden FILE.tar.zst``.

It is a real home on the built-in model: a promotion, one with an adopted kernel that is then quarantined, one that is
rolled back under an open cycle, a search that ends with nothing, and what a weak recipe comes to, a hold at best. A
part that changes tables adds one made by the code before it, so that what is in use today can be opened for ever. All
recipes train adapters and little is rehearsed, so that it stays small.
"""

import io
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from metaevo.registry import generated_files
from metaevo.registry.generated import Code
from metaevo.synthesis.admission import admit, admitted_module
from sandbox.monty import Monty
from services.home.home import Home
from services.home.open import engine_processes
from tests.journeys import small
from tests.journeys.terminal import metaevo
from tests.replay.story import interrupted

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
SOURCE = "def keep(row):\n    return row['score'] is not None and row['score'] >= 1\n"
KERNEL = Code("refinement", "keep", "syn_right", SOURCE)
RECIPES = {
    "adapter": ADAPTER,
    "kernel": ADAPTER.replace("metric_filter", KERNEL.name),
    "weak": ADAPTER.replace(
        'use = "supervised_finetune"', 'use = "supervised_finetune", knobs = { lr = 2e-4, steps = 8 }'
    ),
    "none": ADAPTER.replace(
        'use = "supervised_finetune"', 'use = "supervised_finetune", knobs = { lr = 1e-5, steps = 2 }'
    ),
}

MOST = 5
"""Cycles in which a hold may come."""


def make(path: Path) -> Home:
    """Make the home."""
    home = small.create(path, CONFIG)
    for name, text in RECIPES.items():
        (path / "recipes" / f"{name}.toml").write_text(text.replace('"adapter"', f'"{name}"'))
    with Monty() as tier:
        made = admitted_module(KERNEL, admit(SOURCE, KERNEL.kind, KERNEL.slot, tier), "grammar", cycle=0)
    generated_files.save(path, made)
    run(home, "adapter")
    metaevo("modules", "adopt", KERNEL.name, home=path)
    run(home, "kernel")
    metaevo("modules", "quarantine", KERNEL.name, "--reason", "it lies", home=path)
    run(home, "adapter")
    interrupted(home, engine_processes)
    metaevo("rollback", "--reason", "it got worse", home=path)
    run(home, "none")
    home.config_path.write_text(home.text.replace("max_items = 320", "max_items = 96"))
    for _ in range(MOST):
        if run(home, "weak") == "hold":
            break
    return home


def run(home: Home, recipe: str) -> str:
    """Run one cycle of this recipe with real engines; return its outcome."""
    head, _, _ = home.text.partition("[fixed]")
    home.config_path.write_text(f'{head}[fixed]\nrecipe = "{recipe}"\n')
    (made,) = small.evolve(home, make=engine_processes, watched=briefly)
    print(recipe, made.number, made.outcome, made.why, flush=True)
    return made.outcome


def briefly(_app: Any, evolution: Any) -> None:
    """Let a cycle draw few tasks."""
    evolution.settings = replace(evolution.settings, pool=96, rehearsal=96, dev=64, anchor=8)


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
