"""A home on disk: one model lineage with its configuration, ledger and artifacts, held by one process at a time."""

import fcntl
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metaevo.errors import BadInput, Busy, Unwritable, writing

if TYPE_CHECKING:  # the command line imports this at every start: nothing heavy may come with it
    from metaevo.artifacts.store import Store
    from metaevo.ledger.ledger import Ledger
    from metaevo.ledger.postgres import Postgres
    from services.config.tables import Config

CONFIG_NAME = "metaevo.toml"
LEAST_FREE = 64 * 2**20
"""Bytes that must be free before anything that writes begins."""
FOLDERS = ("artifacts", "models", "environments", "modules", "recipes")


@dataclass(frozen=True, slots=True)
class Home:
    """The directory. Nothing is created or locked by making this object."""

    path: Path

    @property
    def config_path(self) -> Path:
        """Return where metaevo.toml is."""
        return self.path / CONFIG_NAME

    @property
    def text(self) -> str:
        """Return the text of metaevo.toml."""
        return self.config_path.read_text(encoding="utf-8")

    def config(self) -> "Config":
        """Return the configuration.

        Raises:
            BadInput: There is no home here, or its configuration is wrong.
        """
        from services.config import read

        if not self.path.is_dir():
            raise BadInput(self.path, "no home here", f"create one with `metaevo init --home {self.path}`")
        return read.load(self.config_path)

    def store(self) -> "Store":
        """Return the artifact store."""
        from metaevo.artifacts.store import Store

        return Store(self.path / "artifacts")

    def place(self) -> "Path | Postgres":
        """Return where the ledger is kept: a file in the home, or the database that [ledger] names.

        Raises:
            BadInput: [ledger] is wrong or gone, its secret is missing, or the home has a file with a history as well.
        """
        file = self.path / "metaevo.db"
        try:
            named = "ledger" in tomllib.loads(self.text)
        except (OSError, ValueError, RecursionError):  # whoever needs the configuration says what is wrong with it
            named = False
        table = self.config().ledger if named else None
        if table is None:
            self._refuse_lost(file)
            return file
        from metaevo.ledger.postgres import Postgres
        from services.config import read, secrets

        where = read.at(self.text, ["ledger", "url"])
        if file.exists():
            raise BadInput(where, f"this home's history is in {file.name}", "take [ledger] out, or begin a new home")
        url = secrets.value_of(table.url, self.path, where)
        try:
            return Postgres(url)
        except BadInput as error:
            raise error.at(where) from None  # the address is a secret, and so is what was tried with it

    @property
    def _backend(self) -> Path:
        """Return the file that says which kind of database keeps the ledger, where it is not a file of the home."""
        return self.path / "ledger"

    def _refuse_lost(self, file: Path) -> None:
        """Refuse to begin a second lineage over the artifacts of one whose database the configuration lost."""
        if self._backend.is_file() and not file.exists():
            way_out = "put [ledger] back, or begin a new home"
            raise BadInput(f"{CONFIG_NAME}: ledger", "this home's history is in a PostgreSQL database", way_out)

    def ledger(self, *, read_only: bool = True, create: bool = False) -> "Ledger":
        """Return the ledger. One that an older metaevo wrote is migrated first; who writes holds the home already.

        Raises:
            BadInput: There is no home here, or nothing has run in it yet and ``create`` was not asked for.
            Busy: It must be migrated, and another process holds the home.
        """
        from metaevo.ledger.ledger import OldSchema, open_ledger

        place = self.place()
        if not create and not self.founded:
            self.config()
            raise BadInput(self.path, "nothing has run here yet", f"start with `metaevo run --home {self.path}`")
        try:
            made = open_ledger(place, create=create, read_only=read_only)
        except OldSchema:
            with self.held() if read_only else nullcontext():
                self._migrate(place)
            made = open_ledger(place, read_only=read_only)
        if not read_only and not isinstance(place, Path) and not self._backend.exists():
            with writing(self.path):
                self._backend.write_text("postgresql\n", encoding="utf-8")  # the kind alone: the address is a secret
        return made

    def _migrate(self, place: "Path | Postgres") -> None:
        from metaevo.ledger.migrate import migrate

        said = migrate(place, self.path)
        if said:
            sys.stderr.write(f"metaevo: {said}\n")

    @property
    def founded(self) -> bool:
        """Return whether the home has a ledger."""
        place = self.place()
        if isinstance(place, Path):
            return place.is_file()
        from metaevo.ledger.ledger import is_ledger

        return is_ledger(place)

    def create(self, text: str, environments: Sequence[Path] = ()) -> None:
        """Make the folders, copy environment files into theirs and write metaevo.toml: all or nothing.

        Raises:
            BadInput: A home is here already, or the place cannot be written.
        """
        from services.config import read

        if self.config_path.exists():
            raise BadInput(self.config_path, "there is a home here already", "edit it, or choose another --home")
        read.parse(text)
        aside = self.path / ".metaevo.toml.new"
        folders = [*reversed(self.path.parents), self.path, *(self.path / name for name in FOLDERS)]
        copies = {path: self.path / "environments" / path.name for path in environments}
        made = [path for path in (*folders, *copies.values(), aside) if not path.exists()]
        try:
            for folder in folders:
                if folder in made:
                    folder.mkdir(exist_ok=True)
            for path, copy in copies.items():
                shutil.copy2(path, copy)
            aside.write_text(text, encoding="utf-8")
            aside.rename(self.config_path)
        except OSError as error:
            for path in reversed(made):
                with suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise BadInput(
                "--home", f"cannot be written ({error.strerror})", "choose another place", given=self.path
            ) from error

    def forget(self) -> None:
        """Remove ledger, artifacts and the exam's secret. For a home that could not be begun: it holds nothing yet."""
        from metaevo.evolution.bootstrap import SECRET
        from metaevo.ledger.ledger import forget

        forget(self.place())
        self._backend.unlink(missing_ok=True)
        (self.path / SECRET).unlink(missing_ok=True)
        for path in (self.path / "artifacts").glob("*"):
            shutil.rmtree(path)

    @contextmanager
    def held(self) -> Iterator["Home"]:
        """Hold the home's lock while the block runs.

        Raises:
            Busy: Another process holds it; the message names that process.
            Unwritable: It is read-only or full.
            BadInput: There is no home here.
        """
        if not self.path.is_dir():
            self.config()
        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unwritable(
                f"--home {self.path}: cannot be written ({error.strerror}); fix its owner or mode"
            ) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(handle, 64, 0).decode(errors="replace").strip() or "unknown"
                raise Busy(f"{self.path}: held by process {holder}; wait for it, or stop it") from error
            self._room()
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield self
            os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def _room(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE:
            raise Unwritable(f"--home {self.path}: {free // 2**20} MiB free, {LEAST_FREE // 2**20} needed; make room")


def default_path() -> Path:
    """Return where a home is when nobody says otherwise."""
    return Path(os.environ.get("METAEVO_HOME") or Path.home() / ".local" / "share" / "metaevo")
