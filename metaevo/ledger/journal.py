"""The journal: a finished step is read, never run again; an unfinished one is run again with the same seed.

`mark` is a checked column, never part of the key: a row whose mark differs from what the code would do now ends
an undecided cycle as void (`CodeChanged`) and is a `ReplayError` in a decided one.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from sqlalchemy import BindParameter, and_, bindparam, select, update

from metaevo.artifacts.bodies import BodyStore, count, inline_body, parse
from metaevo.artifacts.store import Store
from metaevo.errors import CodeChanged, ReplayError, StoreError
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.spent import spent_in, token_counts
from metaevo.ledger.tables import STEP
from metaevo.types import Tokens

StepKey = tuple[int, int, int, int, str, int]
"""(cycle, trial, stage, round, step, position)."""


T = TypeVar("T")
Counts: TypeAlias = Mapping[str, float | str | bool | None]
"""What a journal row says of its body in numbers and words."""


@dataclass(frozen=True, slots=True)
class At:
    """Where in a cycle a step stands; every step has its own random stream."""

    cycle: int
    trial: int = 0
    stage: int = 0
    round: int = 0

    def key(self, step: str, position: int = 0) -> StepKey:
        """Return the primary key of a step that stands here."""
        return (self.cycle, self.trial, self.stage, self.round, step, position)


class HasBody(Protocol):
    """A row whose step made something."""

    @property
    def digest(self) -> str | None:
        """Return the body's digest, None while the step is open."""

    @property
    def body(self) -> bytes | None:
        """Return the body where it stands in the row, None where the store has it."""


class Finished(NamedTuple):
    """What the journal knows of a step it began."""

    mark: str
    digest: str | None
    body: bytes | None


