"""Records as JSON, and the JSON Schema of what an operation returns; pydantic reads both from the same types."""

import json
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter

from services.records import JsonSchema

T = TypeVar("T")


def text(kind: type[T], result: T, *, indent: int | None = None) -> str:
    """Return a result as JSON; ``kind`` is the type its operation says it returns.

    Raises:
        PydanticSerializationError: The result is of another type.
    """
    file = isinstance(result, BaseModel)  # a file of ours as it was read: every default is said
    plain = TypeAdapter(kind).dump_python(
        result, mode="json", by_alias=True, exclude_none=file, exclude_defaults=not file, warnings="error"
    )
    return json.dumps(plain, ensure_ascii=False, indent=indent)


def schema(kind: type[object]) -> JsonSchema:
    """Return the JSON Schema of what an operation returns."""
    return TypeAdapter(kind).json_schema(mode="serialization", by_alias=True)
