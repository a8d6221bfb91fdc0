"""Draw tasks of one split from an environment, and measure how many distinct texts a cell has.

A text outside its split is skipped, so the drawn items are disjoint between splits by construction.
"""

import hashlib
import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice

from objectives.environment import Program, Row, identity, messages, own_answer
from objectives.splits import NEWEST, Scheme, canonical, share, task_id
from objectives.types import Split, Task

FINITE = 20_000
"""Distinct texts below which a cell is finite: its gate share holds fewer than 2,000."""
LOOKS = 1_500
"""Texts looked at to estimate a size: a cell of 20,000 shows about 56 repeats in them."""
CERTAIN = 600
"""Texts after which no repeat at all says endless: a cell of 20,000 would show about nine."""
MARKS = 4
"""Digests of texts that a finite cell's sample is known by."""
QUIET = 400
"""Expected items without a new text after which a stream counts as dry."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tasks and where to go on; ``dry`` when the stream has no more."""

    tasks: tuple[Task, ...]
    next: int
    dry: bool


def draw(program: Program, level: int, split: Split, seed: int, start: int, n: int, scheme: Scheme = NEWEST) -> Drawn:
    """Return the next ``n`` distinct tasks of one cell and split from the stream ``seed``, from place ``start`` on."""
    if n <= 0:
        return Drawn((), start, dry=False)
    tasks: list[Task] = []
    seen: set[str] = set()
    at = last = start
    quiet = round(QUIET / share(split))
    for at, origin, row in _stream(program, level, seed, start, scheme):
        text = identity(row)
        if text not in seen and scheme.split(program.name, text) is split:
            seen.add(text)
            last = at
            tasks.append(task_of(program, row, origin, level, split, text))
            if len(tasks) == n:
                return Drawn(tuple(tasks), at + 1, dry=False)
        if program.rows is None and at - last > quiet:
            break
    return Drawn(tuple(tasks), at + 1, dry=True)


def task_of(program: Program, row: Row, origin: str, level: int, split: Split, text: str) -> Task:
    """Return the task a row is."""
    return Task(
        id=task_id(program.name, text),
        environment=program.name,
        level=level,
        split=split,
        prompt=messages(row["prompt"]),
        answer=row.get("answer"),
        reference=own_answer(row),
        origin=origin,
        group=None if row.get("group") is None else str(row["group"]),
    )


def posed(program: Program, text: str, scheme: Scheme = NEWEST) -> Task | None:
    """Return the train task that a text somebody posed is, with its row's answer; None where it is not one."""
    row = program.read(text) if program.read is not None else None
    if row is None or int(row.get("level", 1)) not in program.levels:
        return None
    spoken = canonical(messages(row["prompt"]))
    if scheme.split(program.name, spoken) is not Split.TRAIN:
        return None
    return task_of(program, row, "posed", int(row.get("level", 1)), Split.TRAIN, spoken)


@dataclass(frozen=True, slots=True)
class Sample:
    """How many distinct texts a cell has, None where it is endless, and marks that its fixed sample is known by.

    The marks are the smallest digests of its texts: they are the same under another name and in another environment,
    and with a few rows more most of them stay.
    """

    texts: int | None
    marks: tuple[str, ...] = ()


def sample(program: Program, level: int, scheme: Scheme = NEWEST) -> Sample:
    """Return what a cell's sample is; a fixed number of looks decides, however slow the generator and the machine."""
    looks = _stream(program, level, 0, 0, scheme)
    if program.rows is not None:
        seen = {identity(row) for _, _, row in looks}
        return Sample(len(seen), _marks(seen))
    seen, looked = set(), 0
    for _, _, row in islice(looks, LOOKS):
        seen.add(identity(row))
        looked += 1
        if looked == CERTAIN == len(seen):
            break
    size = distinct(looked, len(seen))
    return Sample(None) if size is None or size >= FINITE else Sample(size, _marks(seen))


def _marks(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(heapq.nsmallest(MARKS, (hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in texts)))


def sizes(program: Program, scheme: Scheme = NEWEST) -> dict[int, int | None]:
    """Return each level's number of distinct texts; None where it is too large to matter (the cell is endless)."""
    return {level: sample(program, level, scheme).texts for level in program.levels}


def groups(program: Program) -> dict[int, int]:
    """Return how many groups each level has whose rows name any; what a program makes is not counted beforehand."""
    named: dict[int, list[str | None]] = {}
    for index in program.first if program.rows is not None else ():
        row = (program.rows or ())[index]
        named.setdefault(int(row.get("level", 1)), []).append(None if row.get("group") is None else str(row["group"]))
    return {
        level: len(set(found) - {None}) + found.count(None) for level, found in named.items() if set(found) != {None}
    }


def distinct(looked: int, different: int) -> int | None:
    """Return how many texts there are when ``looked`` random ones showed ``different`` ones; None without a repeat."""
    if different >= looked:
        return None
    low, high = float(different), float(looked) ** 2
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (middle, high) if middle * -math.expm1(-looked / middle) < different else (low, middle)
    return round(high)


def _stream(program: Program, level: int, seed: int, start: int, scheme: Scheme) -> Iterator[tuple[int, str, Row]]:
    """Yield (place, origin, row) of one cell's stream; rows come in file order, each text once in the whole file."""
    if program.rows is not None:
        for index in program.first:
            row = program.rows[index]
            if index >= start and int(row.get("level", 1)) == level:
                yield index, f"row:{index}", row
        return
    if program.make is not None:
        for index in count(start):
            item = scheme.seed(seed, index)
            yield index, f"made:{item}:{index}", program.make(item, index, level)
