"""What a journal step produced, as zstd JSONL: every task and solution is stored once, later bodies refer to it.

A body is a header line ``{"kind", "refs"}`` and one line per record. ``refs`` are the digests of earlier bodies
of the same line whose tasks and solutions the rows name. A name is the record's id and a hash of what it holds: a
row never gets another record of the same id (a task drawn from another place, a sample with its answer parsed).
A small record that is not a batch needs no file of its own: `inline_body` gives its bytes to whoever has a better
place.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeGuard, TypeVar, cast

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from metaevo.artifacts.store import Store
from metaevo.errors import StoreError
from metaevo.types import Attempt, Experience, Feedback, Solution
from objectives.types import Task

T = TypeVar("T")
SMALL = 4096
"""Bytes of the largest record that may stand in a row of the ledger: a file of its own costs two forced writes.
Batches stay files, however small: later steps refer to their parts."""


def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Return the (cached) pydantic adapter of a type."""
    return cast(TypeAdapter[T], _adapter(kind))  # type: ignore[arg-type]  # mypy: a type is not hashable


@cache
def _adapter(kind: type[object]) -> TypeAdapter[object]:
    return TypeAdapter(kind)


def dump(value: object) -> bytes:
    """Return any record as JSON."""
    return to_json(value)


def parse(kind: type[T], data: bytes | str) -> T:
    """Return the record of this type that the JSON holds."""
    return adapter(kind).validate_json(data)


def record_of(kind: type[T], data: object) -> T:
    """Return the record of this type that plain data, as the ledger keeps it, holds."""
    return adapter(kind).validate_python(data)


@dataclass(slots=True)
class _Fresh:
    """What a body is the first to hold: it stores these, where it refers to all others."""

    tasks: dict[str, Task] = field(default_factory=dict)
    solutions: dict[tuple[str, str], Solution] = field(default_factory=dict)


@dataclass(slots=True)
class BodyStore:
    """The tasks and solutions one line has stored so far, and in which body each stands."""

    store: Store
    tasks: dict[str, tuple[Task, str]] = field(default_factory=dict)
    solutions: dict[tuple[str, str], tuple[Solution, str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def write(self, value: object) -> str:
        """Store a batch (tasks, attempts, experiences) or any other record; return its digest."""
        if isinstance(value, tuple) and not value:
            return self.store.put(dump({"kind": "empty"}))
        if not _batch(value):
            return self.store.put(dump({"kind": "plain"}) + b"\n" + dump(value))
        refs: set[str] = set()
        fresh = _Fresh()
        rows = [self._row(record, refs, fresh) for record in value]
        head = {"kind": "rows", "refs": sorted(refs)}
        lines = [dump(head)]
        lines += [dump({"t": task, "k": key}) for key, task in fresh.tasks.items()]
        lines += [dump({"s": solution, "k": key, "of": of}) for (of, key), solution in fresh.solutions.items()]
        lines += [dump(row) for row in rows]
        digest = self.store.put(b"\n".join(lines))
        for key, task in fresh.tasks.items():
            self.tasks[key] = (task, digest)
        for of, solution in fresh.solutions.items():
            self.solutions[of] = (solution, digest)
        self.seen.add(digest)
        return digest

    def read(self, digest: str, kind: type[T] | None) -> T:
        """Return what `write` stored; ``kind`` is the type of a plain record, unused for batches.

        Raises:
            StoreError: The body or one it refers to is missing or damaged.
        """
        head, *lines = self.store.get(digest).split(b"\n")
        header = from_json(head)
        if header["kind"] == "empty":
            return cast(T, ())
        if header["kind"] == "plain":
            if kind is None:
                raise StoreError(f"the body {digest[:12]} is a record of an unknown type")
            return parse(kind, lines[0])
        for ref in header["refs"]:
            if ref not in self.seen:
                self.read(ref, tuple)
        self.seen.add(digest)
        rows = []
        for line in lines:
            entry = from_json(line)
            if "t" in entry:
                task: Task = adapter(Task).validate_python(entry["t"])
                self.tasks[entry["k"]] = (task, digest)
            elif "s" in entry:
                solution: Solution = adapter(Solution).validate_python(entry["s"])
                self.solutions[entry["of"], entry["k"]] = (solution, digest)
            else:
                rows.append(self._record(entry))
        return cast(T, tuple(rows))

    def _row(self, record: Task | Attempt | Experience, refs: set[str], fresh: "_Fresh") -> Mapping[str, Any]:
        if isinstance(record, Task):
            return {"T": self._task(record, refs, fresh)}
        if isinstance(record, Attempt):
            return {"A": self._attempt(record, refs, fresh)}
        row: dict[str, Any] = {"X": self._attempt(record.attempt, refs, fresh), "f": record.feedback, "y": record.score}
        if record.rejected is not None:
            row["r"] = self._attempt(record.rejected, refs, fresh)
        return row | {"w": record.weight, "g": record.tags}

    def _task(self, task: Task, refs: set[str], fresh: "_Fresh") -> str:
        key = _key(task)
        if key in self.tasks:
            refs.add(self.tasks[key][1])
        else:
            fresh.tasks[key] = task
        return key

    def _attempt(self, attempt: Attempt, refs: set[str], fresh: "_Fresh") -> tuple[str, str]:
        key = (self._task(attempt.task, refs, fresh), _key(attempt.solution))
        if key in self.solutions:
            refs.add(self.solutions[key][1])
        else:
            fresh.solutions[key] = attempt.solution
        return key

    def _record(self, row: Mapping[str, Any]) -> Task | Attempt | Experience:
        if "T" in row:
            return self.tasks[row["T"]][0]
        if "A" in row:
            return self._made(row["A"])
        feedback = adapter(tuple[Feedback, ...]).validate_python(row["f"])
        rejected = self._made(row["r"]) if "r" in row else None
        return Experience(
            attempt=self._made(row["X"]),
            feedback=feedback,
            score=row["y"],
            rejected=rejected,
            weight=row["w"],
            tags=tuple(row["g"]),
        )

    def _made(self, key: Iterable[str]) -> Attempt:
        task, solution = key
        return Attempt(self.tasks[task][0], self.solutions[task, solution][0])


def inline_body(value: object) -> bytes | None:
    """Return a record as JSON where it is small and no batch: nothing will ever refer to its parts."""
    if _batch(value) or value == ():
        return None
    data = dump(value)
    return data if len(data) <= SMALL else None


def _batch(value: object) -> "TypeGuard[tuple[Task | Attempt | Experience, ...]]":
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Task | Attempt | Experience)


def _key(record: Task | Solution) -> str:
    return f"{record.id}~{hashlib.blake2b(dump(record), digest_size=8).hexdigest()}"


def count(value: object) -> dict[str, int]:
    """Return what a journal row says of its body: how many rows it has."""
    return {"rows": len(value) if isinstance(value, tuple) else 1}
