"""What an engine is to the control plane, and the frames in which the two talk.

A frame is four bytes of big-endian length and that much JSON. Requests carry an id; while a request runs the
engine may send ``progress`` frames and ``ask`` frames (a feedback step of an online update, a fitness value),
which the control plane answers in place.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from pydantic_core import from_json, to_json

from metaevo.errors import EngineDied
from metaevo.types import Attempts, Completion, Experiences, Generation, Tasks, Tokens, TrainSpec
from objectives.types import Json, Messages

LIMIT = 1 << 30
"""Bytes a frame may have: beyond this the peer has lost its place."""


def send(stream: BinaryIO, message: object) -> None:
    """Write one frame."""
    body = to_json(message)
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one frame.

    Raises:
        EngineDied: The stream ended or holds no frame.
    """
    head = stream.read(4)
    if len(head) < 4:
        raise EngineDied("the stream ended")
    (size,) = struct.unpack(">I", head)
    if size > LIMIT:
        raise EngineDied(f"a frame of {size} bytes is not a frame")
    body = stream.read(size)
    if len(body) < size:
        raise EngineDied("the stream ended inside a frame")
    return from_json(body)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. Row r of call c is seeded by (seed, r): results do not depend on how rows are batched.

    Where the prompts are every ``stride``-th one of a larger call, from ``first`` on, their rows are those they have
    there: results do not depend on how many engines share a call either.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    seed: int = 0
    first: int = 0
    stride: int = 1

    def row(self, prompt: int, sample: int) -> int:
        """Return the row that a sample of a prompt of this call has in the whole call."""
        return (self.first + prompt * self.stride) * self.n + sample


@dataclass(frozen=True, slots=True)
class Job:
    """One update or consolidation step, to be run inside the engine."""

    slot: str
    module: str
    digest: str
    """Of the module's code, as the control plane read it."""
    knobs: Mapping[str, Json]
    seed: int
    id: str
    parent: str
    start: Generation
    scratch: str
    answer_tokens: int = 64
    spec: TrainSpec = field(default_factory=TrainSpec)
    others: Mapping[str, Generation] = field(default_factory=dict)
    """Generations the module may load: previous, parent, base and those it merges."""


@dataclass(frozen=True, slots=True)
class Published:
    """What an update wrote: the new policy, its probes, and what training cost."""

    parts: Mapping[str, str]
    probes: Sequence[Completion]
    tokens: int
    """Read while training."""
    model_s: float
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows that were not learned, by reason."""


Ask = Callable[[str, Any], Any]
"""How a running job calls back: (what, payload) -> answer."""


class Engine(Protocol):
    """One model process. Every call has a deadline; one that dies raises EngineDied and is started again."""

    @property
    def identity(self) -> str:
        """Return name, versions, precision and device, never a circumstance: part of every mark."""

    @property
    def meter(self) -> Tokens:
        """Return what went through this engine's models since it was made: it only ever grows."""

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        """Return P x n completions."""

    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        """Return each text with its log-probability under the generation."""

    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        """Return mean last hidden states, R x hidden."""

    def train(self, job: Job, batch: Experiences | Tasks | Generation, ask: Ask) -> Published:
        """Run a module that asks for `Weights` inside the engine."""

    def probe(self, generation: Generation) -> Sequence[Completion]:
        """Return the fixed probes' greedy answers with log-probabilities, from weights reloaded from disk."""

    def export(self, generation: Generation, folder: str) -> None:
        """Write the generation's policy into a folder as one plain checkpoint, adapters merged in fp32."""

    def close(self) -> None:
        """End the process."""


__all__ = ["Ask", "Attempts", "Engine", "Job", "Published", "Sampling", "receive", "send"]
