"""The verbs themselves."""

from services.records import record


@record
class Verb:
    """A verb: what it does, and which scope it takes."""

    name: str
    scope: str
    does: str
