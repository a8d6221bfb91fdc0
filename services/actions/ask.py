"""Ask a generation, the way it answers when it is examined."""

from metaevo.errors import BadInput
from metaevo.types import Generation, StepSpec
from objectives.splits import canonical, task_id
from objectives.types import Message, Split, Task
from services.home.home import Home
from services.records.models import AnswerTurn, ModelAnswer


def ask_generation(home: Home, prompt: str, which: str, refine: int) -> ModelAnswer:
    """Return a generation's answer to a prompt, the way it answers when examined, or refined so many times."""
    from metaevo.runtime.answering import answer
    from services.home.open import open_home

    if not 0 <= refine <= 16:
        raise BadInput("--refine", "", "want 0 to 16 rounds", given=refine)
    with open_home(home, engines=1, measures=False) as app:
        generation = app.host.lineage.get(which)
        if refine:
            generation = Generation(generation.id, generation.parent, generation.parts, _procedure(refine))
        messages = (Message("user", prompt),)
        name = next(iter(app.host.environments))
        task = Task(task_id("ask", canonical(messages)), name, 1, Split.PROBE, messages)
        attempts, tokens = answer(app.host, app.host.engine, generation, (task,))
        turns = tuple(AnswerTurn(role=turn.role, text=turn.text) for turn in attempts[0].solution.turns)
        said = attempts[0].solution.text
        return ModelAnswer(generation=generation.id, answer=said, tokens=tokens, turns=turns)


def _procedure(rounds: int) -> tuple[StepSpec, ...]:
    sample = StepSpec("solutions", "direct_sampling", {"k": 1, "temperature": 0.0, "top_p": 1.0})
    critique = StepSpec("feedback", "self_critique", {"temperature": 0.0})
    return (
        sample,
        critique,
        StepSpec("refinement", "revision", {"max_iters": rounds, "temperature": 0.0, "keep_best": True}),
    )
