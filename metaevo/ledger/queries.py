"""Questions of reports to the ledger, each asked once. What an answer costs depends on what is shown, not on history.

SQLAlchemy Core that SQLite and PostgreSQL understand alike. Answers are frozen records: no row leaves the ledger.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, cast, func, or_, select

from metaevo.errors import StoreError
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.line import line_of
from metaevo.ledger.tables import ALIAS, CYCLE, EVENT, RECIPE, STEP, TRIAL, JsonMap
from objectives.types import Cell, Direction, JsonValue, Objective


@dataclass(frozen=True, slots=True)
class CycleFacts:
    """What a report says of a cycle."""

    number: int
    outcome: str
    ending: str
    """A `types.CycleEnd`, empty while it is open."""
    why: str
    candidate: str | None
    objective: Objective | None
    tokens: int
    opened_at: datetime
    closed_at: datetime | None
    wall_s: float
    """Seconds from its opening to its end, 0 while it is open."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One journal row: where it stands, and when."""

    trial: int
    step: str
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a finished step made: small bodies stand in the row, others in the store under the digest."""

    digest: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it was told."""

    seq: int
    code: str
    sentence: str
    cycle: int | None
    at: datetime
    data: JsonMap


@dataclass(frozen=True, slots=True)
class SpentTotals:
    """What all closed cycles took."""

    cycles: int
    wall_s: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial of a cycle, with its recipe's name."""

    number: int
    recipe: str
    name: str
    score: float | None
    generation: str | None


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """A recipe as it was run."""

    hash: str
    name: str
    modules: tuple[str, ...]
    body: Mapping[str, Any]


_CYCLE_FACTS = tuple(CYCLE.c[name] for name in CycleFacts.__dataclass_fields__)
_EVENT_FACTS = tuple(EVENT.c[name] for name in Told.__dataclass_fields__)


def newest_closed(ledger: Ledger, most: int = 1) -> tuple[CycleFacts, ...]:
    """Return the last cycles that ended, newest first."""
    query = select(*_CYCLE_FACTS).where(CYCLE.c.outcome != "open").order_by(CYCLE.c.number.desc()).limit(most)
    with ledger.look() as connection:
        return tuple(_cycle(row) for row in connection.execute(query))


def newest_verdicts(ledger: Ledger, most: int) -> tuple[Mapping[str, JsonValue], ...]:
    """Return the verdicts of the last cycles that examined a candidate, newest first."""
    examined = cast(CYCLE.c.verdict, Text) != "null"
    query = select(CYCLE.c.verdict).where(CYCLE.c.outcome != "open", examined).order_by(CYCLE.c.number.desc())
    with ledger.look() as connection:
        return tuple(row.verdict for row in connection.execute(query.limit(most)))


def newest_cycles(ledger: Ledger, most: int) -> tuple[CycleFacts, ...]:
    """Return the last cycles, open or not, newest first."""
    query = select(*_CYCLE_FACTS).order_by(CYCLE.c.number.desc()).limit(most)
    with ledger.look() as connection:
        return tuple(_cycle(row) for row in connection.execute(query))


def open_cycle(ledger: Ledger) -> CycleFacts | None:
    """Return the cycle that runs, None where none does: a new one begins only after the last one was closed."""
    newest = newest_cycles(ledger, 1)
    return newest[0] if newest and newest[0].outcome == "open" else None


def cycle(ledger: Ledger, number: int) -> CycleFacts | None:
    """Return one cycle, None where there is none of that number."""
    with ledger.look() as connection:
        row = connection.execute(select(*_CYCLE_FACTS).where(CYCLE.c.number == number)).first()
    return _cycle(row) if row else None


def newest_examined(ledger: Ledger) -> str | None:
    """Return the candidate of the last cycle that had one."""
    query = select(CYCLE.c.candidate).where(CYCLE.c.candidate.is_not(None)).order_by(CYCLE.c.number.desc())
    with ledger.look() as connection:
        return connection.execute(query.limit(1)).scalar()


def last_verdict_at(ledger: Ledger, candidate: str) -> datetime | None:
    """Return when the last verdict on a candidate was given: a held one is examined again in later cycles."""
    query = select(CYCLE.c.closed_at).where(CYCLE.c.candidate == candidate).order_by(CYCLE.c.number.desc())
    with ledger.look() as connection:
        return connection.execute(query.limit(1)).scalar()


def last_pursued(ledger: Ledger, within: int) -> Objective | None:
    """Return the last objective on the champion's line, looking at the last ``within`` cycles.

    A rollback restores the objective with the generation: what was pursued on a line that was left does not count.
    """
    with ledger.look() as connection:
        champion = connection.execute(select(ALIAS.c.generation).where(ALIAS.c.name == "champion")).scalar()
        last = connection.execute(select(func.max(CYCLE.c.number)).where(CYCLE.c.outcome != "open")).scalar()
        if champion is None or last is None:
            return None
        line = select(line_of(champion, within + 1).c.id)
        led_here = or_(CYCLE.c.outcome != "promote", CYCLE.c.candidate.in_(line))
        query = select(CYCLE.c.number, CYCLE.c.objective).where(CYCLE.c.number > last - within, CYCLE.c.number <= last)
        query = query.where(CYCLE.c.outcome.not_in(("void", "abandoned", "open")), CYCLE.c.parent.in_(line), led_here)
        for number, found in connection.execute(query.order_by(CYCLE.c.number.desc())):
            if found is not None:
                return objective_of(found, f"cycle {number}")
    return None


