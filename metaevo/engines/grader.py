"""The grader pool as the control plane sees it: draw tasks, grade answers, never wait for a hung reward.

An exception, a time-out or a death is tried again in a fresh process. If it comes back while the row's own answer
passes, it is the completion's fault (0 and an event); otherwise the environment's (None and an event). What a reward
returns outside its contract is always the environment's fault, and so is a None for the row's own answer. Events are
told once a request for each distinct cause, with its count.

A reward that executes text asks for the sandbox, which stands on this side (`programs.py`). A program that fails
there scores what the reward says, with the verdict as the note. A sandbox that is away is infrastructure: None.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import RLock
from typing import Any

from metaevo.artifacts.bodies import adapter
from metaevo.engines.process import Child
from metaevo.engines.programs import Programs
from metaevo.errors import EngineDied, EngineTimeout, from_frame
from objectives.drawing import Drawn, Sample
from objectives.finder import Source
from objectives.splits import NEWEST, Scheme
from objectives.types import Environment, Graded, Split, Task, Unsaid
from sandbox.handle import SandboxHandle, embedded

LOAD_S = 120.0
"""Seconds environments may take to import."""
CALL_S = 300.0
"""Seconds a draw or a description may take: some generators are slow."""
MEMORY_MIB = 1024
ALONE = 96
"""Items below which a batch is not worth splitting between processes."""

PATIENCE = 3
"""Programs in a row for which the sandbox may be away before the rest of a request is told so without asking."""

Item = tuple[str, int, str, str | None]
"""(origin, level, text, completion); a completion of None is the row's own answer."""
OnEvent = Callable[[str, str, dict[str, Any]], None]


