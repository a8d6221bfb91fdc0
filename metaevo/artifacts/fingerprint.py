"""The same value gives the same sixteen hex digits in every process, or an error."""

import hashlib
import json
from dataclasses import fields, is_dataclass

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


def fingerprint(*parts: object) -> str:
    """Return a short hash of the parts' canonical JSON: keys and sets sorted, dataclasses and models as their fields.

    Raises:
        TypeError: A part has no canonical form (NaN or an infinity, half of a surrogate pair, an unknown kind), so its
            hash would mean nothing.
    """
    try:
        return hashlib.sha256(_canonical(parts).encode()).hexdigest()[:16]
    except Exception as error:
        raise TypeError(f"no canonical form for a fingerprint: {error}") from error


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: object) -> object:
    """Return what stands for a value that JSON does not know; what it holds is asked for again by itself."""
    if isinstance(value, set | frozenset):
        return sorted(_canonical(part) for part in value)
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in fields(value)}
    return to_jsonable_python(value)
