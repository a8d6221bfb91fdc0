"""Generations and aliases: ids are given here and never reused; every move of an alias is one append-only row.

Aliases: ``champion`` (in use), ``previous`` (nearest ancestor that was champion), ``reference`` (the ancestor the
gate compares with), ``base`` (generation 0; it never moves), ``pinned`` (a person's hold).
"""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from metaevo.errors import BadInput, Refused
from metaevo.ledger import anchors, holds
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.line import CHUNK, earlier_champion, family_of, line_of, on_line
from metaevo.ledger.tables import ALIAS, GENERATION, MOVE, JsonMap
from metaevo.ledger.upsert import upsert
from metaevo.types import Generation, StepSpec


@dataclass(frozen=True, slots=True)
class GenerationRecord:
    """One generation as the ledger has it; only a reserved id where ``manifest`` is None."""

    id: str
    number: int
    parent: str | None
    status: str
    cycle: int
    trial: int
    place: int
    parts: JsonMap | None
    answer: list[JsonMap]
    recipe: str | None
    data: str | None
    objective: JsonMap | None
    manifest: str | None
    epoch: int | None
    verdict: JsonMap | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """One move of an alias."""

    seq: int
    alias: str
    before: str | None
    after: str | None
    who: str
    why: str
    evidence: JsonMap
    at: datetime


def generation_of(row: GenerationRecord) -> Generation:
    """Return the record of a published row.

    Raises:
        BadInput: The row is only a reserved id.
    """
    if row.parts is None:
        raise BadInput("", f"generation {row.id} was never published", "name one of `metaevo generations`")
    steps = tuple(StepSpec(step["slot"], step["use"], step["knobs"]) for step in row.answer)
    return Generation(row.id, row.parent, dict(row.parts), steps)


class Lineage:
    """What the ledger knows of generations and aliases."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def reserve(self, cycle: int, trial: int, places: int, parent: str | None) -> list[str]:
        """Return ids for what a trial will publish, in order; the same ones whenever it is asked again."""
        mine = (GENERATION.c.cycle == cycle, GENERATION.c.trial == trial)
        with self.ledger.transaction() as connection:
            rows = connection.execute(select(GENERATION.c.place, GENERATION.c.id).where(*mine))
            known = {row.place: row.id for row in rows}
            last = connection.execute(select(func.max(GENERATION.c.number))).scalar()
            new = [place for place in range(places) if place not in known]
            for number, place in enumerate(new, 0 if last is None else last + 1):
                known[place] = f"g{number:06d}"
                row = {"id": known[place], "number": number, "parent": parent, "status": "intermediate"}
                row |= {"cycle": cycle, "trial": trial, "place": place, "created_at": self.ledger.now()}
                connection.execute(insert(GENERATION).values(row | {"answer": []}))
            return [known[place] for place in range(places)]

    def publish(self, made: Generation, *, manifest: str, recipe: str | None = None, **facts: object) -> None:
        """Write what a reserved id became. Publishing the same thing twice changes nothing.

        Raises:
            Refused: Another artifact was already published under this id.
        """
        with self.ledger.transaction() as connection:
            row = _need(connection, made.id)
            if row.manifest not in (None, manifest):
                raise Refused(f"generation {made.id} already is {row.manifest}, cannot become {manifest}")
            answer = [{"slot": s.slot, "use": s.use, "knobs": dict(s.knobs)} for s in made.answer]
            known = {"parent": made.parent, "parts": dict(made.parts), "manifest": manifest, "recipe": recipe}
            _set(connection, made.id, known | {"answer": answer} | facts)

    def crown(self, id_: str, *, who: str, why: str) -> None:
        """Make generation 0 what every home begins with: champion, reference and base."""
        with self.ledger.transaction() as connection:
            _need(connection, id_)
            _set(connection, id_, {"status": "champion"})
            for alias in ("champion", "reference", "base"):
                move(connection, self.ledger, alias, None, id_, who=who, why=why)

    def get(self, id_: str) -> Generation:
        """Return a published generation by id or alias.

        Raises:
            BadInput: There is none of that id.
        """
        return generation_of(self.row(id_))

    def row(self, id_: str) -> GenerationRecord:
        """Return what the ledger has of a generation, by id or alias; raises BadInput like `get`."""
        with self.ledger.look() as connection:
            return _need(connection, alias_of(connection, id_) or id_)

    def rows(self, *, intermediate: bool = False) -> list[GenerationRecord]:
        """Return all published generations, oldest first."""
        query = _GENERATIONS.where(GENERATION.c.manifest.is_not(None))
        if not intermediate:
            query = query.where(GENERATION.c.status != "intermediate")
        with self.ledger.look() as connection:
            return [GenerationRecord(*row) for row in connection.execute(query.order_by(GENERATION.c.number))]

    def alias(self, name: str) -> str | None:
        """Return the id an alias points to, None where it is not set."""
        with self.ledger.look() as connection:
            return alias_of(connection, name)

    def ancestors(self, id_: str, most: int | None = None) -> list[str]:
        """Return the ids from this generation up to the base, itself first; at most ``most`` of them."""
        with self.ledger.look() as connection:
            return _ancestors(connection, id_, most)

    def moves(self, alias: str | None = None) -> list[Move]:
        """Return the moves of one alias, or of all, oldest first."""
        query = select(*(MOVE.c[field.name] for field in fields(Move))).order_by(MOVE.c.seq)
        with self.ledger.look() as connection:
            rows = connection.execute(query if alias is None else query.where(MOVE.c.alias == alias))
            return [Move(*row) for row in rows]


def alias_of(connection: Connection, name: str) -> str | None:
    """Return the id an alias points to, None where it is not set."""
    return connection.execute(select(ALIAS.c.generation).where(ALIAS.c.name == name)).scalar()


def move(
    connection: Connection,
    ledger: Ledger,
    alias: str,
    before: str | None,
    after: str | None,
    *,
    who: str,
    why: str,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Move an alias by compare-and-swap inside the caller's transaction; None removes it.

    Raises:
        Refused: It no longer points where the caller thinks.
    """
    now = alias_of(connection, alias)
    if now != before:
        raise Refused(f"{alias} points to {now}, not to {before}: somebody else moved it")
    if after is None:
        connection.execute(delete(ALIAS).where(ALIAS.c.name == alias))
    else:
        upsert(connection, ALIAS, [{"name": alias, "generation": after}])
    facts = {"alias": alias, "before": before, "after": after, "who": who, "why": why, "evidence": dict(evidence or {})}
    connection.execute(insert(MOVE).values(facts | {"at": ledger.now()}))
    if alias == "champion":
        anchors.follow(connection, before, after)