class GraderPool:
    """A few spawned processes that hold the environments' code."""

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        workers: int = 2,
        memory_mib: int = MEMORY_MIB,
        sandbox: SandboxHandle | None = None,
        scheme: Scheme = NEWEST,
        samples: Mapping[str, Sample] | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self.scheme = scheme
        self.samples = dict(samples or {})
        """What was measured of cells, by version, level and scheme: a slow generator is measured once a version."""
        self.programs = Programs(sandbox or embedded())
        self.memory_mib = memory_mib
        environment = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "HOME": "/nonexistent"}
        self._children = [Child("metaevo.engines.grader_worker", environment=environment) for _ in range(workers)]
        self._locks = {id(child): RLock() for child in self._children}
        """One request at a time per process: parallel trials share the pool."""
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="grader")
        self.on_event: OnEvent = lambda _code, _sentence, _data: None
        self.closed_doors: dict[str, bool] = {}
        self._timeouts: dict[str, float] = {}

    def describe(self) -> list[Environment]:
        """Return every environment's data record.

        Raises:
            BadInput: An environment is missing or breaks the contract.
        """
        jobs = [
            self._threads.submit(self._describe, self._children[i % len(self._children)], source)
            for i, source in enumerate(self.sources)
            if i < len(self._children)
        ]
        share = [job.result() for job in jobs]
        found = {env.name: env for part in share for env in part}
        self._timeouts = {env.name: env.timeout_s for env in found.values()}
        return [found[source.name] for source in self.sources]

    def _describe(self, child: Child, first: Source) -> list[Environment]:
        at = self._children.index(child)
        made = []
        for source in self.sources[at :: len(self._children)]:
            train = source.options.get("train", True)
            answer = self._call(child, {"op": "describe", "environment": source.name, "train": train}, CALL_S)
            found: Environment = adapter(Environment).validate_python(answer)
            cells = {level: self._sample(child, found, level) for level in found.levels}
            texts, marks = ({n: c.texts for n, c in cells.items()}, {n: c.marks for n, c in cells.items() if c.marks})
            found = replace(found, texts=texts, marks=marks)
            made.append(
                replace(found, version=f"{found.version} {self.programs.handle.identity}") if found.runs else found
            )
        return made

    def _sample(self, child: Child, of: Environment, level: int) -> Sample:
        """Return what is known of a cell's sample, measured where nothing is."""
        key = f"{of.version}/{level}/{int(self.scheme)}"
        if key not in self.samples:
            answer = self._call(child, {"op": "sample", "environment": of.name, "level": level}, CALL_S)
            self.samples[key] = adapter(Sample).validate_python(answer)
        return self.samples[key]

    def draw(self, environment: str, level: int, split: Split, seed: int, start: int, n: int) -> Drawn:
        """Return the next ``n`` tasks of one cell, split and stream."""
        return self.draw_many([(environment, level, split, seed, start, n)])[0]

    def draw_many(self, wanted: Sequence[tuple[str, int, Split, int, int, int]]) -> list[Drawn]:
        """Return what each (environment, level, split, seed, start, n) draws, in order."""
        names = ("environment", "level", "split", "seed", "start", "n")
        requests = [{"op": "draw", **dict(zip(names, want, strict=True))} for want in wanted]
        return [adapter(Drawn).validate_python(answer) for answer in self._spread(requests)]

    def posed(self, texts: Sequence[str]) -> list[Task | None]:
        """Return the train task each posed text is, None where it is none."""
        answer = self._call(self._children[0], {"op": "posed", "texts": list(texts)}, CALL_S)
        return adapter(list[Task | None]).validate_python(answer)

    def refusals(self, rows: Sequence[tuple[str, Sequence[str], Sequence[str]]]) -> list[str]:
        """Return for each row (its environment, texts and replies) why it may not be trained on, "" where it may."""
        parts = len(self._children) if len(rows) >= ALONE else 1
        size = -(-len(rows) // parts) if rows else 1
        shares = [{"op": "refusals", "rows": list(rows[at : at + size])} for at in range(0, len(rows), size)]
        return [str(why) for said in self._spread(shares) for why in said]

    def mistakes(self, environment: str, items: Sequence[Item]) -> list[str | None]:
        """Return for each wrong answer the name of the known wrong procedure that gives it, or None."""
        request = {"op": "mistakes", "environment": environment, "items": list(items)}
        return list(self._call(self._children[0], request, CALL_S))

    def grade(self, environment: str, items: Sequence[Item]) -> list[Graded]:
        """Return one grade per item, in order."""
        parts = len(self._children) if len(items) >= ALONE else 1
        size = -(-len(items) // parts) if items else 1
        shares = [list(items[at : at + size]) for at in range(0, len(items), size)]
        jobs = [
            self._threads.submit(self._grade, self._children[i], environment, share) for i, share in enumerate(shares)
        ]
        return [grade for job in jobs for grade in job.result()]

    def close(self) -> None:
        """End all processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in self._children:
            child.kill()

    def _grade(self, child: Child, environment: str, items: list[Item]) -> list[Graded]:
        with self._locks[id(child)]:
            found = self._graded(child, environment, items)
        self._tell(environment, items, found)
        return found

    def _graded(self, child: Child, environment: str, items: list[Item]) -> list[Graded]:
        found: dict[int, Graded] = {}
        self._pass(child, environment, items, list(range(len(items))), found, singly=False)
        broken = [i for i in range(len(items)) if i not in found or found[i].failed]
        if broken:
            child.kill()
            for i in broken:
                found.pop(i, None)
            self._pass(child, environment, items, broken, found, singly=True)
            for i in broken:
                if found[i].failed:
                    found[i] = self._blame(child, environment, items[i], found[i].note)
        unsaid = [i for i in range(len(items)) if found[i].score is None and found[i].unsaid is None]
        for i, whose in zip(unsaid, self._whose(child, environment, [items[i] for i in unsaid]), strict=True):
            found[i] = replace(found[i], unsaid=whose)
        return [found[i] for i in range(len(items))]

    def _whose(self, child: Child, environment: str, items: list[Item]) -> list[Unsaid]:
        """Return whose it is that the reward said None of these answers: the row's where its own answer gets None too.

        A row that names no answer cannot show that it can be graded; its None is the completion's.
        """
        own: list[Item] = sorted({(origin, level, text, None) for origin, level, text, _ in items})
        answered: dict[int, Graded] = {}
        self._pass(child, environment, own, list(range(len(own))), answered, singly=True)
        scores = {item: answered[at].score for at, item in enumerate(own)}
        return [
            Unsaid.ROW if scores[origin, level, text, None] is None else Unsaid.COMPLETION
            for origin, level, text, _ in items
        ]

    def _pass(
        self,
        child: Child,
        environment: str,
        items: list[Item],
        which: list[int],
        found: dict[int, Graded],
        *,
        singly: bool,
    ) -> None:
        """Grade the named items once. Without ``singly`` an item that hangs ends the pass with the rest unknown."""
        left = list(which)
        while left:
            request = {"op": "grade", "environment": environment, "items": [items[i] for i in left], "singly": singly}
            try:
                for place, grade in self._streamed(child, request, self._timeouts.get(environment, 2.0)):
                    found[left[place]] = grade
                return
            except (EngineDied, EngineTimeout) as error:
                note = "timeout" if isinstance(error, EngineTimeout) else "died"
            left = [i for i in left if i not in found]
            if not singly:
                return
            found[left[0]] = Graded(None, note)
            left = left[1:]

    def _blame(self, child: Child, environment: str, item: Item, note: str) -> Graded:
        """Decide whose fault an item is that failed twice: the completion's (0) or the environment's (None)."""
        origin, level, text, _ = item
        answered: dict[int, Graded] = {}
        self._pass(child, environment, [(origin, level, text, None)], [0], answered, singly=True)
        own = answered[0]
        if own.away:
            return own
        fine = own.score is not None and own.score > 0
        return Graded(0.0, note, unsaid=Unsaid.COMPLETION) if fine else Graded(None, note, unsaid=Unsaid.ROW)

    def _tell(self, environment: str, items: Sequence[Item], grades: Sequence[Graded]) -> None:
        """Tell each distinct cause of this request once, with its count and its first answer."""
        away = [grade.note for grade in grades if grade.away]
        if away:
            self.on_event(
                "grader_failed",
                f"environment {environment}: no sandbox for {len(away)} of {len(grades)} answers ({away[0]}); "
                "they have no score",
                {"environment": environment, "note": away[0], "answers": len(away)},
            )
        blamed = [(grade.unsaid, grade.note) for grade in grades]
        for (unsaid, note), count in Counter(blamed).items():
            if unsaid is None or not note or note in away:
                continue
            _, _, text, completion = items[blamed.index((unsaid, note))]
            mine = unsaid is Unsaid.COMPLETION
            self.on_event(
                "answer_breaks_grader" if mine else "grader_failed",
                f"environment {environment}: grading failed twice ({note}) on {text[:80]!r}"
                f"{f' and {count - 1} more' if count > 1 else ''}; the fault is the "
                f"{'answer' if mine else 'environment'}'s",
                {
                    "environment": environment,
                    "note": note,
                    "answers": count,
                    "task": text[:200],
                    "completion": (completion or "")[:120],
                },
            )

    def _spread(self, requests: list[dict[str, Any]]) -> list[Any]:
        def share(at: int) -> list[Any]:
            mine = requests[at :: len(self._children)]
            return [self._call(self._children[at], request, CALL_S) for request in mine]

        jobs = [self._threads.submit(share, at) for at in range(len(self._children))]
        parts = [job.result() for job in jobs]
        return [parts[i % len(parts)][i // len(parts)] for i in range(len(requests))]

    def _call(self, child: Child, request: dict[str, Any], timeout_s: float) -> Any:
        with self._locks[id(child)]:
            self._ready(child)
            child.send(request)
            return _told(child.receive(timeout_s))

    def _streamed(self, child: Child, request: dict[str, Any], timeout_s: float) -> Iterator[tuple[int, Graded]]:
        """Yield (place, grade) as they come; a silence of ``timeout_s`` kills the process and raises.

        The time that a program takes in the sandbox is not the process's.
        """
        self._ready(child)
        child.send(request)
        away: dict[int, str] = {}
        missed, reason = 0, ""
        while True:
            frame = child.receive(timeout_s)
            if "run" in frame:
                said = {"away": reason} if missed >= PATIENCE else self.programs.answer(frame["run"])
                missed = missed + 1 if "away" in said else 0
                if "away" in said:
                    away[frame["run"]["item"]] = reason = said["away"]
                child.send(said)
                continue
            for place, score, note, whose in frame["progress"] if "progress" in frame else _told(frame):
                gone = away.get(place)
                known = Graded(score, note, unsaid=Unsaid(whose) if whose else None)
                lost = Graded(None, gone or "", away=True, unsaid=Unsaid.ROW)
                yield place, known if gone is None else lost
            if "progress" not in frame:
                return

    def _ready(self, child: Child) -> None:
        if child.running:
            return
        child.kill()
        child.start()
        child.send({"op": "load", "sources": self.sources, "memory_mib": self.memory_mib, "scheme": int(self.scheme)})
        self.closed_doors = _told(child.receive(LOAD_S))


def _told(frame: dict[str, Any]) -> Any:
    if "ok" in frame:
        return frame["ok"]
    raise from_frame(frame)
