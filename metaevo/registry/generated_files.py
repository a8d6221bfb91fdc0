"""Generated modules on disk: one TOML file each, `home/modules/<slot>/generated/syn_<name>.toml`.

A file holds the kernel's source as text, who proposed it from what, the numbers of its admission, and its state:
``admitted`` (search may try it), ``adopted`` (a person took it: `forbid.methods = ["generated:SLOT"]` no longer
names it) or ``quarantined`` (nothing may use it; it stays for the record). What was admitted is sealed by a digest.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, ValidationError

from metaevo.errors import ModuleFailed, writing
from metaevo.registry.generated import FORMS, Code, build
from metaevo.registry.slots import SLOTS, Module

FOLDER = "generated"
NAME = re.compile(r"syn_[a-z0-9_]{1,60}")
State = Literal["admitted", "adopted", "quarantined"]


class Generated(BaseModel):
    """One generated module: what was written, by whom, what admission found, and what became of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    slot: str
    kind: str
    state: State = "admitted"
    about: str = ""
    """One line for people."""
    proposer: str
    model: str = ""
    """Which language model wrote it, as the endpoint calls it or the generation; empty where none did."""
    prompt: str = ""
    """The digest of what that model was asked."""
    parents: tuple[str, ...] = ()
    """Names of the generated modules it was made from."""
    cycle: int | None = None
    """The cycle it was proposed in, None where that was outside of one."""
    tier: str = ""
    """Where it was admitted."""
    numbers: dict[str, float] = {}
    """What admission measured."""
    reason: str = ""
    """Why it is quarantined."""
    source: str
    seal: str = ""
    """The digest of what was admitted: a file whose source is another is refused by name.

    Laws of a generated module are tried at admission, not at every start: they need a sandbox.
    """

    @property
    def digest(self) -> str:
        """Return the digest of what decides what it does: slot, kind and source."""
        return hashlib.blake2b("\0".join((self.slot, self.kind, self.source)).encode(), digest_size=8).hexdigest()

    @property
    def label(self) -> str:
        """Return ``slot.name``."""
        return f"{self.slot}.{self.name}"

    @property
    def doc(self) -> str:
        """Return what a listing says of it."""
        made = f" from {', '.join(self.parents)}" if self.parents else ""
        when = f" in cycle {self.cycle}" if self.cycle is not None else ""
        head = self.about or f"A generated kernel: {self.kind}."
        who = f"{self.proposer} ({self.model})" if self.model else self.proposer
        return f"{head}\n\nWritten by {who}{made}{when}. Its source runs in the sandbox only."


def path_of(home: Path, slot: str, name: str) -> Path:
    """Return where a generated module's file is."""
    return home / "modules" / slot / FOLDER / f"{name}.toml"


def paths(home: Path, slot: str) -> dict[str, Path]:
    """Return every generated module's file of a slot by name, quarantined ones too."""
    return {path.stem: path for path in sorted((home / "modules" / slot / FOLDER).glob("syn_*.toml"))}


def usable_paths(home: Path, slot: str) -> dict[str, Path]:
    """Return the files of those that may be used. A broken file is among them: it is told when it is needed."""
    return {name: path for name, path in paths(home, slot).items() if quarantine_reason(path) is None}


def quarantine_reason(path: Path) -> str | None:
    """Return why a generated module is quarantined, None where it is not."""
    try:
        found = peek(path)
    except ModuleFailed:
        return None
    return (found.reason or "no reason was given") if found.state == "quarantined" else None


def load(path: Path) -> Generated:
    """Return what a file says.

    Raises:
        ModuleFailed: It is not a file of a generated module, or its source is another than what was admitted.
    """
    found = peek(path)
    if found.seal != found.digest:
        raise ModuleFailed(f"{path}: its source is not what was admitted; have it admitted again, or remove the file")
    return found


def peek(path: Path) -> Generated:
    """Return what a file says, whether or not its source is what was admitted: for the record, not for use.

    Raises:
        ModuleFailed: It is not a file of a generated module.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ModuleFailed(f"{path}: {error.strerror}") from error
    return _parsed(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _parsed(path: Path, _mtime_ns: int, _size: int) -> Generated:
    try:
        found = Generated.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        said = " ".join(str(error).split())[:200]
        raise ModuleFailed(f"{path}: is not a generated module: {said}") from error
    if (found.slot, found.name) != (path.parent.parent.name, path.stem) or not NAME.fullmatch(found.name):
        raise ModuleFailed(f"{path}: says it is {found.label}; a file is called like its module, syn_…, in its slot")
    if (found.slot, found.kind) not in FORMS:
        raise ModuleFailed(f"{path}: no kernel of kind {found.kind!r} in slot {found.slot}")
    return found


def save(home: Path, made: Generated) -> Path:
    """Write a generated module's file, whole or not at all, and return where.

    Raises:
        ModuleFailed: Its name or kind is none.
        Unwritable: The disk is full or read-only.
    """
    if not NAME.fullmatch(made.name) or (made.slot, made.kind) not in FORMS:
        raise ModuleFailed(f"{made.label}: want a name like syn_short_answers and a kind of {sorted(FORMS)}")
    path = path_of(home, made.slot, made.name)
    document = tomlkit.document()
    for key, value in made.model_dump(exclude_none=True, exclude={"seal"}).items():
        document[key] = tomlkit.string(value, multiline=True) if key == "source" and _flat(value) else value
    document["seal"] = made.seal or made.digest
    aside = path.with_suffix(f".{os.getpid()}.new")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(tomlkit.dumps(document), encoding="utf-8")
        aside.replace(path)
    return path


def _flat(text: str) -> bool:
    """Return whether a text reads the same from lines as from one escaped line."""
    plain = all(c == "\n" or c.isprintable() for c in text)
    return plain and tomllib.loads(f"x = {tomlkit.string(text, multiline=True).as_string()}")["x"] == text


def every_module(home: Path) -> Iterator[Generated]:
    """Yield every generated module of a home that can be read, quarantined ones too."""
    for slot in SLOTS:
        for path in paths(home, slot).values():
            try:
                yield peek(path)
            except ModuleFailed:  # the registry tells it by name where it is used or listed
                continue


def module(path: Path, digest: str) -> Module:
    """Return the module of a file.

    Raises:
        ModuleFailed: The file is broken.
    """
    found = load(path)
    return build(Code(found.slot, found.kind, found.name, found.source), path, digest, found.doc)
