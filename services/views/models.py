"""Using a generation: ask it, measure it, export it. Each starts an engine and ends it."""

import json
import shlex
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from metaevo.errors import BadInput
from metaevo.types import Generation, StepSpec
from objectives.splits import canonical, task_id
from objectives.statistics import interval
from objectives.types import Message, Split, Task
from services.home import Home
from services.records import Measured
from services.records.generations import GenerationDetail
from services.records.models import AnswerTurn, ExportedModel, ModelAnswer, ModelScores

REFINE = ("self_critique", "revision")


def asked(home: Home, prompt: str, which: str, refine: int) -> ModelAnswer:
    """Return a generation's answer to a prompt, the way it answers when examined, or refined so many times."""
    from metaevo.line.answer import answer
    from services.app import opened

    if not 0 <= refine <= 16:
        raise BadInput("--refine", "", "want 0 to 16 rounds", given=refine)
    with opened(home, engines=1, measures=False) as app:
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


def evaluated(home: Home, which: str, items: int) -> ModelScores:
    """Return a generation's scores on fresh probe items, per cell and ability; nothing is recorded."""
    import secrets

    from metaevo.diagnose import probe_items
    from metaevo.line.answer import measure
    from services.app import opened

    if not 1 <= items <= 4096:
        raise BadInput("--items", "", "want 1 to 4096", given=items)
    with opened(home, engines=1) as app:
        generation = app.host.lineage.get(which)
        cells = [cell for environment in app.host.environments.values() for cell in environment.cells]
        groups = probe_items(app.host, secrets.randbelow(2**31), items, cells)
        tasks = tuple(task for group in groups.values() for task in group)
        report = measure(app.host, app.host.engine, generation, tasks, Split.PROBE)
        by_cell: dict[str, list[float]] = defaultdict(list)
        by_ability: dict[str, list[float]] = defaultdict(list)
        for outcome in report.outcomes:
            if outcome.score is not None:
                by_cell[str(outcome.cell)].append(outcome.score)
                by_ability[app.host.environments[outcome.cell.environment].ability].append(outcome.score)
    return ModelScores(
        generation=generation.id,
        abilities={name: Measured(**interval(scores)._asdict()) for name, scores in sorted(by_ability.items())},
        cells={name: Measured(**interval(scores)._asdict()) for name, scores in by_cell.items()},
    )


def exported(home: Home, which: str, folder: Path) -> ExportedModel:
    """Write a generation as a plain checkpoint with a model card.

    Raises:
        BadInput: The folder is not empty or cannot be written.
    """
    from metaevo.artifacts.store import file_digest
    from services.app import opened
    from services.views.generations import generation_detail

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(folder, "is not empty", "give a new folder")
    with opened(home, engines=1, measures=False) as app, beside(folder) as aside:
        generation = app.host.lineage.get(which)
        app.host.engine.export(generation, str(aside))
        name, context = app.config.model.name, app.config.model.context
        detail = generation_detail(home, generation.id)
        if generation.answer:
            (aside / "answer.json").write_text(json.dumps([asdict(step) for step in detail.answer], indent=1))
        (aside / "README.md").write_text(_card(name, detail))
    files = {path.name: file_digest(path)[1] for path in sorted(folder.iterdir()) if path.is_file()}
    length = f" --max-model-len {context}" if context else ""
    serve = f"vllm serve {folder} --served-model-name {shlex.quote(name)}{length}"
    return ExportedModel(generation=generation.id, folder=str(folder), files=files, serve=serve)


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield a folder that takes this one's place when the block ends well, and is gone otherwise.

    Raises:
        BadInput: The place cannot be written.
    """
    aside = folder.resolve().with_name(f".{folder.resolve().name}.part")
    try:
        aside.mkdir(parents=True)
        yield aside
        aside.replace(folder.resolve())
    except OSError as error:
        raise BadInput(folder, f"cannot be written ({error.strerror})", "choose another place") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _card(name: str, detail: GenerationDetail) -> str:
    verdict = detail.verdict.decision if detail.verdict else "none"
    scores = "\n".join(f"- {ability}: {score:.3f}" for ability, score in detail.scores.items()) or "- not measured"
    procedure = "\nIt answers by a procedure of several steps: see answer.json.\n" if detail.answer else ""
    return (
        f"# {name} {detail.id}\n\nA generation of metaevo; parent {detail.parent}, recipe {detail.recipe}, "
        f"status {detail.status}, verdict {verdict}.\n{procedure}\nMean anchor scores:\n\n{scores}\n"
    )
