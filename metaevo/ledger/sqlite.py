"""The ledger in a file of the home: SQLite in WAL mode, one writer, everybody else opens it read-only."""

import os
import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Insert, TableClause, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.pool import StaticPool
from sqlmodel import create_engine

from metaevo.artifacts.store import sync
from metaevo.errors import writing
from metaevo.ledger.json_text import read_json

FULL, NORMAL = "PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A ledger in this file. Nothing is opened or made by making this object."""

    path: Path

    @property
    def name(self) -> str:
        """Return how messages name it."""
        return str(self.path)

    @property
    def way_out(self) -> str:
        """Return what helps where it cannot be written."""
        return "free space or fix the folder"

    def exists(self) -> bool:
        """Return whether there is a ledger."""
        return self.path.is_file()

    def engine(self, *, read_only: bool = False) -> Engine:
        """Return an engine with one connection; transactions are begun by `begin`, not by the driver."""
        made = create_engine(
            "sqlite://",
            poolclass=StaticPool,
            creator=lambda: self._connect(read_only=read_only),
            json_deserializer=read_json,
        )
        event.listen(made, "connect", _reader if read_only else _writer)
        return made

    def begin(self, connection: Connection, *, forced: bool) -> None:
        """Begin a transaction that writes; its commit reaches the disk where it is ``forced``."""
        driver: Any = connection.connection.driver_connection  # SQLAlchemy's own way costs as much as the commit
        driver.execute(FULL if forced else NORMAL)
        driver.execute("BEGIN IMMEDIATE")

    def insert_once(self, table: TableClause) -> Insert:
        """Return an insert that does nothing where the row is there already."""
        return _insert_once(table)

    def check(self, connection: Connection) -> str:
        """Return SQLite's own verdict on the file: ``ok`` or what is wrong with it."""
        return str(connection.exec_driver_sql("PRAGMA integrity_check").scalar())

    def aside(self) -> "SqliteFile":
        """Return an empty file beside this one, where a new ledger is written before it gets its name.

        Raises:
            Unwritable: The disk is full or read-only.
        """
        aside = self.path.with_name(f"{self.path.name}.new")
        for old in self.path.parent.glob(f"{self.path.name}.new*"):
            old.unlink()
        with writing(self.path.parent):
            aside.touch()
        return SqliteFile(aside)

    def take(self, aside: "SqliteFile") -> None:
        """Give the file that `aside` made its name: a file of that name is a whole ledger from the start."""
        with writing(self.path.parent):
            aside.path.rename(self.path)
            sync(self.path.parent)

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        """Return a connection to the file whatever its name: an address would take ``%``, ``#`` and ``?`` for syntax.

        In a folder that cannot be written SQLite could not make the files it shares with a writer; there is none then.
        """
        path = self.path
        frozen = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
        address = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if frozen else ''}"
        return sqlite3.connect(address if read_only else str(path), uri=read_only, check_same_thread=False, timeout=5.0)


@cache
def _insert_once(table: TableClause) -> Insert:
    return insert(table).on_conflict_do_nothing()  # built once: every step begins with it


def _writer(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `begin`, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _reader(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
