"""What training tests hand to the engine: jobs, rows, pairs, and a judge."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from metaevo.artifacts.bodies import adapter
from metaevo.engines.protocol import Job
from metaevo.registry.registry import Registry
from metaevo.types import (
    Attempt,
    Attempts,
    Experience,
    Experiences,
    Feedback,
    Generation,
    Lora,
    TrainSpec,
    Turn,
    solved,
)
from objectives.types import Message, Messages, Split, Task

LORA = TrainSpec(Lora(4, 8))
WORDS = ("gia", "hgf", "cab", "bead", "fade", "jig", "decaf", "hide")


def prompt(text: str) -> Messages:
    return (Message("user", text),)


def task(text: str) -> Task:
    return Task(f"t-{text}", "sorting", 4, Split.TRAIN, prompt(text))


def said(text: str, answer: str) -> Attempt:
    return Attempt(task(text), solved((Turn("assistant", answer, "test"),)))


def rows(answer: Callable[[str], str] = lambda word: word.upper()) -> Experiences:
    """Return rows that teach something the base does not do: to answer in capitals."""
    return tuple(Experience(said(f"rev {word}", answer(word))) for word in WORDS)


def pairs() -> Experiences:
    """Return the same with the base's own habit, the reversed word, as the rejected answer."""
    return tuple(
        Experience(said(f"rev {word}", word.upper()), rejected=said(f"rev {word}", word[::-1])) for word in WORDS
    )


def job(update: str, start: Generation, spec: TrainSpec = LORA, *, name: str = "one", **knobs: Any) -> Job:
    """Return a job of one update module, every knob filled in."""
    module = Registry().get("update", update)
    filled = module.knobs().model_dump() | knobs
    return Job("update", update, module.digest, filled, 7, "g000009", start.id, start, f"test-{name}", 12, spec)


def judge(score: Callable[[str], float | None]) -> Callable[[str, Any], Any]:
    """Return an `Ask` whose feedback step scores each answer by its text."""

    def ask(what: str, payload: Any) -> Any:
        assert what == "feedback"
        attempts: Attempts = adapter(Attempts).validate_python(payload)
        values = [(a, score(a.solution.text)) for a in attempts]
        made = tuple(Experience(a, (Feedback(v),), v) for a, v in values if v is not None)
        return json.loads(adapter(Experiences).dump_json(made))

    return ask


def never(what: str, payload: Any) -> Any:
    """Answer no question: an offline update has none."""
    raise AssertionError(f"the update asked for {what!r}")


def trained(start: Generation, parts: Mapping[str, str]) -> Generation:
    return Generation("g000009", start.id, parts)
