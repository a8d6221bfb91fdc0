"""The effect `Weights`, as the engine's process gives it to a module: load, train with TRL and PEFT, publish."""

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from metaevo.artifacts.bodies import adapter, dump
from metaevo.artifacts.store import Store
from metaevo.engines.protocol import Ask, Job, Published, Sampling
from metaevo.engines.transformers import Transformers
from metaevo.engines.watch import Watch
from metaevo.errors import ModuleFailed
from metaevo.learning import model as weights
from metaevo.types import Admitted, Attempts, Experiences, Generation, Tasks, Tokens, TrainSpec
from objectives.types import Message

T = TypeVar("T")
PROBES = tuple(
    (Message("user", text),) for text in ("1+1", "abc", "add 12+30", "rev abcd", "The sky is", "x", "7*6", "")
)
"""Fixed prompts whose greedy answers and log-probabilities identify a generation's weights."""


class TrlWeights:
    """One job's weights. What it publishes is written, reloaded from disk and probed before it counts."""

    def __init__(
        self, store: Store, models: Transformers, job: Job, ask: Ask, told: Callable[[int, int], None]
    ) -> None:
        self._store, self._models, self._job, self._ask, self._told = store, models, job, ask, told
        self._learner: weights.Learner | None = None
        self._spec = TrainSpec()
        self.published: Published | None = None
        self.merge_every = 5
        self.tokens = 0
        self._left_out: dict[str, dict[str, int]] = {}
        self._stamped: frozenset[str] = frozenset()
        self._watch = Watch(f"{job.slot}.{job.module}")

    @property
    def answer_tokens(self) -> int:
        """Return how many tokens a sampled answer may have."""
        return self._job.answer_tokens

    @property
    def scratch(self) -> Path:
        """Return the step's own folder, named by its mark."""
        return self._store.scratch(self._job.scratch)

    def load(self, generation: str | None = None, *, spec: TrainSpec | None = None) -> weights.Learner:
        """Return a generation's weights: frozen without a spec, trainable with its levers otherwise."""
        which = self._job.start if generation is None else self._job.others.get(generation)
        if which is None:
            known = ", ".join(self._job.others)
            raise ModuleFailed(f"{self._job.module}: no generation {generation!r} in this trial; known: {known}")
        policy, settings = which.parts["policy"], self._models.settings
        if spec is None:
            learner = weights.load(self._store, policy, settings)
        else:
            learner = weights.load_trainable(self._store, policy, spec, merge_every=self.merge_every, settings=settings)
            self._spec, self._learner = spec, learner
        self._watch.over(learner)
        return learner

    def publish(self, model: Any) -> Generation:
        """Write the weights and return the new generation, probed as reloaded from disk.

        Raises:
            ModuleFailed: The model is none that `load` gave, or it was trained on what the door did not let pass.
        """
        if self._learner is None:
            raise ModuleFailed(f"{self._job.module}: publish() before load(spec=...)")
        self._watch.vouch(model)
        self._learner.model = model
        model.config.use_cache = True
        aside = self._store.scratch(f"{self._job.scratch}-out")
        digest = weights.write(self._store, self._learner, self._spec, aside)
        parts = {**self._job.start.parts, "policy": digest}
        made = Generation(self._job.id, self._job.parent, parts, self._job.start.answer)
        probes = [row[0] for row in self._models.sample(made, PROBES, Sampling(max_tokens=16))]
        left = sum(map(Counter, self._left_out.values()), Counter())
        self.published = Published(parts, probes, self.tokens, 0.0, dict(left))
        shutil.rmtree(self.scratch, ignore_errors=True)
        return made

    def feedback(self, attempts_R: Attempts) -> Experiences:
        """Return the attempts judged by the stage's feedback steps, which run in the control plane."""
        answer = self._ask("feedback", attempts_R)
        return adapter(Experiences).validate_python(answer)

    def stamp(self, batch: Experiences | Tasks | Generation) -> None:
        """Take the step's batch as what the control plane's door let pass."""
        passed = batch if isinstance(batch, tuple) else ()
        self._stamped = frozenset(map(_stamp, passed))
        self._watch.passed(passed)

    def admit(self, rows_R: Experiences) -> Admitted:
        """Return the rows that passed the door; rows of the module's own are taken there first."""
        return Admitted(self._admitted("admit", rows_R))

    def admit_tasks(self, tasks_P: Tasks) -> Tasks:
        """Return the tasks that passed the door; tasks of the module's own are taken there first."""
        return self._admitted("admit_tasks", tasks_P)

    def _admitted(self, what: str, rows: tuple[T, ...]) -> tuple[T, ...]:
        own = [row for row in rows if _stamp(row) not in self._stamped]
        kept = [own[place] for place in self._ask(what, own)] if own else []
        self._stamped |= frozenset(map(_stamp, kept))
        self._watch.passed(kept)
        self.leave_out(what, {"refused": len(own) - len(kept)} if len(kept) < len(own) else {})
        return tuple(row for row in rows if _stamp(row) in self._stamped)

    def spend(self, tokens: Tokens) -> None:
        """Count what went through models while training."""
        self._models.meter += tokens
        self.tokens += tokens.trained

    def leave_out(self, of: str, counts: Mapping[str, int]) -> None:
        """Count the rows that a part of the update does not learn; a part that is begun again says it anew."""
        self._left_out[of] = dict(counts)

    def progress(self, done: int, total: int) -> None:
        """Tell the control plane how far the update is."""
        self._told(done, total)


def _stamp(row: object) -> str:
    """Return what a row is known by at the door: everything in it."""
    return hashlib.sha256(dump(row)).hexdigest()


class DevFitness:
    """The effect `Fitness`: a merged model is put beside the loaded ones and graded on dev items."""

    def __init__(self, models: Transformers, ask: Ask, job: Job) -> None:
        self._models, self._ask, self._job = models, ask, job

    def __call__(self, model: object) -> Mapping[str, float]:
        """Return {"gain", "kept"} of these weights on the trial's dev items."""
        tasks = self._ask("dev_tasks", None)
        prompts = adapter(list[tuple[Message, ...]]).validate_python(tasks)
        how = Sampling(max_tokens=self._job.answer_tokens)
        completions = self._models.with_model(model, self._job.start, prompts, how)
        return dict(self._ask("fitness", [row[0].text for row in completions]))


class Timer:
    """Seconds spent in the model, for the compute share."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> "Timer":
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._start


__all__ = ["PROBES", "DevFitness", "Timer", "TrlWeights"]
