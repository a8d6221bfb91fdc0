"""The same value gives the same sixteen hex digits in every process, or an error."""

import hashlib
import json
from typing import Any

from pydantic_core import to_jsonable_python


def fingerprint(*parts: Any) -> str:
    """Return a short hash of the parts' canonical JSON: keys sorted, dataclasses and models as their fields.

    Raises:
        TypeError: A part has no canonical form, so its hash would mean nothing.
    """
    try:
        plain = to_jsonable_python(parts)
    except Exception as error:
        raise TypeError(f"no canonical form for a fingerprint: {error}") from error
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
