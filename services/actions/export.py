"""Write a generation as a plain checkpoint with a model card."""

import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from metaevo.errors import BadInput
from services.home.home import Home
from services.records.generations import GenerationDetail
from services.records.models import ExportedModel


def export_generation(home: Home, which: str, folder: Path) -> ExportedModel:
    """Write a generation as a plain checkpoint with a model card.

    Raises:
        BadInput: The folder is not empty or cannot be written.
    """
    from metaevo.artifacts.store import file_digest
    from services.home.open import open_home
    from services.reports.generations import generation_detail

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(folder, "is not empty", "give a new folder")
    with open_home(home, engines=1, measures=False) as app, replace_folder(folder) as aside:
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
def replace_folder(folder: Path) -> Iterator[Path]:
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