def promote(
    connection: Connection, ledger: Ledger, id_: str, *, who: str, why: str, evidence: Mapping[str, Any]
) -> None:
    """Make a candidate the champion: three statuses and two aliases, in the caller's transaction."""
    before, previous = alias_of(connection, "champion"), alias_of(connection, "previous")
    _need(connection, id_)
    _set(connection, id_, {"status": "champion"})
    if before is not None:
        _need(connection, before)
        _set(connection, before, {"status": "retired"})
        move(connection, ledger, "previous", previous, before, who=who, why=why)
    move(connection, ledger, "champion", before, id_, who=who, why=why, evidence=evidence)


def judge(connection: Connection, id_: str, facts: Mapping[str, Any]) -> None:
    """Write what a verdict says of a candidate, in the caller's transaction.

    Raises:
        Refused: It is not in the ledger.
    """
    if not _set(connection, id_, facts):
        raise Refused(f"generation {id_} is not in the ledger")


def rollback(ledger: Ledger, target: str | None, *, who: str, why: str) -> tuple[str, str]:
    """Make an ancestor the champion again; return (left, target). Weights, memory, prompts and objectives go with it.

    The generation it leaves and its descendants are quarantined; those between it and the target stay retired;
    `reference` moves to the target where it is not an ancestor of it. Needs no engine.

    Raises:
        BadInput: There is nothing to go back to, or the target is not an ancestor of the champion.
    """
    with ledger.transaction() as connection:
        left = alias_of(connection, "champion") or ""
        goal = target or alias_of(connection, "previous")
        if goal is None:
            raise BadInput("", f"{left} has no ancestor that was champion: nothing to roll back to", "")
        _need(connection, goal)
        _refuse_stranger(goal, left, _ancestors(connection, left))
        _mark(connection, family_of(connection, [left]))
        _go_back(connection, ledger, left, goal, who=who, why=why)
        return left, goal


