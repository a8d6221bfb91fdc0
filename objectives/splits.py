"""Which split a task text belongs to: a keyed hash of the text itself, never of a seed.

Two items with one text are one item, wherever they come from, so an exam item cannot reach training by
being generated, imported or posed again. Shares: train 60 %, probe 10, dev 10, gate 10, anchor 5, vault 5.
A home's scheme never changes by itself: what it trained on and what it kept follow from it.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache

from objectives.types import Messages, Split

KEY, TEXT_KEY, ITEM_KEY = b"metaevo splits 1", b"metaevo splits 2", b"metaevo item seeds"
FILLERS = (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)
INVISIBLE = frozenset((*FILLERS, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)))
"""Characters that show nothing and yet are letters, marks or symbols to Unicode."""
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


def folded(text: str) -> str:
    """Return the text as splits see it: without case, spacing, and characters that nobody sees."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", text) if not hidden(c) and not c.isspace())
    return unicodedata.normalize("NFKC", seen.casefold())


@lru_cache(maxsize=1 << 14)
def hidden(character: str) -> bool:
    """Return whether a character shows nothing (format and control characters, selectors, fillers)."""
    code = ord(character)
    unseen = unicodedata.category(character) in ("Cf", "Cc", "Cn") or code in INVISIBLE or 0xE0000 <= code < 0xE1000
    return unseen and not character.isspace()


class Scheme(IntEnum):
    """How a home splits its texts and seeds its items: a fact of the home."""

    NAMED = 1
    """By the environment's name and the text; one seed for a whole stream. Homes that were begun so keep it."""
    TEXT = 2
    """By the folded text alone, whatever environment asks it; each item has a seed of its own."""

    def split(self, environment: str, text: str) -> Split:
        """Return the one split the canonical text belongs to in this environment."""
        return split_of(environment, text) if self is Scheme.NAMED else _drawn(folded(text), TEXT_KEY)

    def seed(self, stream: int, index: int) -> int:
        """Return what item ``index`` of a stream is made from: its own seed, 48 bits, or the stream's."""
        if self is Scheme.NAMED:
            return stream
        digest = hashlib.blake2b(f"{stream}/{index}".encode(), key=ITEM_KEY, digest_size=6).digest()
        return int.from_bytes(digest, "big")


NEWEST = Scheme.TEXT
"""The scheme of a home that begins today."""


def split_of(environment: str, text: str) -> Split:
    """Return the split under the first scheme, by which also the built-in base's corpus was chosen."""
    return _drawn(f"{environment}\0{text}", KEY)


def _drawn(said: str, key: bytes) -> Split:
    place = int.from_bytes(hashlib.blake2b(said.encode(), key=key, digest_size=8).digest(), "big") % 100
    for split, share in SHARES:
        if place < share:
            return split
        place -= share
    raise AssertionError("shares sum to 100")


def share(split: Split) -> float:
    """Return the share of all texts that the split holds, in [0, 1]."""
    return dict(SHARES)[split] / 100


def only(split: Split, environment: str, texts: Iterable[str], scheme: Scheme = NEWEST) -> list[str]:
    """Return the canonical texts that belong to ``split``, in order."""
    return [text for text in texts if scheme.split(environment, text) is split]
