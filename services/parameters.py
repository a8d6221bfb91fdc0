"""What a parameter of an operation says of itself; the command line and (later) routes and forms read it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A named parameter."""

    help: str


@dataclass(frozen=True, slots=True)
class Argument:
    """A positional parameter."""

    help: str
