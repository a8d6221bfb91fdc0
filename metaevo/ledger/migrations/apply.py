"""Apply the revisions that a ledger lacks: lock it, copy it, change it in one transaction.

The row `schema` of the table `meta` says which version a ledger has; Alembic's own table follows it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from metaevo.errors import BadInput
from metaevo.ledger.ledger import database_of
from metaevo.ledger.migrate import Migrated
from metaevo.ledger.migrations.backup import copy_file, dump
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.sqlite import SqliteFile
from metaevo.ledger.tables import OLDEST, VERSION

HERE = Path(__file__).parent
WAIT_MS = 60_000
"""How long a second migration of the same file waits for the first."""


def place_of(request: Mapping[str, str]) -> tuple[Path | Postgres, Path]:
    """Return the ledger's place and the home of a request."""
    home = Path(request["home"])
    return (Path(request["path"]), home) if "path" in request else (Postgres(request["url"]), home)


def apply(
    place: Path | Postgres,
    home: Path,
    *,
    to: int = VERSION,
    wait_ms: int = WAIT_MS,
    on_point: Callable[[str], None] = lambda _name: None,
) -> Migrated:
    """Bring a ledger to a version and return what was done.

    ``on_point`` is called with a name between the parts of a backup; tests kill there.

    Raises:
        Unwritable: There is no room for the backup.
        StoreError: The backup is damaged, and so is the ledger.
        BadInput: It is not a ledger, or of a version that no revision starts from.
    """
    database = database_of(place)
    with _transaction(database, wait_ms) as connection:
        found = _version(connection, database)
        if found == to:
            return Migrated(found, to, "")
        if not OLDEST <= found < to:
            known = f"schema {found}, this metaevo knows {VERSION}"
            raise BadInput(database.name, known, "use the metaevo that wrote this home")
        if isinstance(database, SqliteFile):
            backup = copy_file(database.path, to, on_point)
        else:
            backup = dump(database, home, to, on_point)
        revise(connection, to, start=found)
        return Migrated(found, to, backup)


def revise(connection: Connection, to: int = VERSION, *, start: int | None = None) -> None:
    """Run the revisions from ``start`` (None: from an empty database) to a version, in the caller's transaction."""
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["connection"] = connection
    if start is not None:
        command.stamp(config, str(start), purge=True)  # a ledger that was never migrated has no table of Alembic's
    command.upgrade(config, str(to))
    if start is None:
        connection.execute(text("insert into meta (key, value) values ('schema', :version)"), {"version": str(to)})
    else:
        connection.execute(text("update meta set value = :version where key = 'schema'"), {"version": str(to)})


@contextmanager
def _transaction(database: SqliteFile | Postgres, wait_ms: int) -> Iterator[Connection]:
    """Yield a connection in a transaction that keeps every other writer out until it ends."""
    engine = database.engine()
    try:
        with engine.connect() as connection, connection.begin():
            if isinstance(database, SqliteFile):
                connection.exec_driver_sql(f"PRAGMA busy_timeout={wait_ms}")
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # a table that is made anew is gone for a moment
            database.begin(connection, forced=True)
            yield connection
    finally:
        engine.dispose()


def _version(connection: Connection, database: SqliteFile | Postgres) -> int:
    value = connection.execute(text("select value from meta where key = 'schema'")).scalar()
    if not str(value).isdecimal():
        raise BadInput(database.name, f"schema {value}, this metaevo knows {VERSION}", "it is not a ledger")
    return int(str(value))
