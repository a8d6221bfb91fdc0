"""The configuration reference: every key of metaevo.toml with its type, default and meaning."""

import json
import types
import typing
from datetime import date
from enum import EnumType
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BeforeValidator
from pydantic_core import PydanticUndefined

from services.config.unsupported import RULES
from tests.architecture.configuration import Key, table_in
from tests.architecture.configuration import keys as every_key
from tests.architecture.lists import table

LATER = {path: way_out for path, _, way_out in RULES}
LATER_TEXT = "*Comes with a later part: {}.*"
HEAD = ("key", "type", "default", "meaning")
INLINE = {"Secret": "`{ env = }`, `{ file = }` or `{ credential = }`", "TextFile": "`{ file = }`"}
UNITS = {"seconds_of": 'duration (`"90s"`, `"9min"`, `"2h"`)', "bytes_of": 'size (`"400GiB"`)'}
WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false"}
WORDS |= {date: "date", Any: "text or whole number"}


def keys() -> str:
    """Return a section for every table with a row for every key that holds a value."""
    sections: dict[str, list[tuple[str, ...]]] = {"": []}
    notes: dict[str, str] = {}
    above: tuple[str, ...] = ("?",)
    for key in every_key():
        if key.path[: len(above)] == above:
            continue
        inner = table_in(key.info.annotation)
        if inner is not None and inner.__name__ not in INLINE:
            continue
        above = key.path if inner is not None else above
        row = (f"`{key.path[-1]}`", type_of(key.info.annotation, key.info.metadata), default(key), meaning(key))
        name = ".".join(key.path[:-1])
        sections.setdefault(name, []).append(row)
        notes[name] = next((f"\n\n{LATER_TEXT.format(LATER[p])}" for p in prefixes(key.path[:-1]) if p in LATER), "")
    return "\n\n".join(f"### {title(name)}{notes[name]}\n\n{table(HEAD, rows)}" for name, rows in sections.items())


def title(name: str) -> str:
    """Return a table's heading."""
    return f"`[{name}]`" if name else "Before the first table"


def prefixes(path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return a path and what it stands in, longest first."""
    return [path[:n] for n in range(len(path), 0, -1)]


def type_of(kind: Any, marks: typing.Sequence[Any] = ()) -> str:
    """Return a type as a person writes it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return type_of(inner[0], inner[1:])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_of(part, marks) for part in inner if part is not type(None))
    if origin is tuple:
        return f"list of {type_of(inner[0])}s"
    choices = inner if origin is typing.Literal else list(kind) if isinstance(kind, EnumType) else ()
    return ", ".join(f"`{json.dumps(choice)}`" for choice in choices) or simple(kind, marks)


def simple(kind: Any, marks: typing.Sequence[Any]) -> str:
    """Return a type that is one word, with its limits."""
    units = [UNITS[mark.func.__name__] for mark in marks if isinstance(mark, BeforeValidator)]
    if units or getattr(kind, "__name__", "") in INLINE:
        return units[0] if units else INLINE[kind.__name__]
    limits = {type(mark): mark for mark in flat(marks)}
    if Ge in limits and Le in limits:
        return f"{WORDS[kind]}, {number(limits[Ge].ge)} to {number(limits[Le].le)}"
    signs = ((Ge, "at least", "ge"), (Gt, "more than", "gt"), (Le, "at most", "le"), (Lt, "less than", "lt"))
    said = [f", {words} {number(getattr(limits[mark], name))}" for mark, words, name in signs if mark in limits]
    return WORDS[kind] + "".join(said)


def number(value: Any) -> str:
    """Return a limit as a person writes it."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def flat(marks: typing.Sequence[Any]) -> list[Any]:
    """Return annotations with the parts of pydantic's `Field` in their place."""
    return [part for mark in marks for part in getattr(mark, "metadata", [mark])]


def default(key: Key) -> str:
    """Return a key's default as it is written in the file."""
    value = key.info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "–"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def meaning(key: Key) -> str:
    """Return what a key means, and what to do while its component is not here.

    Raises:
        ValueError: Its table says nothing about it.
    """
    said = key.info.description
    if not said:
        raise ValueError(f"{key.table.__module__}.{key.table.__name__}.{key.name}: needs a docstring below it")
    said = " ".join(said.split())
    if key.path not in LATER:
        return said
    partly = key.info.get_default() not in (None, False, PydanticUndefined)
    later = "*Not every value is here yet: {}.*" if partly else LATER_TEXT
    return f"{said} {later.format(LATER[key.path])}"
