"""A chapter of the story with its ledger in PostgreSQL: ``python -m tests.replay.on_postgres CHAPTER HOME``.

METAEVO_TEST_LEDGER holds the ledger's address. Afterwards every report is asked for, and the ledger is copied to SQLite
where the record is read. Said as JSON: the record's lines, and which functions of the ledger were called.
"""

import inspect
import json
import os
import pkgutil
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from sqlmodel import SQLModel

from metaevo import ledger
from metaevo.ledger import confirmations, cycles, epochs, holds, queries, trials
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.postgres import Postgres
from tests.journeys.terminal import metaevo
from tests.replay.record import read
from tests.replay.story import CHAPTERS

APART = ("migrate", "migrations", "postgres", "sqlite", "tables")
"""Modules that ask no question."""
REPORTS = (
    ("status",),
    ("generations",),
    ("generations", "--last", "2"),
    ("show", "champion"),
    ("show", "g000000"),
    ("why", "--latest"),
    ("goals", "list"),
    ("modules", "list"),
    ("recipes", "list"),
    ("fsck",),
)


class Called:
    """Which functions below a folder were called, as `module:name`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = str(folder), set[str]()

    def __call__(self, frame: FrameType, what: str, _argument: Any) -> None:
        code = frame.f_code
        if what == "call" and code.co_filename.startswith(self.folder):
            self.names.add(f"{Path(code.co_filename).stem}:{code.co_qualname}")


def questions() -> set[str]:
    """Return every public function and method of the ledger as `module:name`."""
    found = set()
    for module in pkgutil.iter_modules(ledger.__path__):
        if module.name in APART:
            continue
        held = import_module(f"metaevo.ledger.{module.name}")
        for name, value in vars(held).items():
            own = getattr(value, "__module__", "") == held.__name__ and not name.startswith("_")
            if own and inspect.isfunction(value):
                found.add(f"{module.name}:{name}")
            elif own and inspect.isclass(value):
                methods = [m for m, f in vars(value).items() if inspect.isfunction(f) and not m.startswith("_")]
                found |= {f"{module.name}:{name}.{method}" for method in methods}
    return found


def copied(place: Postgres, file: Path) -> None:
    """Copy a ledger from PostgreSQL to a file of SQLite, row by row."""
    source, copy = open_ledger(place, read_only=True), open_ledger(file, create=True)
    with source.look() as theirs, copy.transaction() as ours:
        for table in SQLModel.metadata.sorted_tables:
            rows = [dict(row._mapping) for row in theirs.execute(table.select())]
            ours.execute(table.delete())
            if rows:
                ours.execute(table.insert(), rows)
    source.close()
    copy.close()


def ask_the_rest(place: Postgres) -> None:
    """Ask what is asked only in moments that no chapter has, or from one home alone; the record is read before."""
    kept = open_ledger(place, read_only=True)
    cycle = cycles.next_number(kept) - 1
    queries.newest_step(kept, cycle)
    queries.newest_journalled(kept)
    list(cycles.objectives(kept))
    confirmations.confirmation_count(kept, cycle)
    epochs.newest_epoch(kept)
    trials.promoted_other_than(kept, [("update.supervised_finetune",)])
    Lineage(kept).rows(intermediate=True)
    Lineage(kept).moves("champion")
    kept.close()
    written = open_ledger(place)
    confirmations.open_budget(written, "a person", "asked")
    written.drop_meta("nothing")
    with written.transaction() as connection:
        holds.tried(connection, "g000000")
    written.close()


def main(chapter: str, home: Path) -> None:
    """Run one chapter and say what came of it."""
    called = Called(Path(str(ledger.__file__)).parent)
    threading.setprofile(called)
    sys.setprofile(called)
    CHAPTERS[chapter](home)
    for words in REPORTS:
        metaevo("--json", *words, home=home)
        metaevo(*words, home=home)
    sys.setprofile(None)
    place = Postgres(os.environ["METAEVO_TEST_LEDGER"])
    copied(place, home / "metaevo.db")
    sys.setprofile(called)
    ask_the_rest(place)
    sys.setprofile(None)
    print(json.dumps({"lines": read(home), "called": sorted(called.names)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
