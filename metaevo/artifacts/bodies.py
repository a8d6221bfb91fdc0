"""What a journal step produced, as zstd JSONL: every task and solution is stored once, later bodies refer to it.

A body is a header line ``{"kind", "refs"}`` and one line per record. ``refs`` are the digests of earlier bodies
of the same line whose tasks and solutions the rows name by id.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from metaevo.artifacts.store import Store
from metaevo.errors import StoreError
from metaevo.types import Attempt, Experience, Feedback, Solution
from objectives.types import Task

T = TypeVar("T")


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return the (cached) pydantic adapter of a type."""
    return TypeAdapter(kind)


def dump(value: Any) -> bytes:
    """Return any record as JSON."""
    return to_json(value)


def parse(kind: type[T], data: bytes | str) -> T:
    """Return the record of this type that the JSON holds."""
    return adapter(kind).validate_json(data)  # type: ignore[no-any-return, arg-type]


@dataclass(slots=True)
class Shelf:
    """The tasks and solutions one line has stored so far, and in which body each stands."""

    store: Store
    tasks: dict[str, tuple[Task, str]] = field(default_factory=dict)
    solutions: dict[tuple[str, str], tuple[Solution, str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def write(self, value: Any) -> str:
        """Store a batch (tasks, attempts, experiences) or any other record; return its digest."""
        if not isinstance(value, tuple) or not value or not isinstance(value[0], Task | Attempt | Experience):
            empty = isinstance(value, tuple) and not value
            return self.store.put(dump({"kind": "empty"}) if empty else dump({"kind": "plain"}) + b"\n" + dump(value))
        refs: set[str] = set()
        fresh: dict[str, Any] = {"t": {}, "s": {}}
        rows = [self._row(record, refs, fresh) for record in value]
        head = {"kind": "rows", "refs": sorted(refs)}
        lines = [dump(head)]
        lines += [dump({"t": task}) for task in fresh["t"].values()]
        lines += [dump({"s": solution, "of": of}) for (of, _), solution in fresh["s"].items()]
        lines += [dump(row) for row in rows]
        digest = self.store.put(b"\n".join(lines))
        for task in fresh["t"].values():
            self.tasks[task.id] = (task, digest)
        for key, solution in fresh["s"].items():
            self.solutions[key] = (solution, digest)
        self.seen.add(digest)
        return digest

    def read(self, digest: str, kind: Any) -> Any:
        """Return what `write` stored; ``kind`` is the type of a plain record, unused for batches.

        Raises:
            StoreError: The body or one it refers to is missing or damaged.
        """
        head, *lines = self.store.get(digest).split(b"\n")
        header = from_json(head)
        if header["kind"] == "empty":
            return ()
        if header["kind"] == "plain":
            return parse(kind, lines[0])
        for ref in header["refs"]:
            if ref not in self.seen:
                self.read(ref, None)
        self.seen.add(digest)
        rows = []
        for line in lines:
            entry = from_json(line)
            if "t" in entry:
                task: Task = adapter(Task).validate_python(entry["t"])
                self.tasks[task.id] = (task, digest)
            elif "s" in entry:
                solution: Solution = adapter(Solution).validate_python(entry["s"])
                self.solutions[entry["of"], solution.id] = (solution, digest)
            else:
                rows.append(self._record(entry))
        return tuple(rows)

    def _row(self, record: Task | Attempt | Experience, refs: set[str], fresh: dict[str, Any]) -> Mapping[str, Any]:
        if isinstance(record, Task):
            return {"T": self._task(record, refs, fresh)}
        if isinstance(record, Attempt):
            return {"A": self._attempt(record, refs, fresh)}
        row: dict[str, Any] = {"X": self._attempt(record.attempt, refs, fresh), "f": record.feedback, "y": record.score}
        if record.rejected is not None:
            row["r"] = self._attempt(record.rejected, refs, fresh)
        return row | {"w": record.weight, "g": record.tags}

    def _task(self, task: Task, refs: set[str], fresh: dict[str, Any]) -> str:
        known = self.tasks.get(task.id)
        if known is not None and known[0] == task:
            refs.add(known[1])
        elif fresh["t"].setdefault(task.id, task) != task:
            raise StoreError(f"two different tasks with one id {task.id!r} in one batch")
        return task.id

    def _attempt(self, attempt: Attempt, refs: set[str], fresh: dict[str, Any]) -> tuple[str, str]:
        key = (self._task(attempt.task, refs, fresh), attempt.solution.id)
        known = self.solutions.get(key)
        if known is not None and known[0] == attempt.solution:
            refs.add(known[1])
        elif fresh["s"].setdefault(key, attempt.solution) != attempt.solution:
            raise StoreError(f"two different solutions with one id {key[1]!r} for task {key[0]!r} in one batch")
        return key

    def _record(self, row: Mapping[str, Any]) -> Task | Attempt | Experience:
        if "T" in row:
            return self.tasks[row["T"]][0]
        if "A" in row:
            return self._made(row["A"])
        feedback = adapter(tuple[Feedback, ...]).validate_python(row["f"])
        rejected = self._made(row["r"]) if "r" in row else None
        return Experience(self._made(row["X"]), feedback, row["y"], rejected, row["w"], tuple(row["g"]))

    def _made(self, key: Iterable[str]) -> Attempt:
        task, solution = key
        return Attempt(self.tasks[task][0], self.solutions[task, solution][0])


def count(value: Any) -> dict[str, int]:
    """Return what a journal row says of its body: how many rows, and how many tokens they cost."""
    if not isinstance(value, tuple):
        return {"rows": 1}
    tokens = sum(record.solution.tokens for record in value if isinstance(record, Attempt))
    return {"rows": len(value)} | ({"tokens": tokens} if tokens else {})
