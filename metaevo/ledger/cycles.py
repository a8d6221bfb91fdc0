"""Cycles: at most one is open. How one is opened, how it is closed, and what each asks of those before it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Text, case, cast, func, insert, or_, select, update

from metaevo.errors import BadInput, Refused
from metaevo.ledger import holds
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.line import line_of
from metaevo.ledger.lineage import alias_of, judge, move, promote
from metaevo.ledger.scores import Scores, write_scores
from metaevo.ledger.spent import spent_by
from metaevo.ledger.tables import CYCLE, EPOCH, EVENT, GENERATION, JsonMap
from metaevo.types import CycleEnd

_BECAME = {"champion": "promote", "retired": "promote", "candidate": "promote", "rejected": "reject"}
"""What a held candidate's status says came of the cycle that held it first."""
PAGE = 64
"""Rows read at a time where the first few usually answer."""


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One cycle as the ledger has it."""

    number: int
    outcome: str
    ending: str
    why: str
    parent: str
    epoch: int
    seed: int
    commitment: str
    runtime: str
    fixed: JsonMap | None
    objective: JsonMap | None
    candidate: str | None
    verdict: JsonMap | None
    tokens: int
    opened_at: datetime
    closed_at: datetime | None
    wall_s: float


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a verdict means for its candidate."""

    candidate: str
    status: str
    """``candidate`` (to be promoted), ``held`` or ``rejected``."""
    gate: str
    """The hash of the rules it was judged by."""
    recipe: str | None = None
    """None where it was not made in this cycle: then what is known stays."""
    hold: holds.NewHold | None = None
    reference_every: int | None = None
    """Promotions after which the reference moves to the champion; None where it must not move now."""


@dataclass(frozen=True, slots=True)
class Closing:
    """All that the end of a cycle changes, in one transaction."""

    number: int
    outcome: str
    ending: str
    why: str
    tokens: int
    epoch: int
    candidate: str | None
    objective: JsonMap | None
    verdict: JsonMap | None
    sentence: str
    """The event that tells of it."""
    scores: tuple[Scores, ...] = ()
    judged: Consequence | None = None
    held: str | None = None
    """The candidate whose hold the cycle began with."""


def next_number(ledger: Ledger) -> int:
    """Return the number of the cycle that runs next: the open one's, or a new one."""
    query = select(CYCLE.c.number, CYCLE.c.outcome).order_by(CYCLE.c.number.desc()).limit(1)
    with ledger.look() as connection:
        newest = connection.execute(query).first()
    if newest is None:
        return 1
    number: int = newest.number
    return number if newest.outcome == "open" else number + 1


def begin_cycle(
    ledger: Ledger, *, seed: int, runtime: str, fixed: Mapping[str, Any], commitment: Callable[[int], str]
) -> CycleRecord:
    """Return the open cycle, or a new one; its exam is committed to before anything is trained.

    One that was opened by another runtime is abandoned.

    Raises:
        BadInput: The home has no generation yet.
    """
    with ledger.transaction() as connection:
        known = connection.execute(_OPEN).first()
        if known is not None and known.runtime == runtime:
            return CycleRecord(*known)
        close_open(connection, "abandoned", CycleEnd.UPGRADED, "upgraded", ledger.now())
        champion = alias_of(connection, "champion")
        if champion is None:
            raise BadInput("", "this home has no generation yet", "run `metaevo init` first")
        number = (connection.execute(select(func.max(CYCLE.c.number))).scalar() or 0) + 1
        row = {
            "number": number,
            "outcome": "open",
            "ending": "",
            "why": "",
            "parent": champion,
            "epoch": connection.execute(select(func.max(EPOCH.c.number))).scalar() or 1,
            "seed": seed,
            "commitment": commitment(number),
            "runtime": runtime,
            "fixed": dict(fixed),
            "pinned": " ".join(name for name, value in sorted(fixed.items()) if value is not None),
            "tokens": 0,
            "opened_at": ledger.now(),
            "wall_s": 0.0,
        }
        connection.execute(insert(CYCLE).values(row))
        return CycleRecord(*connection.execute(_OPEN).one())


def close_open_cycle(ledger: Ledger, outcome: str, ending: CycleEnd, why: str) -> None:
    """Close the open cycle, where there is one, without a decision."""
    with ledger.transaction() as connection:
        close_open(connection, outcome, ending, why, ledger.now())


def close_open(connection: Connection, outcome: str, ending: CycleEnd, why: str, now: datetime) -> None:
    """Close the open cycle, where there is one, in the caller's transaction."""
    opened = connection.execute(select(CYCLE.c.number, CYCLE.c.opened_at).where(CYCLE.c.outcome == "open")).all()
    for number, opened_at in opened:
        said = {"outcome": outcome, "ending": ending.value, "why": why}
        facts = said | {"closed_at": now, "wall_s": _seconds(opened_at, now)}
        facts |= {"tokens": spent_by(connection, number).total}
        connection.execute(update(CYCLE).where(CYCLE.c.number == number).values(facts))


def close_cycle(ledger: Ledger, made: Closing) -> None:
    """Close a cycle: one transaction writes its row, its scores, what becomes of its candidate, and the event.

    Raises:
        Refused: It is not open, or its candidate is not in the ledger.
    """
    with ledger.transaction() as connection:
        known = connection.execute(_OPEN.where(CYCLE.c.number == made.number)).first()
        if known is None:
            raise Refused(f"cycle {made.number} is not open: somebody else closed it")
        now = ledger.now()
        facts: dict[str, Any] = {
            "outcome": made.outcome,
            "ending": made.ending,
            "why": made.why,
            "closed_at": now,
            "wall_s": _seconds(known.opened_at, now),
            "tokens": made.tokens,
            "candidate": made.candidate,
            "verdict": made.verdict,
        } | ({"objective": made.objective} if made.objective is not None else {})
        connection.execute(update(CYCLE).where(CYCLE.c.number == made.number).values(facts))
        for scores in made.scores:
            write_scores(connection, scores, made.epoch, made.number)
        if made.judged is not None:
            _settle(connection, ledger, made, made.judged)
        elif made.held is not None and made.outcome == "void":
            holds.tried(connection, made.held)  # nothing was decided: what was seen stays, and one try is spent
        connection.execute(insert(EVENT).values(_told(made, now)))


