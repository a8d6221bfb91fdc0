"""The engine's process: ``python -m metaevo.runtime.engine_worker``. It imports torch; the control plane never does.

Frames come in on stdin and go out on what was stdout (library prints go to stderr). A thread watches a pipe
that only the control plane holds: when that closes, this process ends, whatever it is doing.
"""

import os
import sys
import traceback
from dataclasses import astuple, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

from metaevo.artifacts.bodies import BodyStore, adapter
from metaevo.artifacts.store import Store
from metaevo.engines.protocol import Job, Published, Sampling, receive, send
from metaevo.engines.worker_life import die_with_parent
from metaevo.errors import KINDS, EngineDied, MetaevoError, ModuleFailed, cannot_write, to_frame
from metaevo.learning.chat import ChatSettings
from metaevo.types import Completion, Generation, TrainSpec
from objectives.types import JsonValue, Message

if TYPE_CHECKING:  # torch is loaded once the worker begins, not where this file is read
    from metaevo.engines.trl import TrlWeights


class Settings(TypedDict):
    """What the control plane says first."""

    threads: int
    store: str
    home: str | None
    merge_every: int
    chat: JsonValue


class OfGeneration(TypedDict):
    """A request about one generation."""

    generation: JsonValue


class ToSample(OfGeneration):
    """Prompts to answer."""

    prompts: JsonValue
    how: JsonValue


class ToScore(OfGeneration):
    """Completions to score, one for each prompt."""

    prompts: JsonValue
    texts: list[str]


class ToEmbed(OfGeneration):
    """Texts to embed."""

    texts: list[str]


class ToExport(OfGeneration):
    """The folder to write a plain checkpoint into."""

    folder: str


class ToTrain(TypedDict):
    """A job, and the digest of its batch in the store."""

    job: JsonValue
    batch: str


class Worker:
    """Answers requests until the stream ends."""

    def __init__(self, settings: Settings, into: BinaryIO, out: BinaryIO) -> None:
        import torch

        from metaevo.engines.transformers import Transformers
        from metaevo.registry.registry import Registry

        torch.set_num_threads(int(settings["threads"]))
        torch.use_deterministic_algorithms(True, warn_only=True)
        self.into, self.out = into, out
        self.store = Store(Path(settings["store"]))
        self.merge_every = int(settings["merge_every"])
        self.models = Transformers(self.store, adapter(ChatSettings).validate_python(settings["chat"]))
        self.models.on_batch = self._progress
        self.registry = Registry(Path(settings["home"]) if settings["home"] else None)

    def serve(self) -> None:
        """Answer one request after the other."""
        while True:
            try:
                request = receive(self.into)
            except EngineDied:
                return
            before = self.models.meter
            try:
                frame = {"ok": getattr(self, f"do_{request['op']}")(request)}
            except MetaevoError as error:
                frame = to_frame(error)
            except Exception as error:  # noqa: BLE001 - the process boundary: whatever a module or library raised
                traceback.print_exc()
                text = f"{type(error).__name__}: {error}"
                frame = {"error": _kind(error, text), "text": text[:2000]}
            send(self.out, {**frame, "spent": astuple(self.models.meter - before)})

    def do_sample(self, request: ToSample) -> list[list[Completion]]:
        """Sample completions."""
        how: Sampling = adapter(Sampling).validate_python(request["how"])
        return self.models.sample(_generation(request), _prompts(request["prompts"]), how)

    def do_score(self, request: ToScore) -> list[Completion]:
        """Score given completions."""
        return self.models.score(_generation(request), _prompts(request["prompts"]), request["texts"])

    def do_embed(self, request: ToEmbed) -> list[list[float]]:
        """Embed texts."""
        return self.models.embed(_generation(request), request["texts"])

    def do_probe(self, request: OfGeneration) -> list[Completion]:
        """Answer the fixed probes with weights freshly read from disk."""
        from metaevo.engines.trl import PROBES

        self.models.forget()
        return [row[0] for row in self.models.sample(_generation(request), PROBES, Sampling(max_tokens=16))]

    def do_export(self, request: ToExport) -> str:
        """Write a generation as one plain checkpoint."""
        learner = self.models.learner(_generation(request))
        learner.model.save_pretrained(request["folder"])
        learner.chat.save(request["folder"])
        return request["folder"]

    def do_train(self, request: ToTrain) -> Published:
        """Run a module that asks for `Weights`."""
        from transformers import set_seed

        from metaevo.engines import trl

        job: Job = adapter(Job).validate_python(request["job"])
        module = self.registry.get(job.slot, job.module)
        if module.digest != job.digest:
            raise ModuleFailed(f"{job.slot}.{job.module} changed on disk while the cycle ran")
        weights = trl.TrlWeights(self.store, self.models, job, self._ask, self._progress)
        weights.merge_every = self.merge_every
        given = {trl_kind.__name__: value for trl_kind, value in self._effects(job, weights).items()}
        effects = {name: given[kind.__name__] for name, kind in module.effects.items()}
        batch = BodyStore(self.store).read(request["batch"], Generation)
        weights.stamp(batch)
        set_seed(job.seed % 2**31)  # a fresh adapter is drawn before any trainer sets its seed
        with trl.Timer() as timer:
            made = module.call(batch, **effects, **job.knobs)
        if weights.published is None or made.parts != weights.published.parts:
            raise ModuleFailed(f"{job.slot}.{job.module} must return what weights.publish() gave it")
        return replace(weights.published, model_s=timer.seconds)

    def _effects(self, job: Job, weights: "TrlWeights") -> dict[type, object]:
        from metaevo.effects import Fitness, Weights
        from metaevo.engines import trl

        return {
            Weights: weights,
            Fitness: trl.DevFitness(self.models, self._ask, job),
            TrainSpec: job.spec,
            Random: Random(job.seed),
        }

    def _ask(self, what: str, payload: object) -> Any:
        send(self.out, {"ask": what, "payload": payload})
        return receive(self.into)["answer"]

    def _progress(self, done: int, total: int) -> None:
        send(self.out, {"progress": [done, total]})


def _kind(error: Exception, text: str) -> str:
    """Return what an error of a module or a library counts as: a full disk is never the recipe's fault."""
    if "out of memory" in text or "allocate memory" in text:
        return "OutOfMemory"
    return "Unwritable" if cannot_write(error) else "ModuleFailed"


def _generation(request: OfGeneration) -> Generation:
    return adapter(Generation).validate_python(request["generation"])


def _prompts(prompts: JsonValue) -> list[tuple[Message, ...]]:
    return adapter(list[tuple[Message, ...]]).validate_python(prompts)


def identity() -> str:
    """Return what makes two engines' answers comparable: versions, precision, kind of device.

    Never a circumstance, such as threads, free memory or how many devices and engines there are: it would open an
    epoch.
    """
    import torch
    import transformers

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    return f"transformers {transformers.__version__} torch {torch.__version__} {device}"


def main() -> None:
    """Take over stdin and stdout, say hello, serve."""
    die_with_parent(int(sys.argv[1]))
    into, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    settings = receive(into)
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    worker = Worker(settings, into, out)
    send(out, {"ok": {"identity": identity(), "kinds": sorted(KINDS)}})
    worker.serve()


if __name__ == "__main__":
    main()
