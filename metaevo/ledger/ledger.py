"""Open the ledger, and the only two ways to touch it: `read` and `write` (one short transaction each).

SQLite in WAL mode with synchronous=FULL and one writer: the process that holds the home's lock. Anybody else
opens it read-only.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool
from sqlmodel import Session, SQLModel, create_engine

from metaevo.errors import BadInput, StoreError
from metaevo.ledger.tables import VERSION, EventRow, Meta


def utc_now() -> datetime:
    """Return the wall-clock time; the ledger is the one place below the services that reads it."""
    return datetime.now(UTC)


class Ledger:
    """The home's database. Use as ``with ledger.write() as session``; every block is one transaction."""

    def __init__(self, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self.now = now

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are committed together, or not at all.

        Raises:
            StoreError: The disk is full or the database cannot be written.
        """
        with self._lock, Session(self._engine, expire_on_commit=False) as session:
            try:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
                yield session
                session.commit()
            except (OperationalError, DatabaseError) as error:
                session.rollback()
                raise StoreError(f"the ledger cannot be written: {error.orig}; free space or fix the folder") from error
            except BaseException:
                session.rollback()
                raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading; what it loads stays usable after the block."""
        with self._lock, Session(self._engine, expire_on_commit=False) as session:
            yield session

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
        BadInput: There is none (and ``create`` was not asked for), it is no ledger, or it is of a newer version.
    """
    if not path.is_file() and not create:
        raise BadInput(f"{path}: no ledger here; create a home with `metaevo init`, or name another one with --home")
    target = f"file:{path}?mode=ro&uri=true" if read_only else str(path)
    engine = create_engine(
        f"sqlite:///{target}", poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": 5.0}
    )
    event.listen(engine, "connect", _reader if read_only else _writer)
    ledger = Ledger(engine)
    try:
        if create and ledger_is_empty(engine):
            SQLModel.metadata.create_all(engine)
            ledger.set_meta("schema", str(VERSION))
        version = ledger.meta("schema")
    except (OperationalError, DatabaseError, StoreError) as error:
        raise BadInput(f"{path}: cannot be opened as a ledger ({error.__cause__ or error})") from error
    if version is None or int(version) > VERSION:
        raise BadInput(f"{path}: schema {version}, this metaevo knows {VERSION}; upgrade metaevo to open this home")
    return ledger


def ledger_is_empty(engine: Engine) -> bool:
    """Return whether the file holds no tables yet."""
    with engine.connect() as connection:
        return not connection.exec_driver_sql("select count(*) from sqlite_master").scalar()


def _writer(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `write`, not by the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _reader(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
