"""Dialects: how a base model is asked to critique, refine, rationalize and pose. Data, one TOML file a dialect."""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metaevo.errors import BadInput
from objectives.types import Message, Messages

FOLDER = Path(__file__).parent
KINDS = ("critique", "refine", "rationalize", "pose")


@dataclass(frozen=True, slots=True)
class Dialect:
    """The prompts of one dialect, and how its critiques are read. It is the effect `Prompts`."""

    name: str
    tables: Mapping[str, Mapping[str, str]]
    digest: str

    def ask(self, kind: str, **fields: object) -> Messages:
        """Return the prompt of this kind with its fields filled in.

        Raises:
            BadInput: The dialect has no such kind, or a field is missing.
        """
        try:
            template = self.tables[kind]["prompt"]
            return (Message("user", template.strip("\n").format(**fields)),)
        except KeyError as error:
            raise BadInput(
                f"dialect {self.name}", f"{kind} needs {error}", f"it knows {', '.join(self.tables)}"
            ) from error

    def judge(self, critique: str) -> tuple[float | None, bool | None]:
        """Return (score in [0, 1], passes) as read from a critique; None where it cannot be read."""
        table = self.tables["critique"]
        last = {kind: _last(table[kind], critique.strip()) for kind in ("passes", "fails") if kind in table}
        passes = last["passes"] > last.get("fails", -1)  # the last verdict counts, not one that is quoted before
        if "marks" in table:
            marks = critique.strip()
            return (sum(mark in table["marks"] for mark in marks) / len(marks), passes) if marks else (None, None)
        return (None, None) if max(last.values()) < 0 else (float(passes), passes)


def _last(pattern: str, text: str) -> int:
    """Return where the pattern matches last, -1 where it does not."""
    return max((found.start() for found in re.finditer(pattern, text)), default=-1)


def load(name: str) -> Dialect:
    """Return a dialect by name.

    Raises:
        BadInput: There is none of that name.
    """
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise BadInput("model.dialect", "no such dialect", f"known: {known}", given=repr(name))
    data = path.read_bytes()
    return Dialect(name, tomllib.loads(data.decode()), hashlib.sha256(data).hexdigest()[:16])
