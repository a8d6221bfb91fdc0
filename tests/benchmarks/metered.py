"""Engines with a meter: what they were busy with, when, and the work itself, so that a plain script can repeat it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from metaevo.engines.protocol import Ask, Engine, Job, Published, Sampling
from metaevo.types import Completion, Experiences, Generation, Tasks, Tokens
from objectives.types import Messages


@dataclass(slots=True)
class Call:
    """One call an engine answered: what it was given, and when it was busy with it (monotonic seconds)."""

    kind: str
    start: float
    end: float
    cpu_s: float
    """CPU seconds of the calling thread: all of the work where the engine runs in this process."""
    given: Any
    made: Any

    @property
    def busy_s(self) -> float:
        """Return how long the engine was busy with it."""
        return self.end - self.start


@dataclass(slots=True)
class Metered:
    """An engine that does what another one does and keeps every call. ``close`` leaves the other one running."""

    inner: Engine
    keep: bool = False
    """Whether what was given and made is kept, or only the times."""
    calls: list[Call] = field(default_factory=list)

    @property
    def identity(self) -> str:
        """Return the other engine's identity."""
        return self.inner.identity

    @property
    def meter(self) -> Tokens:
        """Return the other engine's meter."""
        return self.inner.meter

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        """Return P x n completions."""
        return self._timed(
            "sample", (generation, prompts_P, how), lambda: self.inner.sample(generation, prompts_P, how)
        )

    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        """Return each text with its log-probability."""
        given = (generation, prompts_P, texts_P)
        return self._timed("score", given, lambda: self.inner.score(generation, prompts_P, texts_P))

    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        """Return mean last hidden states."""
        return self._timed("embed", (generation, texts_R), lambda: self.inner.embed(generation, texts_R))

    def train(self, job: Job, batch: Experiences | Tasks | Generation, ask: Ask) -> Published:
        """Run a module that asks for `Weights`."""
        return self._timed("train", (job, batch), lambda: self.inner.train(job, batch, ask))

    def probe(self, generation: Generation) -> Sequence[Completion]:
        """Return the fixed probes' answers."""
        return self._timed("probe", (generation,), lambda: self.inner.probe(generation))

    def export(self, generation: Generation, folder: str) -> None:
        """Write the generation's policy into a folder."""
        self._timed("export", (generation, folder), lambda: self.inner.export(generation, folder))

    def close(self) -> None:
        """Leave the engine running: whoever started it ends it."""

    def _timed(self, kind: str, given: Any, run: Callable[[], Any]) -> Any:
        start, cpu = time.monotonic(), time.thread_time()
        made = run()
        call = Call(kind, start, time.monotonic(), time.thread_time() - cpu, None, None)
        if self.keep:
            call.given, call.made = given, made
        self.calls.append(call)
        return made
