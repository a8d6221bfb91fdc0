"""Copies of a ledger before it is changed, each whole from the moment it has its name."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url

from metaevo.artifacts.store import sync
from metaevo.errors import BadInput, StoreError, Unwritable, writing
from metaevo.ledger.postgres import Postgres

PAGES = 256
"""Pages of SQLite that are copied at once."""
DUMP_S = 3600.0


def copy_file(path: Path, to: int, on_point: Callable[[str], None]) -> str:
    """Copy SQLite's file to one beside it and return where it is. The caller holds the write lock.

    Raises:
        Unwritable: The disk is full.
        StoreError: The copy is damaged, so the file is.
        BadInput: A folder stands where the copy goes.
    """
    target = path.with_name(f"{path.name}.before-{to}")
    aside = path.with_name(f"{target.name}.new")
    _refuse_folders(target, *path.parent.glob(f"{aside.name}*"))
    _remove(aside)
    try:
        return _copied(path, aside, target, on_point)
    finally:
        _remove(aside)  # what is not whole only takes room


def _remove(aside: Path) -> None:
    """Remove a copy that is not whole, and what SQLite keeps beside it."""
    for old in aside.parent.glob(f"{aside.name}*"):
        old.unlink(missing_ok=True)


def _refuse_folders(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            raise BadInput(path, "a folder stands where the copy of the ledger goes", "move that folder away")


def _copied(path: Path, aside: Path, target: Path, on_point: Callable[[str], None]) -> str:
    on_point("backup begins")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(aside)) as copy:
            source.backup(copy, pages=PAGES, progress=lambda *_left: on_point("backup goes on"))
            copy.execute("PRAGMA journal_mode=DELETE")
            (said,) = copy.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.OperationalError as error:
        raise Unwritable(f"{aside}: no copy of the ledger can be made: {error}; make room") from error
    if said != "ok":
        raise StoreError(f"{path}: is damaged ({said}), so it is not migrated; restore a backup")
    on_point("backup is checked")
    with writing(path.parent), aside.open("rb") as file:
        os.fsync(file.fileno())
        aside.rename(target)
        sync(path.parent)
    on_point("backup has its name")
    return f"as it was: {target}"


def dump(database: Postgres, home: Path, to: int, on_point: Callable[[str], None]) -> str:
    """Dump the database's tables to a file in the home and return where that is, or why there is none.

    A migration goes on without a dump: it is one transaction, and pg_dump is often not there, or older than the server.

    Raises:
        Unwritable: The disk is full.
        BadInput: A folder stands where the dump goes.
    """
    program = shutil.which("pg_dump")
    if program is None:
        return "no dump was made: pg_dump is not on the path"
    url = make_url(database.url).set(drivername="postgresql")
    target, aside = home / f"ledger.before-{to}.dump", home / f"ledger.before-{to}.dump.new"
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    address = url.set(password=None).render_as_string()
    _refuse_folders(target, aside)
    on_point("backup begins")
    made = subprocess.run(
        [program, "--format=custom", "--no-password", f"--file={aside}", f"--dbname={address}"],
        env=os.environ | secret,
        capture_output=True,
        text=True,
        timeout=DUMP_S,
        check=False,
    )
    on_point("backup is checked")
    if made.returncode != 0:
        aside.unlink(missing_ok=True)
        said = " ".join(made.stderr.split())[:200]
        return f"no dump was made: {said}"
    with writing(home), aside.open("rb") as file:
        os.fsync(file.fileno())
        aside.rename(target)
        sync(home)
    on_point("backup has its name")
    return f"as it was: {target}"
