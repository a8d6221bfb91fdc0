"""What a module may ask for, by annotating a keyword-only parameter with one of these types.

Nothing else reaches a module: no clock, no disk, no environment variables, no global randomness. What a module
reads is therefore readable from its signature; `Reference` is the only way to an answer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol, runtime_checkable

from metaevo.types import (
    Admitted,
    Attempts,
    Completion,
    Experiences,
    Feedback,
    Generation,
    StepSpec,
    Tasks,
    Tokens,
    TrainSpec,
)
from objectives.types import Json, Messages, Report
from sandbox.types import Kernel, Row


@runtime_checkable
class Policy(Protocol):
    """A frozen generation one can sample from. The engine applies the chat template."""

    @property
    def id(self) -> str:
        """Return the id of the generation that answers."""

    def sample(
        self,
        prompts_P: Sequence[Messages],
        *,
        n: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
    ) -> list[list[Completion]]:
        """Return ``n`` completions for each of the P prompts: shape P x n, in order. Temperature 0 is greedy.

        A prompt whose last turn is the assistant's is continued: the completion is what follows that turn's text.
        Besides ``stop`` that is all the constraint on decoding there is.
        """

    def score(self, prompts_P: Sequence[Messages], completions_P: Sequence[str]) -> list[Completion]:
        """Return each completion with its log-probability (nats, summed over its tokens) and token count."""

    def embed(self, texts_R: Sequence[str]) -> list[list[float]]:
        """Return the mean last hidden state of each text: shape R x hidden."""


class Policies(Protocol):
    """Other generations, frozen: by role (``previous``, ``parent``, ``base``) or by id."""

    def __call__(self, which: str) -> Policy:
        """Return the policy.

        Raises:
            BadInput: No such role or generation in this trial.
        """


class Reward(Protocol):
    """The environments' own grading, in the grader pool."""

    def __call__(self, attempts_R: Attempts) -> tuple[Feedback, ...]:
        """Return one feedback per attempt, in order; a score of None where the environment cannot say."""


class Reference(Protocol):
    """The environments' own answers, by task id. Whoever does not ask for this effect never sees one."""

    def answer(self, task_id: str) -> Json:
        """Return the row's `answer`, None where it has none."""

    def solution(self, task_id: str) -> str | None:
        """Return the completion that the row itself calls right, None where it names none."""


class Prompts(Protocol):
    """The base model's dialect for critique, refine, rationalize and pose (`metaevo/prompts`)."""

    def ask(self, kind: str, **fields: object) -> Messages:
        """Return the prompt of this kind with its fields filled in."""

    def judge(self, critique: str) -> tuple[float | None, bool | None]:
        """Return (score in [0, 1], passes) as read from a critique; None where it cannot be read."""


class Past(Protocol):
    """Earlier stages and rounds of the same trial."""

    def experiences(self) -> tuple[Experiences, ...]:
        """Return what each earlier round's update was trained on, oldest first."""

    def attempts(self) -> tuple[Attempts, ...]:
        """Return what each earlier round attempted, oldest first."""


class Archive(Protocol):
    """What evolution has kept: accepted experience and what the champion is known to do right."""

    def experiences(self, n: int, rng: Random) -> Experiences:
        """Return up to ``n`` kept rows, stratified by ability: former objectives' rows, seed data, rehearsal."""


class Fitness(Protocol):
    """How good a set of weights is on dev items; for consolidation modules, inside the engine."""

    def __call__(self, model: object) -> Mapping[str, float]:
        """Return ``{"gain": mean over the objective's dev items, "kept": mean over the protected ones}``."""


class Exam(Protocol):
    """Held tasks with their grading; only evaluation modules may ask for it."""

    @property
    def tasks(self) -> Tasks:
        """Return the tasks of this examination, without answers."""

    def answer(self, generation: Generation, tasks: Tasks) -> Attempts:
        """Return one attempt per task, produced by the generation's own answering procedure."""

    def grade(self, generation: Generation, attempts: Attempts) -> Report:
        """Return the graded report."""


class Start(Protocol):
    """What a round starts from, for updates that change how a generation answers and train nothing.

    An effect, like `Policies` and `Prompts`, so that ReST-EM (restarts from the base), SPIN (looks at the previous
    iterate) and dialects are not special cases in whoever runs the steps.
    """

    @property
    def generation(self) -> Generation:
        """Return the generation the round starts from."""

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """Return the stage's solution, feedback and refinement steps, complete."""


class Weights(Protocol):
    """Training, inside the engine's process: whoever asks for this runs there and calls TRL and PEFT itself."""

    @property
    def scratch(self) -> Path:
        """Return a folder named by the step's mark, kept until the step is finished: checkpoints live here."""

    @property
    def answer_tokens(self) -> int:
        """Return how many tokens a sampled answer may have."""

    def load(self, generation: str | None = None, *, spec: TrainSpec | None = None) -> Any:
        """Return a `metaevo.learning.model.Learner`: frozen without a spec, trainable with its levers otherwise.

        ``generation`` defaults to the one this round starts from (the stage's ``start``).
        """

    def publish(self, model: object) -> Generation:
        """Write the weights, hashed and probed, and return the new generation.

        Raises:
            ModuleFailed: It is not a model that `load` gave, or it was trained on what the door did not let pass.
            NotFinite: A weight is NaN or infinite.
        """

    def feedback(self, attempts_R: Attempts) -> Experiences:
        """Return the attempts judged by the stage's feedback steps (online updates only)."""

    def spend(self, tokens: Tokens) -> None:
        """Count what went through models while training."""

    def admit(self, rows_R: Experiences) -> Admitted:
        """Return the rows that passed the door before the update, and those of the update's own that pass it now."""

    def admit_tasks(self, tasks_P: Tasks) -> Tasks:
        """Return the tasks that an online update may ask."""

    def leave_out(self, of: str, counts: Mapping[str, int]) -> None:
        """Count the rows that a part of the update does not learn, by reason."""

    def progress(self, done: int, total: int) -> None:
        """Tell the control plane how far the update is."""


class Run(Protocol):
    """The sandbox: a kernel nobody has read, applied to plain rows; what comes back is data of its promised shape."""

    @property
    def identity(self) -> str:
        """Return what the values may depend on beside kernel and rows: the tier and its version."""

    def __call__(self, kernel: Kernel, rows_R: Sequence[Row]) -> tuple[Json, ...]:
        """Return one value per row, in order.

        Raises:
            ModuleFailed: The kernel was judged and ended with any verdict but ok; the sentence says which.
            SandboxUnavailable: Infrastructure failed; nothing was learnt about the kernel.
        """


EFFECTS: tuple[type, ...] = (
    Policy,
    Policies,
    Reward,
    Reference,
    Prompts,
    Past,
    Archive,
    Fitness,
    Exam,
    Start,
    Weights,
    TrainSpec,
    Run,
    Random,
)