def newest_step(ledger: Ledger, number: int) -> StepFacts | None:
    """Return the journal row of a cycle that was opened last."""
    columns = tuple(STEP.c[name] for name in StepFacts.__dataclass_fields__)
    query = select(*columns).where(STEP.c.cycle == number).order_by(STEP.c.opened_at.desc()).limit(1)
    with ledger.look() as connection:
        row = connection.execute(query).first()
    return StepFacts(*row) if row else None


def step_result(ledger: Ledger, number: int, step: str) -> StepResult | None:
    """Return what one of a cycle's own steps made, None where it was not finished."""
    mine = (STEP.c.cycle == number, STEP.c.trial == 0, STEP.c.step == step, STEP.c.digest.is_not(None))
    query = select(STEP.c.digest, STEP.c.body).where(*mine).order_by(STEP.c.stage, STEP.c.round, STEP.c.position)
    with ledger.look() as connection:
        row = connection.execute(query.limit(1)).first()
    return StepResult(*row) if row else None


def trial_results(ledger: Ledger, number: int, trial: int, step: str) -> list[StepResult]:
    """Return what the steps of this name made in one trial of a cycle, in the order of their keys."""
    mine = (STEP.c.cycle == number, STEP.c.trial == trial, STEP.c.step == step, STEP.c.digest.is_not(None))
    query = select(STEP.c.digest, STEP.c.body).where(*mine).order_by(STEP.c.stage, STEP.c.round, STEP.c.position)
    with ledger.look() as connection:
        return [StepResult(*row) for row in connection.execute(query)]


def exams_before(ledger: Ledger, number: int, steps: Sequence[str], most: int) -> list[int]:
    """Return the numbers of the last cycles before this one that have a step of these names, newest first."""
    found: set[int] = set()
    with ledger.look() as connection:  # one name at a time: so the index has them in order, and few are read
        for step in steps:
            query = select(STEP.c.cycle).where(STEP.c.step == step, STEP.c.cycle < number).distinct()
            found.update(connection.execute(query.order_by(STEP.c.cycle.desc()).limit(most)).scalars())
    return sorted(found, reverse=True)[:most]


def events(ledger: Ledger, most: int, *, before: int | None = None, code: str | None = None) -> tuple[Told, ...]:
    """Return the newest events, oldest first; those before an event, or of one code."""
    query = select(*_EVENT_FACTS).order_by(EVENT.c.seq.desc()).limit(most)
    if before is not None:
        query = query.where(EVENT.c.seq < before)
    if code is not None:
        query = query.where(EVENT.c.code == code)
    with ledger.look() as connection:
        rows = connection.execute(query).all()
    return tuple(Told(*row) for row in reversed(rows))


def total_spent(ledger: Ledger) -> SpentTotals:
    """Return what all closed cycles took: cycles, seconds and tokens."""
    query = select(func.count(), func.sum(CYCLE.c.wall_s), func.sum(CYCLE.c.tokens)).where(CYCLE.c.outcome != "open")
    with ledger.look() as connection:
        cycles, seconds, tokens = connection.execute(query).one()
    return SpentTotals(cycles, round(float(seconds or 0.0), 1), int(tokens or 0))


def newest_journalled(ledger: Ledger) -> int:
    """Return the highest number under which anything stands in the journal, 0 where nothing does."""
    with ledger.look() as connection:
        return int(connection.execute(select(func.max(STEP.c.cycle))).scalar() or 0)


def trials_of(ledger: Ledger, number: int) -> tuple[Tried, ...]:
    """Return the trials of a cycle, in their order."""
    columns = (TRIAL.c.number, TRIAL.c.recipe, RECIPE.c.name, TRIAL.c.score, TRIAL.c.generation)
    query = select(*columns).outerjoin_from(TRIAL, RECIPE, RECIPE.c.hash == TRIAL.c.recipe)
    with ledger.look() as connection:
        rows = connection.execute(query.where(TRIAL.c.cycle == number).order_by(TRIAL.c.number)).all()
    return tuple(Tried(*row) for row in rows)


def recipe(ledger: Ledger, digest: str | None) -> RecipeFacts | None:
    """Return a recipe by its hash, None where it was never run."""
    columns = tuple(RECIPE.c[name] for name in RecipeFacts.__dataclass_fields__)
    with ledger.look() as connection:
        row = connection.execute(select(*columns).where(RECIPE.c.hash == digest)).first()
    return RecipeFacts(row.hash, row.name, tuple(row.modules), row.body) if row else None


def abilities(ledger: Ledger) -> dict[str, str]:
    """Return each environment's ability as last described."""
    return dict(json.loads(ledger.meta("abilities") or "{}"))


def objective_of(data: Mapping[str, Any], where: str) -> Objective:
    """Return the objective that the ledger keeps of ``where``, a cycle or a generation.

    Raises:
        StoreError: It is none.
    """
    try:
        cells = tuple(Cell.parse(str(cell)) for cell in data["cells"])
        return Objective(data["ability"], Direction(data["direction"]), cells, data["reason"], data["rule"])
    except (KeyError, TypeError, ValueError) as error:
        said = f"{where}: its objective cannot be read ({type(error).__name__}: {error})"
        raise StoreError(f"{said}; run `metaevo fsck`") from error


def _cycle(row: Row[Any]) -> CycleFacts:
    facts = row._asdict()
    objective = facts.pop("objective")
    return CycleFacts(**facts, objective=objective_of(objective, f"cycle {row.number}") if objective else None)
