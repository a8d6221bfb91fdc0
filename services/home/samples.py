"""What was measured of cells' samples is kept in the home: a slow generator is looked at once a version."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from metaevo.artifacts.bodies import adapter
from objectives.drawing import Sample

KEPT = "samples.json"
"""The file of a home that keeps them, by version, level and split scheme. Whoever removes it has them measured anew."""


def kept_samples(home: Path) -> dict[str, Sample]:
    """Return what was measured; nothing where the file is missing or no longer whole."""
    try:
        return dict(adapter(dict[str, Sample]).validate_json((home / KEPT).read_bytes()))
    except (OSError, ValidationError):
        return {}


def keep_samples(home: Path, found: Mapping[str, Sample]) -> None:
    """Keep what was measured, where there is a home that can be written: nothing but time is lost otherwise."""
    if not home.is_dir() or found == kept_samples(home):
        return
    aside = home / f".{KEPT}.{os.getpid()}"
    with contextlib.suppress(OSError):
        aside.write_bytes(adapter(dict[str, Sample]).dump_json(dict(found), indent=1))
        aside.replace(home / KEPT)