def _settle(connection: Connection, ledger: Ledger, made: Closing, judged: Consequence) -> None:
    """Write what a verdict means for its candidate."""
    facts: dict[str, Any] = {"epoch": made.epoch, "verdict": made.verdict, "status": judged.status}
    facts |= {"objective": made.objective} if made.objective is not None else {}
    facts |= {"recipe": judged.recipe} if judged.recipe is not None else {}
    judge(connection, judged.candidate, facts)
    if judged.hold is not None:
        holds.keep(connection, judged.hold, made.number)
    elif made.held is not None:
        holds.close(connection, made.held)
    if made.outcome == "promote":
        evidence = {"cycle": made.number, "verdict": "promote", "gate": judged.gate}
        promote(connection, ledger, judged.candidate, who="metaevo", why="gain proven", evidence=evidence)
        every = judged.reference_every
        if every is not None and connection.execute(_PROMOTED).scalar_one() % every == 0:
            before = alias_of(connection, "reference")
            move(connection, ledger, "reference", before, judged.candidate, who="metaevo", why="fifth promotion")


def _told(made: Closing, now: datetime) -> dict[str, Any]:
    """Return the event of a decision: it stands in the decision's transaction, so that no crash parts the two."""
    data = {"outcome": made.outcome}
    return {"code": "decided", "sentence": made.sentence, "data": data, "cycle": made.number, "at": now}


@dataclass(frozen=True, slots=True)
class Pursued:
    """What one cycle pursued, what came of it (a hold that ended counts as what it became), and the estimated gain."""

    number: int
    objective: JsonMap
    outcome: str
    gain: float | None


def pursued_objectives(ledger: Ledger, before: int, most: int) -> list[Pursued]:
    """Return what the last ``most`` cycles pursued on the champion's line, oldest first.

    A rollback restores objectives too: what was pursued on the line it left, and what led there, no longer counts.
    """
    with ledger.look() as connection:
        champion = alias_of(connection, "champion")
        if champion is None:
            return []
        line = select(line_of(champion, most + 1).c.id)
        became = case(_BECAME, value=GENERATION.c.status, else_=CYCLE.c.outcome)
        outcome = case((CYCLE.c.outcome == "hold", became), else_=CYCLE.c.outcome)
        led_here = or_(outcome != "promote", CYCLE.c.candidate.in_(line))
        query = select(CYCLE.c.number, CYCLE.c.objective, outcome, CYCLE.c.verdict)
        query = query.select_from(CYCLE.join(GENERATION, GENERATION.c.id == CYCLE.c.candidate, isouter=True))
        query = query.where(CYCLE.c.number < before, CYCLE.c.number >= before - most)
        query = query.where(CYCLE.c.outcome.not_in(("void", "abandoned", "open")))
        query = query.where(CYCLE.c.parent.in_(line), led_here).order_by(CYCLE.c.number)
        rows = connection.execute(query).all()
    return [
        Pursued(number, objective, outcome, _gain(verdict))
        for number, objective, outcome, verdict in rows
        if objective is not None
    ]


def _gain(verdict: JsonMap | None) -> float | None:
    exam = (verdict or {}).get("exam") or {}
    found = exam.get("gain") or exam.get("screen")
    return float(found["mean"]) if found else None


def promotion_count(ledger: Ledger) -> int:
    """Return how many cycles promoted."""
    with ledger.look() as connection:
        found: int = connection.execute(_PROMOTED).scalar_one()
    return found


def ever_pinned(ledger: Ledger) -> frozenset[str]:
    """Return which of objective and recipe were ever pinned: the words of `CycleRow.pinned`."""
    found = set[str]()
    with ledger.look() as connection:
        for words in ("objective", "recipe", "objective recipe"):
            query = select(CYCLE.c.number).where(CYCLE.c.pinned == words).limit(1)
            if connection.execute(query).first() is not None:
                found |= set(words.split())
    return frozenset(found)


def objectives(ledger: Ledger) -> Iterator[JsonMap]:
    """Yield the objectives of all cycles, oldest first; who has seen enough reads no further."""
    stated = cast(CYCLE.c.objective, Text) != "null"
    last: int | None = -1
    while last is not None:
        query = select(CYCLE.c.number, CYCLE.c.objective).where(stated, CYCLE.c.number > last)
        with ledger.look() as connection:
            rows = connection.execute(query.order_by(CYCLE.c.number).limit(PAGE)).all()
        yield from (objective for _, objective in rows)
        last = rows[-1].number if len(rows) == PAGE else None


_PROMOTED = select(func.count()).select_from(CYCLE).where(CYCLE.c.outcome == "promote")
_OPEN = select(*(CYCLE.c[field.name] for field in fields(CycleRecord))).where(CYCLE.c.outcome == "open")


def _seconds(opened: datetime, closed: datetime) -> float:
    """Return the seconds between two times; a time from SQLite has no zone and is UTC."""
    first, last = (at if at.tzinfo is not None else at.replace(tzinfo=UTC) for at in (opened, closed))
    return (last - first).total_seconds()
