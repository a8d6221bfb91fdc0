"""Which split a task text belongs to: a keyed hash of the text itself, never of a seed.

Two items with one text are one item, wherever they come from, so an exam item cannot reach training by
being generated, imported or posed again. Shares: train 60 %, probe 10, dev 10, gate 10, anchor 5, vault 5.
"""

import hashlib
import unicodedata
from collections.abc import Iterable

from objectives.types import Messages, Split

KEY = b"metaevo splits 1"
SHARES: tuple[tuple[Split, int], ...] = (
    (Split.TRAIN, 60),
    (Split.PROBE, 10),
    (Split.DEV, 10),
    (Split.GATE, 10),
    (Split.ANCHOR, 5),
    (Split.VAULT, 5),
)


def canonical(prompt: Messages) -> str:
    """Return the text that identifies a task: every turn but the system's, NFKC, white space folded."""
    spoken = " ".join(m.content for m in prompt if m.role != "system")
    return " ".join(unicodedata.normalize("NFKC", spoken).split())


def task_id(environment: str, text: str) -> str:
    """Return the id of the task with this canonical text: ``t`` and 16 hex digits."""
    return "t" + hashlib.blake2b(f"{environment}\0{text}".encode(), digest_size=8).hexdigest()


def split_of(environment: str, text: str) -> Split:
    """Return the one split the canonical text belongs to."""
    digest = hashlib.blake2b(f"{environment}\0{text}".encode(), key=KEY, digest_size=8).digest()
    place = int.from_bytes(digest, "big") % 100
    for split, share in SHARES:
        if place < share:
            return split
        place -= share
    raise AssertionError("shares sum to 100")


def share(split: Split) -> float:
    """Return the share of all texts that the split holds, in [0, 1]."""
    return dict(SHARES)[split] / 100


def only(split: Split, environment: str, texts: Iterable[str]) -> list[str]:
    """Return the canonical texts that belong to ``split``, in order."""
    return [text for text in texts if split_of(environment, text) is split]
