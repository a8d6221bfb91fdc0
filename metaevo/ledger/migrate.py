"""Bring an older metaevo's ledger to today's schema, in a process of its own: Alembic is imported only there.

All of it is one transaction, on SQLite as on PostgreSQL, after a backup: killed at any moment the ledger is as it was,
or as it should be, and the next opening goes on from there.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from metaevo.errors import StoreError, from_frame
from metaevo.ledger.postgres import Postgres

CHILD = "metaevo.ledger.migrations"


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did. Both versions are the same where another process was faster."""

    found: int
    now: int
    backup: str
    """Where the ledger is as it was, or why there is no copy."""

    def __str__(self) -> str:
        return f"ledger migrated from schema {self.found} to {self.now}; {self.backup}"


def migrate(place: Path | Postgres, home: Path) -> Migrated | None:
    """Migrate the ledger in this file or database; None where it was done already. The caller holds the home.

    ``home`` is where the backup of a database goes.

    Raises:
        Unwritable: The disk is full or read-only, or the database is away; the ledger is as it was.
        StoreError: The ledger is damaged, or the migration failed; the ledger is as it was.
        Busy: Another process writes to it.
        BadInput: It is not a ledger, or of a version that cannot be migrated, or a folder stands in the copy's place.
    """
    request = {"path": str(place.absolute())} if isinstance(place, Path) else {"url": place.url}
    done = subprocess.run(
        [sys.executable, "-P", "-m", CHILD],
        input=json.dumps(request | {"home": str(home.absolute())}),  # not as words: others could read the password
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        way_out = "start it again" if done.returncode < 0 else "the ledger is as it was"
        raise StoreError(f"the migration of the ledger ended early ({last[:300]}); {way_out}") from error
    if "error" in answer:
        raise from_frame(answer)
    made = Migrated(answer["found"], answer["now"], answer["backup"])
    return made if made.found != made.now else None
