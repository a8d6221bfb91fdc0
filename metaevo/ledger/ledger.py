"""Open the ledger, and the only two ways to touch it: `read` and `write` (one short transaction each).

SQLite in WAL mode with synchronous=FULL and one writer: the process that holds the home's lock. Anybody else
opens it read-only.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool
from sqlmodel import Session, SQLModel, create_engine

from metaevo.artifacts.store import sync
from metaevo.errors import BadInput, StoreError, Unwritable, writing
from metaevo.ledger.tables import VERSION, ConfigRow, EventRow, Meta


def utc_now() -> datetime:
    """Return the wall-clock time; the ledger is the one place below the services that reads it."""
    return datetime.now(UTC)


class Ledger:
    """The home's database. Use as ``with ledger.write() as session``; every block is one transaction."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._writing = False
        self.now = now

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are committed together, or not at all; on disk when the block ends.

        Raises:
            Unwritable: The disk is full, or the file is read-only or locked.
            StoreError: A row breaks a rule of its table, or the file is damaged.
        """
        with self.transaction() as connection, Session(connection, expire_on_commit=False) as session:
            yield session
            session.commit()  # into the connection's transaction, which ends with the block

    @contextmanager
    def transaction(self, *, forced: bool = True) -> Iterator[Connection]:
        """Yield a bare connection: as `write`, without the ORM, which costs a small write more than SQLite does.

        Without ``forced`` changes survive the death of this process, but reach the disk only with the next commit
        that is forced.

        Raises:
            Unwritable: As `write`.
            StoreError: As `write`.
        """
        with self._alone(writing=True), self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection  # SQLAlchemy's own way costs as much as the commit
            try:
                with connection.begin():
                    driver.execute(f"PRAGMA synchronous={'FULL' if forced else 'NORMAL'}")
                    driver.execute("BEGIN IMMEDIATE")
                    yield connection
            except (DatabaseError, sqlite3.Error) as error:
                cause = error.orig if isinstance(error, DatabaseError) else error
                kind = Unwritable if isinstance(cause, sqlite3.OperationalError) else StoreError
                raise kind(f"the ledger cannot be written: {cause}; free space or fix the folder") from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading; what it loads stays usable after the block."""
        with self.look() as connection, Session(connection, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """Yield a bare connection for reading: as `read`, without the ORM."""
        with self._alone(writing=False), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _alone(self, *, writing: bool) -> Iterator[None]:
        """Hold the one connection. A block inside a writing one would end its transaction, and lose it unsaid."""
        with self._lock:
            if self._writing:
                raise RuntimeError("a ledger block inside a write: use the session that is there")
            self._writing = writing
            try:
                yield
            finally:
                self._writing = False

    def event(self, code: str, sentence: str, cycle: int | None = None, **data: Any) -> None:
        """Append one event."""
        with self.write() as session:
            session.add(EventRow(code=code, sentence=sentence, data=data, cycle=cycle, at=self.now()))

    def meta(self, key: str) -> str | None:
        """Return one fact about the home, None where it was never set."""
        with self.read() as session:
            row = session.get(Meta, key)
            return row.value if row else None

    def set_meta(self, key: str, value: str) -> None:
        """Set one fact about the home."""
        with self.write() as session:
            session.merge(Meta(key=key, value=value))

    def keep_config(self, digest: str, text: str) -> None:
        """Keep one version of the configuration under its digest; one that is there already changes nothing."""
        with self.write() as session:
            if session.get(ConfigRow, digest) is None:
                session.add(ConfigRow(digest=digest, text=text, at=self.now()))

    def check(self) -> str:
        """Return SQLite's own verdict on the file: ``ok`` or what is wrong with it."""
        with self.read() as session:
            return str(session.connection().exec_driver_sql("PRAGMA integrity_check").scalar())

    def close(self) -> None:
        """Close the connection, folding the WAL into the file."""
        self._engine.dispose()


def open_ledger(path: Path, *, create: bool = False, read_only: bool = False) -> Ledger:
    """Return the ledger in this file.

    Raises:
        BadInput: There is none (and ``create`` was not asked for), it is no ledger, or it is of another version.
    """
    if not path.is_file() and not create:
        raise BadInput(f"{path}: no ledger here; create a home with `metaevo init`, or name another one with --home")
    if not path.is_file():
        _born(path)
    ledger = Ledger(_engine(path, read_only=read_only))
    try:
        version = ledger.meta("schema")
    except (OperationalError, DatabaseError, StoreError) as error:
        raise BadInput(f"{path}: cannot be opened as a ledger ({error.__cause__ or error})") from error
    if version != str(VERSION):
        raise BadInput(f"{path}: schema {version}, this metaevo knows {VERSION}; use the metaevo that wrote this home")
    return ledger


def _born(path: Path) -> None:
    """Make a new ledger beside the place and move it there: a file of that name is a whole ledger from the start.

    Raises:
        Unwritable: The disk is full or read-only.
    """
    aside = path.with_name(f"{path.name}.new")
    for old in path.parent.glob(f"{path.name}.new*"):
        old.unlink()
    with writing(path.parent):
        aside.touch()
    ledger = Ledger(_engine(aside, read_only=False))
    with ledger.write() as session:
        SQLModel.metadata.create_all(session.connection())
        session.add(Meta(key="schema", value=str(VERSION)))
    ledger.close()
    with writing(path.parent):
        aside.rename(path)
        sync(path.parent)


def _engine(path: Path, *, read_only: bool) -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool, creator=lambda: _connect(path, read_only=read_only))
    event.listen(engine, "connect", _reader if read_only else _writer)
    return engine


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection to the file whatever its name: an address would take ``%``, ``#`` and ``?`` for syntax.

    In a folder that cannot be written SQLite could not make the files it shares with a writer; there is none then.
    """
    frozen = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    target = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if frozen else ''}" if read_only else str(path)
    return sqlite3.connect(target, uri=read_only, check_same_thread=False, timeout=5.0)


def _writer(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `write`, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _reader(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
