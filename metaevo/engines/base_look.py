"""A base's tokenizer and chat template, tried out in a process of its own: the control plane loads no model library."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from metaevo.artifacts.bodies import adapter
from metaevo.engines.process import Child
from metaevo.engines.protocol import send
from metaevo.engines.worker_life import die_with_parent
from metaevo.errors import BadInput, MetaevoError, from_frame, to_frame
from metaevo.learning.chat import ChatSettings, PromptMaker, tokenizer_in
from objectives.types import Json

LOOK_S = 300.0
OWN = {"_from_model_config", "transformers_version", "bos_token_id", "pad_token_id"}
"""Keys of a generation_config.json that say nothing about how to generate."""
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What a look at a base found."""

    end: str
    """How its chat template ends a turn."""
    unused: tuple[str, ...]
    """Settings of its generation_config.json, as ``name = value``: none of them is used."""


def look_at(folder: Path) -> BaseFacts:
    """Return what the base in a checkpoint folder is like.

    Raises:
        BadInput: Its tokenizer cannot be loaded, or its chat template ends no turn with a token.
    """
    child = Child("metaevo.engines.base_look", [str(folder)], ENVIRONMENT)
    child.start()
    try:
        frame = child.receive(LOOK_S)
    finally:
        child.kill()
    if "ok" in frame:
        return adapter(BaseFacts).validate_python(frame["ok"])
    raise from_frame(frame)


def looked_at(folder: Path) -> BaseFacts:
    """Do the same in this process, which gets the libraries for it."""
    try:
        tokenizer = tokenizer_in(folder)
    except Exception as error:  # libraries raise whatever a wrong file makes them stumble over
        said = f"{folder} has a tokenizer that cannot be loaded ({str(error)[:200]})".replace("\n", " ")
        raise BadInput("model.base", said, "restore the file") from error
    chat = PromptMaker(tokenizer, ChatSettings(), 2**30)
    return BaseFacts(str(tokenizer.convert_ids_to_tokens(chat.end)), unused_settings(folder, chat.ends))


def unused_settings(folder: Path, ends: frozenset[int]) -> tuple[str, ...]:
    """Return what the checkpoint's file says of generating, ends that are ends here too left out."""
    path = folder / "generation_config.json"
    try:
        table: dict[str, Json] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError):
        return ("a file that is not JSON",)
    said = table.get("eos_token_id")
    given = said if isinstance(said, list) else [said]
    hidden = OWN | ({"eos_token_id"} if set(given) <= ends | {None} else set())
    return tuple(f"{name} = {json.dumps(value)[:60]}" for name, value in sorted(table.items()) if name not in hidden)


def main() -> None:
    """Look, say what was found on what was stdout, and end."""
    die_with_parent(int(sys.argv[1]))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        send(out, {"ok": looked_at(Path(sys.argv[2]))})
    except MetaevoError as error:
        send(out, to_frame(error))


if __name__ == "__main__":
    main()
