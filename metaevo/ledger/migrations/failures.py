"""Why a migration failed, as one line with a way out: what it met was rolled back, and the ledger is as it was."""

import json
import re
import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

from metaevo.errors import Busy, MetaevoError, StoreError, Unwritable
from metaevo.ledger.json_text import UnreadableJson

LOCKED = re.compile(r"^(55P03|40P01) |database (table |schema )?is locked")
FULL = re.compile(r"^(53100|53200) |disk is full|disk I/O error")
IN_THE_WAY = re.compile(r"error in (view|trigger|index) (.+?)(?: after rename)?: ")
TAKEN = re.compile(r"^(42P07|42701|42710) |duplicate column name: |there is already (a table|an index) |already exists")
DEPENDS = re.compile(r"^(2BP01|0A000) ")
"""What stands in a driver's text: a server says it in its own language, but with a code before it."""


def told(error: Exception, name: str) -> MetaevoError:
    """Return what to say of an error that ended a migration of the ledger of this name."""
    if isinstance(error, MetaevoError):
        return error
    if isinstance(error, json.JSONDecodeError | UnreadableJson):
        return StoreError(_line(f"a column for JSON holds {error.doc[:40]!r}", "restore a backup"))
    driver = error.orig if isinstance(error, DBAPIError) else error
    said = " ".join(str(driver).split())[:400]
    if not isinstance(error, DBAPIError | sqlite3.Error):
        return StoreError(_line(f"{type(error).__name__}: {said}", "restore a backup"))
    coded = f"{getattr(driver, 'sqlstate', None) or ''} {said}".lstrip()
    if LOCKED.search(coded):
        return Busy(f"{name}: another process writes to it; wait for it, or stop it, then start again")
    kind, way_out = _kind(coded, isinstance(error, OperationalError | sqlite3.OperationalError))
    return kind(_line(said, way_out))


def _kind(coded: str, operational: bool) -> tuple[type[StoreError], str]:
    """Return what kind of error a driver's text is, and the way out."""
    if FULL.search(coded):
        return Unwritable, "make room"
    if found := IN_THE_WAY.search(coded):
        return StoreError, f"drop the {found[1]} {found[2]}"
    if TAKEN.search(coded):
        return StoreError, "it is not metaevo's: rename or drop it"
    if DEPENDS.search(coded):
        return StoreError, "drop what depends on it"
    return (Unwritable, "see to the folder or the database") if operational else (StoreError, "restore a backup")


def _line(cause: str, way_out: str) -> str:
    return f"the ledger cannot be migrated: {cause}; it is as it was; {way_out}"
