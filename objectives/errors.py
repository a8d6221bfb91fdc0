"""What a person wrote is wrong: one line in three parts, so that code and pages need not read it out of a text."""

from typing import Self


class WrongInput(ValueError):
    """As text one line: ``place: value; way out``, or ``place = given: value; way out`` where it is repeated."""

    def __init__(self, place: object, value: object, way_out: str = "", given: object = None) -> None:
        super().__init__(str(place), str(value), way_out, None if given is None else str(given))

    @property
    def place(self) -> str:
        """Return the key, file or option; empty where a whole sentence says it."""
        return str(self.args[0])

    @property
    def value(self) -> str:
        """Return what is wrong there."""
        return str(self.args[1])

    @property
    def way_out(self) -> str:
        """Return what to do; empty where there is nothing to do, or the fault says it."""
        return str(self.args[2])

    @property
    def given(self) -> str | None:
        """Return what was given there, where it is short enough to repeat."""
        return None if self.args[3] is None else str(self.args[3])

    def at(self, place: object) -> Self:
        """Return the same error at another place: whoever calls may know it under another name."""
        return type(self)(place, self.value, self.way_out, self.given)

    def inside(self, outer: object) -> Self:
        """Return the same error with the file or key that its place stands in."""
        return self.at(f"{outer}: {self.place}" if self.place else outer)

    def __str__(self) -> str:
        place = self.place
        option = place.startswith("--")  # an option is followed by its value, a key by "=" and its value
        head = place if self.given is None else f"{place} {self.given}" if option else f"{place} = {self.given}"
        tail = "; ".join(part for part in (self.value, self.way_out) if part)
        return ": ".join(part for part in (head, tail) if part)
