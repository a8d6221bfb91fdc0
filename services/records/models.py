"""What a generation answered, scored, or was written as."""

from collections.abc import Mapping

from services.records import Measured, record


@record
class AnswerTurn:
    """One turn of an answer."""

    role: str
    text: str


@record
class ModelAnswer:
    """A generation's answer to a prompt."""

    generation: str
    answer: str
    tokens: int
    turns: tuple[AnswerTurn, ...]


@record
class ModelScores:
    """A generation's scores on fresh probe items."""

    generation: str
    abilities: Mapping[str, Measured]
    cells: Mapping[str, Measured]


@record
class ExportedModel:
    """A generation as a plain checkpoint, and the command that serves it."""

    generation: str
    folder: str
    files: Mapping[str, str]
    """The SHA-256 of each file."""
    serve: str