def quarantine(
    ledger: Ledger,
    ids: Iterable[str],
    *,
    who: str,
    why: str,
    check: Callable[[GenerationRecord], None] = lambda _row: None,
) -> tuple[list[str], str | None]:
    """Quarantine generations and all their descendants; return (what was marked, the new champion if there is one).

    Where the champion is among them, its nearest ancestor that was champion and is not takes its place, as after a
    rollback; ``check`` is called with its row first and may raise. What was never examined stays intermediate.

    Raises:
        BadInput: There is no such generation, or the base is among them.
    """
    wanted = sorted(set(ids))
    with ledger.transaction() as connection:
        _refuse_base(connection, wanted)
        family = family_of(connection, wanted)
        left = alias_of(connection, "champion") or ""
        marked = _mark(connection, family)
        if left not in family:
            holds.close_all(connection, family)
            return marked, None
        goal = earlier_champion(connection, left)
        if goal is None:
            raise BadInput("", f"{left} has no ancestor that was champion and is not quarantined", "")
        check(_need(connection, goal))
        _go_back(connection, ledger, left, goal, who=who, why=why)
        return marked, goal


def _mark(connection: Connection, family: Set[str]) -> list[str]:
    """Give every examined generation of a family the status quarantined; return those that had another."""
    marked, every = list[str](), sorted(family)
    for first in range(0, len(every), CHUNK):
        mine = GENERATION.c.id.in_(every[first : first + CHUNK])
        others = GENERATION.c.status.not_in(("intermediate", "quarantined"))
        ids = connection.execute(select(GENERATION.c.id).where(mine, others).order_by(GENERATION.c.id)).scalars().all()
        connection.execute(update(GENERATION).where(mine, others).values(status="quarantined"))
        marked += ids
    return marked


def _go_back(connection: Connection, ledger: Ledger, left: str, goal: str, *, who: str, why: str) -> None:
    """Make an ancestor the champion: aliases move, and every hold is closed."""
    _set(connection, goal, {"status": "champion"})
    move(connection, ledger, "champion", left, goal, who=who, why=why, evidence={"rollback": True})
    previous, back = alias_of(connection, "previous"), earlier_champion(connection, goal)
    if previous != back:
        move(connection, ledger, "previous", previous, back, who=who, why=why)
    reference = alias_of(connection, "reference")
    if reference is not None and not on_line(connection, reference, goal):
        move(connection, ledger, "reference", reference, goal, who=who, why=why)
    holds.close_all(connection)


def _refuse_stranger(goal: str, left: str, line: list[str]) -> None:
    if goal == left:
        raise BadInput("--to", "it is the champion already", "", given=goal)
    if goal not in line:
        known = ", ".join(line[1:]) or "none"
        raise BadInput("--to", f"not an ancestor of the champion {left}", f"ancestors: {known}", given=goal)


def _refuse_base(connection: Connection, wanted: list[str]) -> None:
    """Refuse to quarantine what nothing comes before, or what is not there."""
    for first in range(0, len(wanted), CHUNK):
        some = wanted[first : first + CHUNK]
        query = select(GENERATION.c.id, GENERATION.c.parent).where(GENERATION.c.id.in_(some))
        parents = {row.id: row.parent for row in connection.execute(query)}
        for id_ in some:
            if id_ not in parents:
                raise _unknown(id_)
            if parents[id_] is None:
                raise BadInput("", f"{id_} is the base model: there is nothing to go back to", "")


def _set(connection: Connection, id_: str, facts: Mapping[str, Any]) -> bool:
    """Write columns of a generation; return whether it is there."""
    return connection.execute(update(GENERATION).where(GENERATION.c.id == id_).values(dict(facts))).rowcount == 1


_GENERATIONS = select(*(GENERATION.c[field.name] for field in fields(GenerationRecord)))


def _need(connection: Connection, id_: str) -> GenerationRecord:
    row = connection.execute(_GENERATIONS.where(GENERATION.c.id == id_)).first()
    if row is None:
        raise _unknown(id_)
    return GenerationRecord(*row)


def _unknown(id_: str) -> BadInput:
    return BadInput("", f"no generation {id_[:40]!r}", "`metaevo generations` lists them")


def _ancestors(connection: Connection, id_: str, most: int | None = None) -> list[str]:
    line = line_of(id_, most)
    rows = connection.execute(select(line.c.id, line.c.parent).order_by(line.c.depth)).all()
    if not rows or (most is None and rows[-1].parent is not None):
        _need(connection, rows[-1].parent if rows else id_)
    return [row.id for row in rows]
