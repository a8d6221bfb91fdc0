"""What every verb returns, for programs that read `--json`."""

import inspect
from typing import Annotated

from services.operations import load, operation
from services.parameters import Argument
from services.records import JsonSchema
from services.records.verbs import Verb


@operation("read", home=False)
def schema(
    verb: Annotated[
        list[str] | None, Argument("a verb, for example status or goals list; without one: all of them")
    ] = None,
) -> JsonSchema | list[Verb]:
    """Print the JSON Schema of what a verb returns with --json; without a verb, list the verbs."""
    from metaevo.errors import BadInput
    from services.records import form

    known = {" ".join(part for part in (made.group, made.name) if part): made for made in load()}
    if verb is None or not verb:
        return [_verb(name, made.scope, inspect.getdoc(made.call) or "") for name, made in known.items()]
    asked = " ".join(verb)
    if asked not in known:
        raise BadInput(f"schema {asked}", "no such verb", "`metaevo schema` lists them")
    return form.schema(known[asked].result)


def _verb(name: str, scope: str, text: str) -> Verb:
    return Verb(name=name, scope=scope, does=text.splitlines()[0] if text else "")
