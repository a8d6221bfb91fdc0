"""JSON of a column, read in one place: what cannot be read is one kind of error, however it is broken."""

import json

from objectives.types import JsonValue


class UnreadableJson(ValueError):
    """A column's text, ``doc``, is no JSON, or is nested deeper than any reader goes."""

    def __init__(self, why: str, doc: str) -> None:
        super().__init__(why)
        self.doc = doc


def read_json(text: str | bytes) -> JsonValue:
    """Return what a column's text says.

    Raises:
        UnreadableJson: It is no JSON, or is nested too deep.
    """
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError, TypeError) as error:
        raise UnreadableJson(" ".join(str(error).split())[:160], str(text)) from error
    return value
