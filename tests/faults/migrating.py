"""A migration in a process of its own, for killing; its arguments are PLACE HOME N LOG.

What happens is counted: every part of a backup, every statement before and after it ran, the commit before and after.
The process dies at the N-th; 0 lets it live. LOG gets a line for each.
"""

import os
import signal
from pathlib import Path

import alembic.command  # noqa: F401 - a second of importing that every fork would pay
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from metaevo.ledger.migrations.apply import apply
from metaevo.ledger.postgres import Postgres


class Countdown:
    """Dies at the N-th thing that happens."""

    def __init__(self, n: int, log: Path) -> None:
        self.left, self.log = n, log

    def __call__(self, what: str) -> None:
        with self.log.open("a") as file:
            file.write(what + "\n")
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def child(arguments: list[str]) -> int:
    """Migrate, or die on the way."""
    address, home, n, log = arguments
    place = Postgres(address) if "://" in address else Path(address)
    count = Countdown(int(n), Path(log))

    @event.listens_for(Engine, "before_cursor_execute")
    def before(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        count("before " + " ".join(statement.split())[:60])

    @event.listens_for(Engine, "after_cursor_execute")
    def after(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        count("after " + " ".join(statement.split())[:60])

    event.listen(Engine, "commit", lambda _connection: count("before the commit"))
    event.listen(Pool, "close", lambda *_about: count("the connection closes"))
    apply(place, Path(home), on_point=count)
    return 0
