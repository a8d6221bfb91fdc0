"""How a home begins: its secret, how it splits texts, and generation 0, which is the base model as it was given."""

import os
import secrets
from hashlib import blake2b
from math import isfinite
from pathlib import Path

from metaevo.errors import BadInput, NotFinite, writing
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.runtime.host import Host
from metaevo.runtime.manifest import Manifest
from metaevo.types import Generation
from objectives.splits import NEWEST, Scheme

SECRET = "secret"
"""The file of a home that holds the exam's secret: readable by its owner alone, and never in the ledger."""


def exam_secret(folder: Path, ledger: Ledger, seed: int | None) -> str:
    """Return the home's secret: its file's, made once at random, or what the operator's ``[gate] secret_seed`` gives.

    Exam items are drawn from H(secret, cycle); nothing a recipe, module or kernel can read leads to it. A home that
    an older metaevo began kept it in the ledger: it moves into the file.

    Raises:
        BadInput: The home has a history and its file is gone.
    """
    if seed is not None:
        return blake2b(f"metaevo seed {seed}".encode()).hexdigest()[:64]
    path = folder / SECRET
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    kept = ledger.meta("secret")
    if kept is None and Lineage(ledger).alias("champion") is not None:
        raise BadInput(path, "the exam's secret is gone", "put the file back, or set [gate] secret_seed")
    made = kept or secrets.token_hex(32)
    aside = path.with_name(f".{SECRET}.new")
    with writing(path):
        aside.unlink(missing_ok=True)
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{made}\n")
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    if kept is not None:
        ledger.drop_meta("secret")
    return made


UNSEALED = "unsealed"
"""The fact that names the newest generation that was trained under another split of texts."""


def scheme_of(ledger: Ledger) -> Scheme:
    """Return how the home splits its texts. One that was begun before homes said so has the first scheme."""
    said = ledger.meta("splits")
    if said is not None:
        return Scheme(int(said))
    return NEWEST if Lineage(ledger).alias("champion") is None else Scheme.NAMED


def publish_base(host: Host, base: str) -> Generation:
    """Publish the base as generation 0 and make it champion and reference; return it.

    Raises:
        BadInput: The engine cannot load it, or its answers have no probability.
    """
    lineage = host.lineage
    id_ = lineage.reserve(0, 0, 1, None)[0]
    first = Generation(id_, None, {"policy": base})
    try:
        probes = host.engine.probe(first)
    except NotFinite as error:
        raise BadInput("model.base", error, "a weight is damaged, restore the checkpoint") from error
    if not all(probe.logprob is not None and isfinite(probe.logprob) for probe in probes):
        raise BadInput(
            "model.base", "its answers have no finite probability: a weight is damaged", "restore the checkpoint"
        )
    manifest = Manifest(
        id=id_, parent=None, parts=first.parts, runtime=host.engine.identity, seed=host.seed, probes=tuple(probes)
    )
    lineage.publish(first, manifest=host.store.put(manifest.as_data()))
    lineage.crown(id_, who="metaevo", why="the base model")
    return first
