"""Use a generation: ask it, measure it, export it."""

from pathlib import Path
from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Argument, Option
from services.records.models import ExportedModel, ModelAnswer, ModelScores

Which = Annotated[str, Option("id or alias")]


@operation("read")
def ask(
    home: Home,
    prompt: Annotated[str, Argument("what to ask")],
    *,
    generation: Which = "champion",
    refine: Annotated[int, Option("rounds of critique and revision")] = 0,
) -> ModelAnswer:
    """Ask a generation, the way it answers when it is examined."""
    from services.actions.ask import ask_generation

    return ask_generation(home, prompt, generation, refine)


@operation("read", name="eval")
def eval_(
    home: Home,
    generation: Annotated[str, Argument("id or alias")],
    *,
    items: Annotated[int, Option("probe items per cell")] = 32,
) -> ModelScores:
    """Measure a generation on fresh probe items; nothing is recorded."""
    from services.actions.eval import evaluate

    return evaluate(home, generation, items)


@operation("read")
def export(
    home: Home,
    generation: Annotated[str, Argument("id or alias")],
    folder: Annotated[Path, Argument("an empty or new folder")],
) -> ExportedModel:
    """Write a generation as a plain Hugging Face checkpoint with a model card and checksums."""
    from services.actions.export import export_generation

    return export_generation(home, generation, folder)
