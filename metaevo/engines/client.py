"""The engine as the control plane sees it: a process that is started when first asked and again after it died."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from metaevo.artifacts.bodies import BodyStore, adapter
from metaevo.artifacts.store import Store
from metaevo.engines.process import Child
from metaevo.engines.protocol import Ask, Job, Published, Sampling
from metaevo.errors import EngineDied, from_frame
from metaevo.learning.chat import ChatSettings
from metaevo.types import Completion, Experiences, Generation, Tasks, Tokens
from objectives.types import Messages

PLAIN = ChatSettings()
SILENCE_S = 300.0
"""Seconds an engine may be silent before it counts as hung; every batch and training step breaks the silence."""

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_NO_USAGE_STATS": "1",
    "PYTHONWARNINGS": "ignore",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait starve the other engines of a small machine
    "MALLOC_MMAP_THRESHOLD_": "4294967296",  # tensors come from the heap: no page faults for every batch
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}


class EngineClient:
    """One engine process. Not for use from two threads at once: every parallel trial has its own.

    Without ``gpu`` it sees no NVIDIA device and computes on the processor.
    """

    def __init__(
        self,
        store: Store,
        home: Path | None = None,
        *,
        threads: int = 1,
        merge_every: int = 5,
        gpu: bool = False,
        chat: ChatSettings = PLAIN,
    ) -> None:
        self.store = store
        self.settings = {
            "store": str(store.root),
            "home": str(home) if home else None,
            "threads": threads,  # two trials side by side beat one on two threads: two engines with two spin and starve
            "merge_every": merge_every,
            "chat": asdict(chat),
        }
        cache = {"HF_DATASETS_CACHE": str(Path(store.root) / "scratch" / "datasets"), "OMP_NUM_THREADS": str(threads)}
        hidden = {} if gpu else {"CUDA_VISIBLE_DEVICES": ""}
        self.child = Child("metaevo.runtime.engine_worker", environment=ENVIRONMENT | cache | hidden)
        self.silence_s = SILENCE_S
        self.on_progress: Callable[[int, int], None] = lambda _done, _total: None
        self.meter = Tokens()
        self._identity = ""

    @property
    def identity(self) -> str:
        """Return name, versions, precision and device."""
        self._ready()
        return self._identity

    def sample(self, generation: Generation, prompts_P: Sequence[Messages], how: Sampling) -> list[list[Completion]]:
        """Return P x n completions."""
        request = {"op": "sample", "generation": generation, "prompts": prompts_P, "how": how}
        return _completions_2(self._call(request)) if prompts_P else []

    def score(self, generation: Generation, prompts_P: Sequence[Messages], texts_P: Sequence[str]) -> list[Completion]:
        """Return each text with its log-probability."""
        request = {"op": "score", "generation": generation, "prompts": prompts_P, "texts": texts_P}
        return _completions(self._call(request)) if prompts_P else []

    def embed(self, generation: Generation, texts_R: Sequence[str]) -> list[list[float]]:
        """Return mean last hidden states."""
        request = {"op": "embed", "generation": generation, "texts": texts_R}
        return list(self._call(request)) if texts_R else []

    def probe(self, generation: Generation) -> Sequence[Completion]:
        """Return the fixed probes' answers from weights reloaded from disk."""
        return _completions(self._call({"op": "probe", "generation": generation}))

    def train(self, job: Job, batch: Experiences | Tasks | Generation, ask: Ask) -> Published:
        """Run a module that asks for `Weights` inside the engine; the batch travels as a body in the store."""
        body = BodyStore(self.store).write(batch)
        answer = self._call({"op": "train", "job": job, "batch": body}, ask)
        return adapter(Published).validate_python(answer)

    def export(self, generation: Generation, folder: str) -> None:
        """Write the generation's policy into a folder as one plain checkpoint."""
        self._call({"op": "export", "generation": generation, "folder": folder})

    def close(self) -> None:
        """End the process."""
        self.child.kill()

    def _ready(self) -> None:
        if not self.child.running:
            self.child.kill()
            self.child.start()
            self.child.send(self.settings)
            self._identity = str(self._answer(None)["identity"])

    def _call(self, request: dict[str, Any], ask: Ask | None = None) -> Any:
        self._ready()
        self.child.send(request)
        return self._answer(ask)

    def _answer(self, ask: Ask | None) -> Any:
        try:
            frame = self._last(ask)
        except BaseException:
            self.child.kill()  # what it still says belongs to this call: the next one gets a fresh process
            raise
        self.meter += Tokens(*frame.get("spent", ()))
        if "ok" in frame:
            return frame["ok"]
        raise from_frame(frame)

    def _last(self, ask: Ask | None) -> Any:
        """Return the frame that ends a call; progress and questions are dealt with on the way."""
        while True:
            frame = self.child.receive(self.silence_s)
            if "progress" in frame:
                self.on_progress(*frame["progress"])
            elif "ask" not in frame:
                return frame
            elif ask is None:
                raise EngineDied(f"the engine asked for {frame['ask']!r}, which this call does not offer")
            else:
                self.child.send({"answer": ask(frame["ask"], frame["payload"])})


def _completions(data: object) -> list[Completion]:
    return adapter(list[Completion]).validate_python(data)


def _completions_2(data: object) -> list[list[Completion]]:
    return adapter(list[list[Completion]]).validate_python(data)
