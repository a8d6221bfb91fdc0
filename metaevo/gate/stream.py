"""The order of an exam's items: each one's cell drawn at random by fixed weights from a committed stream.

Lazy, and the same however far it is read. Items that share a group come together, as one bet. It ends when a drawn
cell has no unread item left: to go on with the other cells would be another question.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from metaevo.types import Tasks
from objectives.drawing import Drawn
from objectives.splits import canonical
from objectives.types import Cell, Split, Task

CHUNK = 64
"""Items that are drawn at a time of an endless cell: of ten texts that are made one is the gate's."""
FIXED = 1
"""Stream seed of a finite cell's fixed sample."""
Wanted: TypeAlias = tuple[str, int, Split, int, int, int]
"""(environment, level, split, seed, start, n)."""
Draw: TypeAlias = Callable[[Wanted], Drawn]


@dataclass(slots=True)
class CellItems:
    """The items of one cell in the order they are asked: an endless one's as they come, a finite one's shuffled."""

    draw: Draw
    cell: Cell
    seed: int
    texts: int | None
    _ready: list[Task] = field(default_factory=list)
    _next: int = 0
    _dry: bool = False
    _closed: set[str] = field(default_factory=set)

    def unit(self, used: set[str]) -> Tasks:
        """Return the next item of a text not ``used`` yet, with all of its group that come with it; () at the end."""
        while (first := self._pop()) is not None:
            if (text := canonical(first.prompt)) in used or (first.group and first.group in self._closed):
                continue
            used.add(text)
            members = [first]
            if first.group:
                self._closed.add(first.group)
                while (more := self._peek()) is not None and more.group == first.group:
                    self._pop()
                    if (text := canonical(more.prompt)) not in used:
                        used.add(text)
                        members.append(more)
            return tuple(members)
        return ()

    def _peek(self) -> Task | None:
        if not self._ready and not self._dry:
            n, seed = (CHUNK, self.seed) if self.texts is None else (max(1, self.texts), FIXED)
            wanted = (self.cell.environment, self.cell.level, Split.GATE, seed, self._next, n)
            drawn = self.draw(wanted)
            self._next, self._dry = drawn.next, drawn.dry or self.texts is not None
            self._ready = list(drawn.tasks if self.texts is None else sorted(drawn.tasks, key=self._place))
        return self._ready[0] if self._ready else None

    def _pop(self) -> Task | None:
        first = self._peek()
        if first is not None:
            self._ready.pop(0)
        return first

    def _place(self, task: Task) -> tuple[bytes, bytes]:
        """Return the place of a fixed item: groups stay together, everything else is shuffled by the seed."""
        return self._hash(task.group or task.id), self._hash(task.id)

    def _hash(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=str(self.seed).encode(), digest_size=8).digest()


def units(draw: Draw, cells: Sequence[tuple[Cell, int | None]], weights: Sequence[float], seed: int) -> Iterator[Tasks]:
    """Yield the items of an exam, one bet at a time; each cell stands with its number of texts, None if endless."""
    rng, used = Random(seed), set[str]()
    sources = [CellItems(draw, cell, seed, texts) for cell, texts in cells]
    while True:
        (source,) = rng.choices(sources, weights)
        made = source.unit(used)
        if not made:
            return
        yield made
