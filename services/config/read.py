"""Read metaevo.toml, and say where it is wrong: file, line, key, value and the way out, in one line."""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from metaevo.errors import BadInput
from services.config.tables import Config
from services.records import JsonSchema

NAME = "metaevo.toml"
SECRETIVE = ("Secret", "Notify", "LedgerTable")
NEVER_HERE = "a secret is never written here"
NEVER_WAY = 'use { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }'
HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?")
KEY = re.compile(r"""^\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")


def load(path: Path) -> Config:
    """Return the configuration in a file.

    Raises:
        BadInput: It is missing, no TOML, or wrong at one place, which the message names.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadInput(path, "no such file", "create a home with `metaevo init`, or name it with --home") from error
    except (UnicodeDecodeError, OSError) as error:
        raise BadInput(path, f"cannot be read ({error})", "save it as UTF-8 where it can be read") from error
    return parse(text, path.name)


def parse(text: str, name: str = NAME) -> Config:
    """Return the configuration a text describes. Raises BadInput like `load`."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # no TOML, a number of 5,000 digits, 20,000 brackets
        raise _no_toml(name, str(error)) from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        place = [part for part in first["loc"] if not _is_branch(part)]
        raise _wrong(at(text, place, name), first, place) from error


def _no_toml(name: str, said: str) -> BadInput:
    """Return a fault of the syntax with its line where it has one."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", said)
    if found is not None:
        name, said = f"{name}:{found[1]}", f"{said[: found.start()]} (at column {found[2]})"
    return BadInput(name, f"is not TOML: {said}", 'a line is [table] or key = value, and text stands in "quotes"')


def at(text: str, place: list[Any], name: str = NAME) -> str:
    """Return ``file:line: key.path`` for a key, as near as the text shows it."""
    path = [str(part) for part in place]
    line = next((found for n in range(len(path), 0, -1) if (found := _line(text, path[:n]))), None)
    where = f"{name}:{line}" if line else name
    return f"{where}: {'.'.join(path)}" if path else where


def _line(text: str, path: list[str]) -> int | None:
    """Return the line on which a key or table is written, None where it is not."""
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = HEADER.match(line)
        if header:
            table = _parts(header[1])
            if table[: len(path)] == path:
                return number
            continue
        key = KEY.match(line)
        if key and [*table, *_parts(key[1])][: len(path)] == path:
            return number
    return None


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(r"""\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+""", dotted)]


def _is_branch(part: object) -> bool:
    """Return whether a location part is pydantic's name for a union's branch, not a key of the file."""
    return isinstance(part, str) and (part.startswith(("literal[", "ProtectTable", "function-")) or part == "tuple")


def _wrong(where: str, error: ErrorDetails, place: list[Any]) -> BadInput:
    """Return what pydantic found wrong at a place of the file, as people are told it."""
    given = f"{error.get('input')!r:.120}"
    if error["type"] == "extra_forbidden":
        known = _known(place)
        close = difflib.get_close_matches(str(place[-1]), known, n=1)
        return BadInput(
            where, "unknown key, " + (f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"), ""
        )
    if error["type"] == "missing":
        return BadInput(where, "is missing", "every configuration needs it")
    if error["type"] == "model_type":
        if error["ctx"]["class_name"] in SECRETIVE:  # what stands there may be the secret itself: it is not repeated
            return BadInput(where, NEVER_HERE, NEVER_WAY)
        keys = ", ".join(_known([*place, ""]))
        return BadInput(where, "want a table, { key = value }", f"keys: {keys}", given)
    if error["type"] == "tuple_type":
        return BadInput(where, "", "want a list, [ value, value ]", given)
    said = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"]
    return BadInput(where, said[0].lower() + said[1:], "", given)


def _known(place: list[Any]) -> list[str]:
    """Return the keys that are known where an unknown one stands."""
    model: Any = Config
    for part in place[:-1]:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get("raise_" if part == "raise" else str(part))
            model = field.annotation if field is not None else None
            model = model if get_origin(model) is dict else _table(model)
        else:
            model = _table(model)
    model = _table(model) or model
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return []


def _table(kind: object) -> object:
    """Return the table class inside an annotation such as ``dict[str, T]`` or ``T | None``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for inner in get_args(kind) if (found := _table(inner)) is not None), None)


def schema() -> JsonSchema:
    """Return the JSON Schema of metaevo.toml, for editors."""
    return Config.model_json_schema()