@dataclass(slots=True)
class Journal:
    """The steps of one cycle. ``decided`` forbids running anything: it is how a replay is checked."""

    ledger: Ledger
    store: Store
    seed: int
    decided: bool = False
    on_step: Callable[[StepKey, bool], None] = lambda _key, _done: None
    """Called with (key, done) when a step opens and when it is finished; `metaevo.testing` kills here."""
    alike: Callable[[StepKey], StepKey] = lambda key: key
    """The key whose random stream a step has; its own, but where two trials shall differ in their recipe alone."""
    meter: Callable[[], Tokens] = Tokens
    """What went so far through the engines that these steps use: what a step spends is written into its row."""

    def shelf(self) -> BodyStore:
        """Return a new shelf for one line of steps."""
        return BodyStore(self.store)

    def stream(self, key: StepKey) -> Random:
        """Return the step's own random stream: a shared one would make a resumed cycle differ from an unbroken one."""
        return Random(self.stream_seed(key))

    def stream_seed(self, key: StepKey) -> int:
        """Return the 63-bit seed of the step's stream."""
        text = "/".join(str(part) for part in (self.seed, *self.alike(key)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def step(
        self,
        key: StepKey,
        mark: str,
        run: Callable[[], T],
        *,
        kind: type[T] | None = None,
        shelf: BodyStore | None = None,
        module: str = "",
        counts: Callable[[T], Counts] = count,
    ) -> T:
        """Return the step's result: read back where the row is finished, produced and recorded otherwise.

        ``kind`` is the type of a record that is not a batch of tasks, attempts or experiences: those say what they are.

        Raises:
            CodeChanged: The row was written by other code, and the cycle is still open.
            ReplayError: The same in a decided cycle, or a row of it is missing.
        """
        shelf = shelf or self.shelf()
        # The row is opened without a look before, and without the ORM: both made a step half as slow again.
        if self.decided or not self._opened(key, mark, module):
            row, where = self._row(key), "/".join(str(part) for part in key)
            if row is not None and row.mark != mark:
                if self.decided:
                    raise ReplayError(f"step {where} was made by other code (mark {row.mark}, now {mark})")
                raise CodeChanged(f"step {where}: {module or key[4]} changed while the cycle ran")
            if row is not None and row.digest is not None:
                return read_body(row, shelf, kind)
            if self.decided:
                raise ReplayError(f"step {where} is missing from a decided cycle")
            self._again(key)
        self.on_step(key, False)
        before = self.meter()
        value = run()
        spent = self.meter() - before
        body = inline_body(value)
        digest = shelf.write(value) if body is None else hashlib.sha256(body).hexdigest()
        self._close(key, digest, body, {**counts(value), **token_counts(spent)})
        self.on_step(key, True)
        return value

    def digest(self, key: StepKey) -> str | None:
        """Return the digest of a finished step's body."""
        row = self._row(key)
        return row.digest if row else None

    def spent(self, cycle: int) -> Tokens:
        """Return what all finished steps of a cycle spent."""
        return spent_in(self.ledger, cycle)

    def spent_by_trial(self, cycle: int, trial: int) -> Tokens:
        """Return what a trial's finished steps spent, measuring left out."""
        return spent_in(self.ledger, cycle, trial)

    def _row(self, key: StepKey) -> "Finished | None":
        """Return (mark, digest, body) of the step's row, None where it has none."""
        with self.ledger.look() as connection:
            row = connection.execute(_FIND, _at(key)).first()
            return None if row is None else Finished(*row)

    def _opened(self, key: StepKey, mark: str, module: str) -> bool:
        """Write that the step began and return True; False where it has a row: looking first would cost one more turn.

        A power failure may forget this row: then the step simply begins once more.
        """
        facts = {"mark": mark, "module": module, "counts": {}, "runs": 1, "opened_at": self.ledger.now()}
        row = dict(zip(_KEY, key, strict=True)) | facts
        with self.ledger.transaction(forced=False) as connection:
            return connection.execute(self.ledger.insert_once(STEP), row).rowcount == 1

    def _again(self, key: StepKey) -> None:
        """Write that an unfinished step begins once more."""
        with self.ledger.transaction(forced=False) as connection:
            connection.execute(_AGAIN, _at(key))

    def _close(self, key: StepKey, digest: str, body: bytes | None, counts: Counts) -> None:
        facts = {"made": digest, "inside": body, "counted": dict(counts), "now": self.ledger.now()}
        with self.ledger.transaction() as connection:
            connection.execute(_CLOSE, _at(key) | facts)


# The statements of every step, built once: with the ORM a step that does nothing costs three times as much.
_KEY = ("cycle", "trial", "stage", "round", "step", "position")
_IS = and_(*(STEP.c[name] == bindparam(f"at_{name}") for name in _KEY))
_FIND = select(STEP.c.mark, STEP.c.digest, STEP.c.body).where(_IS)
_AGAIN = update(STEP).where(_IS).values(runs=STEP.c.runs + 1)
_MADE: dict[str, BindParameter[object]] = {
    "digest": bindparam("made"),
    "body": bindparam("inside"),
    "counts": bindparam("counted"),
    "closed_at": bindparam("now"),
}
_CLOSE = update(STEP).where(_IS).values(_MADE)


def _at(key: StepKey) -> dict[str, object]:
    return {f"at_{name}": part for name, part in zip(_KEY, key, strict=True)}


def read_body(row: HasBody, shelf: BodyStore, kind: type[T] | None) -> T:
    """Return what the finished step of a row made, from the row or from the store; ``kind`` as in `BodyStore.read`.

    Raises:
        StoreError: The body, or one it refers to, is missing or damaged.
    """
    if row.digest is None:
        raise StoreError("the step is not finished: it has no body")
    if row.body is None:
        return shelf.read(row.digest, kind)
    if not is_intact(row):
        raise StoreError(f"the ledger's body {row.digest[:12]} does not match its digest; restore a backup")
    if kind is None:
        raise StoreError(f"the ledger's body {row.digest[:12]} is a record of an unknown type")
    return parse(kind, row.body)


def is_intact(row: HasBody) -> bool:
    """Return whether the body that stands in a row is the one its digest names."""
    return row.body is None or hashlib.sha256(row.body).hexdigest() == row.digest
