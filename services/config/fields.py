"""What every table of metaevo.toml is made of: durations, sizes, shares, where a secret or a text is found."""

from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from services.config.units import bytes_of, seconds_of

Seconds = Annotated[float, BeforeValidator(seconds_of)]
Bytes = Annotated[int, BeforeValidator(bytes_of)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


WANTED = {int: "an integer", float: "a number", bool: "true or false"}


def _plain(kind: object) -> type | None:
    """Return the kind of number that alone an annotation takes; None where it takes other things."""
    if kind in WANTED:
        return kind if isinstance(kind, type) else None
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return None if any(isinstance(part, BeforeValidator) for part in inner[1:]) else _plain(inner[0])
    if origin not in (Union, UnionType):
        return None
    found = {_plain(part) for part in inner if part is not NoneType}
    return found.pop() if len(found) == 1 else None


class Table(BaseModel):
    """A table of the file: unknown keys are errors, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: object, info: ValidationInfo) -> object:
        """Refuse "8" and true for a number, and "false" for false: pydantic would take them."""
        field = cls.model_fields[info.field_name or ""]
        kind = _plain(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)
        if kind is None or value is None:
            return value
        if isinstance(value, str) or isinstance(value, bool) != (kind is bool):
            raise ValueError(f"want {WANTED[kind]}, without quotes")
        return value


class Secret(Table):
    """Where a secret is found; it is never written into the file itself. Exactly one key."""

    env: str | None = None
    """Name of an environment variable."""
    file: str | None = None
    """A file that holds it alone."""
    credential: str | None = None
    """Name of a systemd credential."""

    @model_validator(mode="after")
    def _one(self) -> "Secret":
        given = [name for name in ("env", "file", "credential") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("want exactly one of { env = }, { file = } and { credential = }")
        return self


class TextFile(Table):
    """A text kept in a file beside metaevo.toml."""

    file: str
    """From the home's folder."""
