"""What every table of metaevo.toml is made of: durations, sizes, shares, where a secret or a text is found."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.config.units import bytes_of, seconds_of

Seconds = Annotated[float, BeforeValidator(seconds_of)]
Bytes = Annotated[int, BeforeValidator(bytes_of)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class Table(BaseModel):
    """A table of the file: unknown keys are errors, values are not changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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
