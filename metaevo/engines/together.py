"""Several engines as one: a batch of prompts is dealt out to all of them, so that none waits while the others measure.

Rows are seeded by their place in the whole batch, so what comes back is what one engine alone would give.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from metaevo.engines.protocol import Ask, Engine, Job, Published, Sampling
from metaevo.types import Completion, Experiences, Generation, Tasks, Tokens
from objectives.types import Messages

FEW = 32
"""Prompts for which a second engine is not worth the while."""


@dataclass(frozen=True, slots=True)
class Together:
    """An engine made of engines that nobody else uses meanwhile; all but sampling is done by the first."""

    engines: Sequence[Engine]

    @property
    def identity(self) -> str:
        """Return the first one's identity: engines of one home are alike."""
        return self.engines[0].identity

    @property
    def meter(self) -> Tokens:
        """Return what went through all of them."""
        return sum((engine.meter for engine in self.engines), Tokens())

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        """Return P x n completions: every k-th prompt from the same of k engines."""
        if len(prompts_P) < FEW:
            return self.engines[0].sample(generation, prompts_P, how)
        count = len(self.engines)
        with ThreadPoolExecutor(count) as threads:
            shares = [
                threads.submit(
                    engine.sample,
                    generation,
                    prompts_P[at::count],
                    replace(how, first=how.first + at * how.stride, stride=how.stride * count),
                )
                for at, engine in enumerate(self.engines)
            ]
        made = [share.result() for share in shares]
        return [made[at % count][at // count] for at in range(len(prompts_P))]

    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        """Return each text with its log-probability."""
        return self.engines[0].score(generation, prompts_P, texts_P)

    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        """Return mean last hidden states."""
        return self.engines[0].embed(generation, texts_R)

    def train(self, job: Job, batch: Experiences | Tasks | Generation, ask: Ask) -> Published:
        """Run a module that asks for `Weights`."""
        return self.engines[0].train(job, batch, ask)

    def probe(self, generation: Generation) -> Sequence[Completion]:
        """Return the fixed probes' answers."""
        return self.engines[0].probe(generation)

    def export(self, generation: Generation, folder: str) -> None:
        """Write the generation's policy into a folder."""
        self.engines[0].export(generation, folder)

    def close(self) -> None:
        """End all of them."""
        for engine in self.engines:
            engine.close()
