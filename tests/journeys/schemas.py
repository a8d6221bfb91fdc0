"""What `--json` prints against the schema of its verb."""

import json
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from jsonschema import Draft202012Validator

from objectives.types import JsonValue
from services.operations import load
from services.records import form


@cache
def every() -> Mapping[str, Draft202012Validator]:
    """Return a validator for every verb; what is not a schema is an error."""
    found = {}
    for operation in load():
        schema = form.schema(operation.result)
        Draft202012Validator.check_schema(schema)
        found[f"{operation.group} {operation.name}".strip()] = Draft202012Validator(schema)
    return found


def verb_of(words: tuple[object, ...]) -> str:
    """Return the verb in a command line: two words or one, options aside."""
    said = [str(word) for word in words]
    pairs = [f"{word} {after}" for word, after in pairwise(said)]
    return next(name for name in (*pairs, *said) if name in every())


def faults(verb: str, data: JsonValue) -> list[str]:
    """Return what in the data is not as the verb's schema says."""
    return [f"{error.json_path}: {error.message}" for error in every()[verb].iter_errors(data)]


def must_fit(words: tuple[object, ...], out: str) -> None:
    """Check what a command with --json printed."""
    verb = verb_of(words)
    found = faults(verb, json.loads(out))
    assert not found, f"{verb}: {found[:5]}"
