"""What a home's configuration names, looked at before anything is written: base, goals, dialect, prompt, data."""

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaevo import prompts
from metaevo.artifacts import base
from metaevo.errors import BadInput
from metaevo.learning.chat import ChatSettings
from metaevo.recipes import schema
from metaevo.registry import generated_files
from metaevo.registry.registry import Registry
from metaevo.registry.slots import SLOTS
from metaevo.runtime.host import Host
from metaevo.types import Attempt, Experience, Experiences, Turn, solved
from objectives.environment import BadEnvironment, messages
from objectives.goals import BadGoals, check
from objectives.splits import canonical, task_id
from objectives.types import Environment, Split, Task
from services.config.tables import Config
from services.home import proposers
from services.home.home import Home

BUILT_IN = "builtin:"
TINY_ANSWER = 24
BASE = "metaevo.toml: model.base"
REPLAY = "metaevo.toml: data.replay"
NVIDIA = Path("/dev/nvidiactl")
"""What the driver makes where there is a device."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found. ``base`` is the checkpoint's folder."""

    dialect: prompts.Dialect
    chat: ChatSettings
    seed_data: Experiences
    base: Path


def check_config(home: Home, config: Config, environments: Mapping[str, Environment], registry: Registry) -> Preflight:
    """Return what the configuration names.

    Raises:
        BadInput: Something is missing, damaged, contradicts itself or cannot be measured; nothing was written.
    """
    check_wishes(config, environments, registry)
    proposers.check_proposer(config.proposer, home.path, config.search.kernels)
    if config.training.gpus and not NVIDIA.exists():
        said, given = f"this machine shows no NVIDIA device ({NVIDIA})", config.training.gpus
        raise BadInput("metaevo.toml: training.gpus", said, "set gpus = 0", given)
    folder = base_folder(home, config)
    if not home.founded:  # later on the ledger refers to it by the hash of every file
        base.inspect(folder, BASE)
    return Preflight(dialect(config), chat_settings(home, config), seed_data(home, config), folder)


def base_folder(home: Home, config: Config) -> Path:
    """Return the base checkpoint's folder."""
    name = config.model.base
    if not name.strip():
        raise BadInput(BASE, "", f"give {BUILT_IN}tiny or the folder of a checkpoint", given=repr(name))
    if name.startswith(BUILT_IN):
        import metaevo.tiny

        if name != f"{BUILT_IN}tiny":
            raise BadInput(BASE, "", f"the built-in base is {BUILT_IN}tiny", given=repr(name))
        return metaevo.tiny.CHECKPOINT
    return (home.path / name).resolve()


def dialect(config: Config) -> prompts.Dialect:
    """Return the base's dialect."""
    name = config.model.dialect or ("tiny" if config.model.base == f"{BUILT_IN}tiny" else "english")
    try:
        return prompts.load(name)
    except BadInput as error:
        raise error.inside("metaevo.toml") from error


def answer_tokens(config: Config) -> int:
    """Return how long an answer may be: as set, and short for the built-in base, whose answers are."""
    given = "answer" in config.model.model_fields_set
    return TINY_ANSWER if not given and config.model.base.startswith(BUILT_IN) else config.model.answer


def chat_settings(home: Home, config: Config) -> ChatSettings:
    """Return how every prompt is made: the operator's system turn, thinking, and the length of the context.

    Raises:
        BadInput: The file of the system prompt is missing or no text.
    """
    model = config.model
    file = model.system_prompt.file if model.system_prompt is not None else None
    system = "" if file is None else _text(home.path / file, "model.system_prompt.file")
    return ChatSettings(system, model.thinking, model.context)


def seed_data(home: Home, config: Config) -> Experiences:
    """Return the rows of [data] replay: JSONL with prompt and completion (or answer).

    Raises:
        BadInput: A pattern matches nothing, is forbidden, or a line is broken.
    """
    rows: list[Experience] = []
    for pattern in config.data.replay:
        if any(fnmatch.fnmatch(pattern, forbidden) for forbidden in config.forbid.data):
            raise BadInput(REPLAY, "contradicts forbid.data", "drop one", given=repr(pattern))
        files = sorted(home.path.glob(pattern))
        if not files:
            raise BadInput(REPLAY, f"no such file in {home.path}", "", given=repr(pattern))
        for path in files:
            for number, line in enumerate(_text(path, "data.replay").splitlines(), 1):
                if line.strip():
                    rows.append(_seed_row(line, f"{path.name}:{number}"))
    return tuple(rows)


def _seed_row(line: str, place: str) -> Experience:
    try:
        data: Mapping[str, Any] = json.loads(line)
        prompt = messages(data["prompt"])
        text = data.get("completion", data.get("answer"))
        if not isinstance(text, str):
            raise ValueError("completion must be text")
    except (ValueError, KeyError, TypeError, BadEnvironment) as error:
        raise BadInput(f"data.replay: {place}", f"want prompt and completion ({error})", "") from error
    task = Task(task_id("seed", canonical(prompt)), "seed", 0, Split.TRAIN, prompt)
    return Experience(Attempt(task, solved((Turn("assistant", text, "seed"),))), (), 1.0, tags=("seed",))


def check_wishes(config: Config, environments: Mapping[str, Environment], registry: Registry) -> None:
    """Refuse goals that contradict themselves or that nothing measures.

    Raises:
        BadInput: The first one, by name.
    """
    for method in config.forbid.methods:
        kind, colon, slot = method.partition(":")
        if colon and (kind != "generated" or slot not in SLOTS):
            raise BadInput(
                "metaevo.toml: forbid.methods", "want generated:SLOT", f"slots: {', '.join(SLOTS)}", given=repr(method)
            )
    methods = [
        *schema.names(registry.home),
        *(made.name for made in (generated_files.every_module(registry.home) if registry.home else ())),
        *(
            n
            for slot in ("tasks", "solutions", "feedback", "refinement", "stability", "update", "consolidation")
            for n in registry.names(slot)
        ),
    ]
    try:
        check(config.wishes(), environments, methods)
    except BadGoals as error:
        raise BadInput.of(error).inside("metaevo.toml") from error


def _text(path: Path, place: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"is not UTF-8 text ({error})"
        raise BadInput(
            "metaevo.toml", f"{place} = {path.name!r}: {why}", "put the file there or drop the line"
        ) from error


def check_same_base(host: Host, folder: Path) -> None:
    """Refuse another base than the one the lineage began with.

    Raises:
        BadInput: metaevo.toml names a checkpoint with other files than generation 0's.
    """
    root = host.lineage.get("base")
    known = json.loads((host.store.tree(root.parts["policy"]) / base.REFERENCE).read_text())
    if known["path"] != str(folder) and base.inspect(folder, BASE) != known["files"]:
        raise BadInput(
            BASE,
            f"this home began with {known['path']}",
            "put that back, or begin another home",
            given=repr(str(folder)),
        )
