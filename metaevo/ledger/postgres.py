"""The ledger in a PostgreSQL database: one schema a home, found by the connection's search path.

One writer as on SQLite: beside the home's lock it holds an advisory lock of the schema, which also keeps out a process
on another machine. It is a lock of the session, so a pooler between must hand out whole sessions.
"""

import os
import re
import socket
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Insert, TableClause, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool
from sqlmodel import SQLModel, create_engine

from metaevo.errors import BadInput, Busy
from metaevo.ledger.json_text import read_json

if TYPE_CHECKING:
    from psycopg import Connection as Driver

DIALECT = "postgresql+psycopg"
PLAIN = re.compile(r"[A-Za-z0-9_.:-]*")
"""What names of hosts and databases consist of; others are not shown, as they may be a piece of a password."""
EXTRA = ("ledger.url", "PostgreSQL needs psycopg", "pip install 'metaevo[postgres]'")
OPTIONS = "see PostgreSQL's list of connection parameters"
CONNECT_S, LOCK_MS, LOST_MS = 10, 5000, 30_000
"""Deadlines: for connecting, for another's lock, and for a network that does not answer."""
CLASS = 0x6D657461
"""First half of the advisory lock's key; the second is the schema's."""
WAIT_S, LOOK_S = 5.0, 0.05
"""How long a writer waits for one that just ended, and how often it looks: a server needs a moment to notice."""
UNFORCED = "SET LOCAL synchronous_commit = off"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A ledger in this database. Nothing is connected by making this object; its address is never shown."""

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        try:
            url = make_url(self.url)
        except (ArgumentError, ValueError):  # a port that is not a number: what they say of it may be of the password
            url = None
        known = url is not None and url.drivername in (DIALECT, "postgresql") and url.database
        # An unescaped @, : or / of a password ends it early, and its rest is taken for a host or a database
        if not known or url is None or any("@" in (part or "") for part in (url.host, url.database)):
            raise BadInput("ledger.url", "no address of a database", f"want {DIALECT}://USER@HOST/DATABASE")

    @property
    def name(self) -> str:
        """Return how messages name it: without user and password."""
        url = make_url(self.url)
        if not all(PLAIN.fullmatch(part or "") for part in (url.host, url.database)):
            return "its database"
        return f"postgresql://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database}"

    @property
    def way_out(self) -> str:
        """Return what helps where it cannot be written."""
        return "see to the database"

    def exists(self) -> bool:
        """Return whether there is a ledger."""
        engine = self.engine(read_only=True)
        try:
            with engine.connect() as connection:
                return connection.exec_driver_sql("select to_regclass('meta')").scalar() is not None
        finally:
            engine.dispose()

    def engine(self, *, read_only: bool = False, alone: bool = True) -> Engine:
        """Return an engine with one connection; a writer's holds the schema's lock, unless not ``alone``.

        Raises:
            BadInput: psycopg is not installed.
        """
        try:
            made = create_engine(
                f"{DIALECT}://",
                poolclass=StaticPool,
                creator=lambda: self.connect(read_only=read_only, alone=alone and not read_only),
                json_deserializer=read_json,
            )
        except ImportError as error:
            raise BadInput(*EXTRA) from error
        event.listen(made, "connect", _adapt)
        return made

    def connect(self, *, read_only: bool, alone: bool) -> "Driver[Any]":
        """Return a new connection.

        Raises:
            BadInput: psycopg is not installed, or does not know an option of the address.
            Busy: Another process holds the schema's lock.
        """
        try:
            import psycopg
            from psycopg.conninfo import make_conninfo
        except ImportError as error:
            raise BadInput(*EXTRA) from error
        url = make_url(self.url)
        given = url.translate_connect_args(username="user", database="dbname")
        given |= {name: value for name, value in url.query.items() if isinstance(value, str)}
        options = f"{given.pop('options', '')} -c TimeZone=UTC -c lock_timeout={LOCK_MS}"
        options += " -c default_transaction_read_only=on" if read_only else ""
        kept = {"connect_timeout": CONNECT_S, "keepalives_idle": 30, "tcp_user_timeout": LOST_MS}
        name = f"metaevo {socket.gethostname()}:{os.getpid()}"
        every = kept | {"application_name": name} | given | {"options": options}
        try:
            connection = psycopg.connect(make_conninfo(**every))
        except psycopg.ProgrammingError:
            # Neither name nor value is repeated: an unescaped & of a password begins an option
            raise BadInput("ledger.url", "an option of the address is unknown or wrong", OPTIONS) from None
        if alone:
            try:
                self._lock(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def begin(self, connection: Connection, *, forced: bool) -> None:
        """Begin a transaction that writes, as the driver does by itself; its end waits for the disk if ``forced``."""
        if not forced:
            driver: Any = connection.connection.driver_connection
            driver.execute(UNFORCED)

    def insert_once(self, table: TableClause) -> Insert:
        """Return an insert that does nothing where the row is there already."""
        return _insert_once(table)

    def check(self, connection: Connection) -> str:
        """Return ``ok`` where every table can be read to its end."""
        for table in SQLModel.metadata.sorted_tables:
            connection.exec_driver_sql(f'select count(*) from "{table.name}"').scalar()
        return "ok"

    def _lock(self, connection: "Driver[Any]") -> None:
        """Take the schema's lock for as long as the connection lasts."""
        for _ in range(int(WAIT_S / LOOK_S)):
            row = connection.execute(f"select pg_try_advisory_lock({CLASS}, hashtext(current_schema()))").fetchone()
            connection.rollback()
            if row is not None and row[0]:
                return
            time.sleep(LOOK_S)
        holder = connection.execute(
            "select application_name from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory'"
            f" and classid = {CLASS} and objid = (hashtext(current_schema())::bigint & 4294967295)::oid"
            " and pg_locks.database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
        raise Busy(f"{self.name}: held by {holder[0] if holder else 'another process'}; wait for it, or stop it")


@cache
def _insert_once(table: TableClause) -> Insert:
    from sqlalchemy.dialects.postgresql import insert  # 40 ms that a home on SQLite need not pay

    # Without these two the row would be asked back, and how many there were would be forgotten.
    return insert(table).inline().on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def _adapt(connection: "Driver[Any]", _record: object) -> None:
    """PostgreSQL keeps no NUL in a text, and what a model wrote may hold one: it becomes the replacement character."""
    from psycopg.types.string import StrDumperUnknown

    class Text(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    connection.adapters.register_dumper(str, Text)
