"""How a home begins: its secret, and generation 0, which is the base model as it was given."""

import secrets
from hashlib import blake2b
from math import isfinite

from metaevo.errors import BadInput, NotFinite
from metaevo.ledger.ledger import Ledger
from metaevo.runtime.host import Host
from metaevo.runtime.manifest import Manifest
from metaevo.types import Generation


def ensure_secret(ledger: Ledger, seed: int | None) -> str:
    """Return the home's secret, made once: random, or from the operator's seed so that a run can be repeated.

    Exam items are drawn from H(secret, cycle); nothing a recipe, module or kernel can read leads to it.
    """
    known = ledger.meta("secret")
    if known is None:
        made = secrets.token_hex(32) if seed is None else blake2b(f"metaevo seed {seed}".encode()).hexdigest()[:64]
        ledger.set_meta("secret", made)
        return made
    return known


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
