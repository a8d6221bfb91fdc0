"""What operations return is a type of its own to the last field: no `Any`, no bare mapping, all with a schema."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from datetime import date
from enum import EnumType

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from services.operations import Operation, load
from services.records import form

PLAIN = (str, int, float, bool, types.NoneType, date)
CONTAINERS = (list, tuple, dict, typing.get_origin(typing.Mapping[str, int]), typing.get_origin(typing.Sequence[int]))


def untyped(kind: object, where: str, seen: tuple[object, ...] = ()) -> Iterator[str]:
    """Yield a sentence for every part of a type that says nothing about what is in it."""
    if kind in PLAIN or kind in seen or isinstance(kind, EnumType) or typing.get_origin(kind) is typing.Literal:
        return
    seen = (*seen, kind)
    if isinstance(kind, TypeAliasType):
        return  # the one alias is any JSON, spelled out; it has a schema
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        yield from of_record(kind, where, seen)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from untyped(field.annotation, f"{where}.{name}", seen)
    elif typing.get_origin(kind) is typing.Annotated:
        yield from untyped(typing.get_args(kind)[0], where, seen)
    elif typing.get_origin(kind) in (*CONTAINERS, typing.Union, types.UnionType):
        for part in typing.get_args(kind):
            if part is not Ellipsis:
                yield from untyped(part, where, seen)
    else:
        yield f"{where}: {kind} says nothing about what is in it"


def of_record(kind: type, where: str, seen: tuple[object, ...]) -> Iterator[str]:
    """Yield what is wrong with a record: it can be changed, or a field says nothing."""
    params = kind.__dataclass_params__  # type: ignore[attr-defined]
    if not params.frozen or not hasattr(kind, "__slots__"):
        yield f"{where}: {kind.__name__} is not frozen and slotted"
    for name, hint in typing.get_type_hints(kind).items():
        yield from untyped(hint, f"{where}.{name}", seen)


def verb(operation: Operation) -> str:
    return f"{operation.group} {operation.name}".strip()


EVERY = {verb(operation): operation for operation in load()}


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_result_is_typed_to_its_last_field(name: str) -> None:
    said = list(untyped(EVERY[name].result, name))
    assert not said


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_verb_has_a_schema(name: str) -> None:
    assert form.schema(EVERY[name].result)


def test_what_says_nothing_is_found_wherever_it_stands() -> None:
    Deep = dataclasses.make_dataclass("Deep", [("rows", tuple[dict[str, object], ...])], frozen=True, slots=True)
    Loose = dataclasses.make_dataclass("Loose", [("name", str)])
    assert list(untyped(list[Deep | None], "x")) == ["x.rows: <class 'object'> says nothing about what is in it"]
    for kind in (dict, list, typing.Any, dict[str, typing.Any], object):
        assert list(untyped(kind, "x"))
    assert list(untyped(Loose, "x")) == ["x: Loose is not frozen and slotted"]
    assert not list(untyped(dict[str, list[tuple[float, int | None]]], "x"))
