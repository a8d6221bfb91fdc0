"""Open the ledger, and the only two ways to touch it: `read` and `write` (one short transaction each).

It is kept in a file of the home (`sqlite.py`) or in a PostgreSQL database (`postgres.py`); all that differs between
them stands there. One writer: the process that holds the home's lock. Anybody else opens it read-only.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Insert, TableClause, inspect
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlmodel import Session, SQLModel

from metaevo.errors import BadInput, StoreError, Unwritable
from metaevo.ledger.json_text import UnreadableJson
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.sqlite import SqliteFile
from metaevo.ledger.tables import OLDEST, VERSION, ConfigRow, EventRow, Meta
from metaevo.ledger.unreadable import unreadable_rows

Database = SqliteFile | Postgres


class OldSchema(BadInput):
    """The ledger was written by an older metaevo, and can be migrated (`migrate.py`)."""


def utc_now() -> datetime:
    """Return the wall-clock time; the ledger is the one place below the services that reads it."""
    return datetime.now(UTC)


class Ledger:
    """The home's database. Use as ``with ledger.write() as session``; every block is one transaction."""

    def __init__(self, database: Database, engine: Engine, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._engine = engine
        self._lock = threading.RLock()
        self._writing = False
        self.now = now

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session whose changes are committed together, or not at all; on disk when the block ends.

        Raises:
            Unwritable: The disk is full, the file is read-only or locked, or the database is away.
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
            try:
                with connection.begin():
                    self._database.begin(connection, forced=forced)
                    yield connection
            except (DatabaseError, sqlite3.Error) as error:
                kind = Unwritable if isinstance(error, OperationalError | sqlite3.OperationalError) else StoreError
                raise kind(f"the ledger cannot be written: {_cause(error)}; {self._database.way_out}") from error
            except UnreadableJson as error:
                raise self._unreadable(error) from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading; what it loads stays usable after the block."""
        with self.look() as connection, Session(connection, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """Yield a bare connection for reading: as `read`, without the ORM.

        Raises:
            StoreError: The disk does not give it, the database is away, or a row holds JSON that cannot be read.
        """
        with self._alone(writing=False):
            try:
                with self._engine.connect() as connection:
                    yield connection
            except OperationalError as error:
                raise StoreError(f"the ledger cannot be read: {_cause(error)}") from error
            except UnreadableJson as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: UnreadableJson) -> StoreError:
        """Return what is said where a column's JSON cannot be read: the first row of which that is so is named."""
        with self._engine.connect() as connection:
            row = next(unreadable_rows(connection), f"the ledger: a row cannot be read ({error})")
        return StoreError(f"{row}; run `metaevo fsck`")

    def insert_once(self, table: TableClause) -> Insert:
        """Return an insert that does nothing where the row is there already; the databases say it alike, but apart."""
        return self._database.insert_once(table)

    @contextmanager
    def _alone(self, *, writing: bool) -> Iterator[None]:
        """Hold the one connection. A block inside a writing one would end its transaction, and lose it silently."""
        with self._lock:
            if self._writing:
                raise RuntimeError("a ledger block inside a write: use the session that is there")
            self._writing = writing
            try:
                yield
            finally:
                self._writing = False

    def event(self, code: str, sentence: str, cycle: int | None = None, **data: object) -> None:
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

    def drop_meta(self, key: str) -> None:
        """Take back one fact about the home."""
        with self.write() as session:
            row = session.get(Meta, key)
            if row is not None:
                session.delete(row)

    def keep_config(self, digest: str, text: str) -> None:
        """Keep one version of the configuration under its digest; one that is there already changes nothing."""
        with self.write() as session:
            if session.get(ConfigRow, digest) is None:
                session.add(ConfigRow(digest=digest, text=text, at=self.now()))

    def check(self) -> str:
        """Return the database's own verdict on itself: ``ok`` or what is wrong with it."""
        with self.look() as connection:
            return self._database.check(connection)

    def close(self) -> None:
        """Close the connection, folding the WAL into the file."""
        self._engine.dispose()


def open_ledger(place: Path | Postgres, *, create: bool = False, read_only: bool = False) -> Ledger:
    """Return the ledger in this file or database.

    Raises:
        OldSchema: An older metaevo wrote it.
        BadInput: There is none (and ``create`` was not asked for), it is not a ledger, or it is of another version.
        Busy: Another process writes to the database.
        Unwritable: The database does not answer.
    """
    database, there = database_of(place), is_ledger(place)
    if not there and not create:
        way_out = "create a home with `metaevo init`, or name another one with --home"
        raise BadInput(database.name, "no ledger here", way_out)
    if not there:
        _born(database)
    ledger = Ledger(database, database.engine(read_only=read_only))
    try:
        version = ledger.meta("schema")
    except (DatabaseError, StoreError) as error:
        ledger.close()
        if isinstance(database, Postgres) and isinstance(error, StoreError):
            raise _unreachable(database, error.__cause__ or error) from error
        said = f"cannot be opened as a ledger ({error.__cause__ or error})"
        raise BadInput(database.name, said, "restore a backup") from error
    if version != str(VERSION):
        ledger.close()
        raise _other_version(database, version)
    return ledger


def database_of(place: Path | Postgres) -> Database:
    """Return what keeps the ledger of a place."""
    return SqliteFile(place) if isinstance(place, Path) else place


def is_ledger(place: Path | Postgres) -> bool:
    """Return whether there is a ledger in this file or database.

    Raises:
        Unwritable: The database does not answer.
    """
    database = database_of(place)
    try:
        return database.exists()
    except OperationalError as error:
        raise _unreachable(database, error) from error


def forget(place: Path | Postgres) -> None:
    """Remove a ledger. For a home that could not be begun: it holds nothing yet."""
    if isinstance(place, Path):
        for path in place.parent.glob(f"{place.name}*"):
            path.unlink()
        return
    engine = place.engine(alone=False)  # whoever founds the home holds the lock
    with engine.begin() as connection:
        SQLModel.metadata.drop_all(connection)
    engine.dispose()


def _other_version(database: Database, version: str | None) -> BadInput:
    found = f"schema {version}, this metaevo knows {VERSION}"
    if version in {str(number) for number in range(OLDEST, VERSION)}:
        return OldSchema(database.name, found, "any command on its home migrates it while nothing else runs there")
    return BadInput(database.name, found, "use the metaevo that wrote this home")


def _born(database: Database) -> None:
    """Make a new ledger, whole or not at all: a file gets its name at the end, a database commits once.

    Raises:
        BadInput: The database holds tables of ours but no ledger.
        Unwritable: The disk is full or read-only, or the database refuses.
    """
    place = database.aside() if isinstance(database, SqliteFile) else database
    ledger = Ledger(place, place.engine())
    try:
        with ledger.write() as session:
            taken = set(inspect(session.connection()).get_table_names()) & set(SQLModel.metadata.tables)
            if taken:
                raise BadInput(place.name, f"holds a table {min(taken)} that is not metaevo's", "name an empty schema")
            SQLModel.metadata.create_all(session.connection())
            session.add(Meta(key="schema", value=str(VERSION)))
    finally:
        ledger.close()
    if isinstance(database, SqliteFile) and isinstance(place, SqliteFile):
        database.take(place)


def _unreachable(database: Database, error: BaseException) -> Unwritable:
    return Unwritable(f"{database.name}: cannot be reached: {_cause(error)}; start it, or fix ledger.url")


def _cause(error: BaseException) -> str:
    """Return what the driver said, in one line."""
    said = error.orig if isinstance(error, DatabaseError) else error
    return " ".join(str(said).split())[:400]
