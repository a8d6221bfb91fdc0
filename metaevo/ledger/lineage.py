"""Generations and aliases: ids are given here and never reused; every move of an alias is one append-only row.

Aliases: ``champion`` (in use), ``previous`` (nearest ancestor that was champion), ``reference`` (the ancestor the
gate compares with), ``pinned`` (a person's hold).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from sqlalchemy import CTE, literal
from sqlmodel import Session, col, select

from metaevo.errors import BadInput, Refused
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import AliasRow, GenerationRow, HoldRow, MoveRow
from metaevo.types import Generation, StepSpec


def generation(row: GenerationRow) -> Generation:
    """Return the record of a published row.

    Raises:
        BadInput: The row is only a reserved id.
    """
    if row.parts is None:
        raise BadInput(f"generation {row.id} was never published")
    steps = tuple(StepSpec(step["slot"], step["use"], step["knobs"]) for step in row.answer)
    return Generation(row.id, row.parent, dict(row.parts), steps)


class Lineage:
    """What the ledger knows of generations and aliases."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def reserve(self, cycle: int, trial: int, places: int, parent: str | None) -> list[str]:
        """Return ids for what a trial will publish, in order; the same ones whenever it is asked again."""
        with self.ledger.write() as session:
            query = select(GenerationRow).where(GenerationRow.cycle == cycle, GenerationRow.trial == trial)
            known = {row.place: row.id for row in session.exec(query)}
            highest = select(GenerationRow.number).order_by(col(GenerationRow.number).desc()).limit(1)
            last = session.exec(highest).first()
            number = -1 if last is None else last
            for place in range(places):
                if place not in known:
                    number += 1
                    known[place] = f"g{number:06d}"
                    session.add(_reserved(known[place], number, parent, cycle, trial, place, self.ledger))
            return [known[place] for place in range(places)]

    def publish(self, made: Generation, *, manifest: str, recipe: str | None = None, **facts: Any) -> None:
        """Write what a reserved id became. Publishing the same thing twice changes nothing.

        Raises:
            Refused: Another artifact was already published under this id.
        """
        with self.ledger.write() as session:
            row = _need(session, made.id)
            if row.manifest not in (None, manifest):
                raise Refused(f"generation {made.id} already is {row.manifest}, cannot become {manifest}")
            row.parent, row.parts, row.manifest, row.recipe = made.parent, dict(made.parts), manifest, recipe
            row.answer = [{"slot": s.slot, "use": s.use, "knobs": dict(s.knobs)} for s in made.answer]
            for name, value in facts.items():
                setattr(row, name, value)
            session.add(row)

    def get(self, id_: str) -> Generation:
        """Return a published generation by id or alias.

        Raises:
            BadInput: There is none of that id.
        """
        return generation(self.row(id_))

    def row(self, id_: str) -> GenerationRow:
        """Return a generation's row by id or alias; raises BadInput like `get`."""
        with self.ledger.read() as session:
            alias = session.get(AliasRow, id_)
            return _need(session, alias.generation if alias else id_)

    def rows(self, *, intermediate: bool = False) -> list[GenerationRow]:
        """Return all published generations, oldest first."""
        with self.ledger.read() as session:
            query = select(GenerationRow).where(col(GenerationRow.manifest).is_not(None))
            rows = session.exec(query.order_by(col(GenerationRow.number)))
            return [row for row in rows if intermediate or row.status != "intermediate"]

    def alias(self, name: str) -> str | None:
        """Return the id an alias points to, None where it is not set."""
        with self.ledger.read() as session:
            row = session.get(AliasRow, name)
            return row.generation if row else None

    def ancestors(self, id_: str, most: int | None = None) -> list[str]:
        """Return the ids from this generation up to the base, itself first; at most ``most`` of them."""
        with self.ledger.read() as session:
            return _ancestors(session, id_, most)

    def moves(self, alias: str | None = None) -> list[MoveRow]:
        """Return the moves of one alias, or of all, oldest first."""
        with self.ledger.read() as session:
            query = select(MoveRow).order_by(col(MoveRow.seq))
            return [row for row in session.exec(query) if alias in (None, row.alias)]


def move(
    session: Session,
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
    row = session.get(AliasRow, alias)
    now = row.generation if row else None
    if now != before:
        raise Refused(f"{alias} points to {now}, not to {before}: somebody else moved it")
    if after is None:
        session.delete(row) if row else None
    else:
        session.merge(AliasRow(name=alias, generation=after))
    facts = dict(evidence or {})
    session.add(MoveRow(alias=alias, before=before, after=after, who=who, why=why, evidence=facts, at=ledger.now()))


def promote(session: Session, ledger: Ledger, id_: str, *, who: str, why: str, evidence: Mapping[str, Any]) -> None:
    """Make a candidate the champion: three statuses and two aliases, in the caller's transaction."""
    champion = session.get(AliasRow, "champion")
    before = champion.generation if champion else None
    previous = session.get(AliasRow, "previous")
    row = _need(session, id_)
    row.status = "champion"
    session.add(row)
    if before is not None:
        old = _need(session, before)
        old.status = "retired"
        session.add(old)
        was = previous.generation if previous else None
        move(session, ledger, "previous", was, before, who=who, why=why)
    move(session, ledger, "champion", before, id_, who=who, why=why, evidence=evidence)


def rollback(ledger: Ledger, target: str | None, *, who: str, why: str) -> tuple[str, str]:
    """Make an ancestor the champion again; return (left, target). Weights, memory, prompts and objectives go with it.

    The generation it leaves and its descendants are quarantined; those between it and the target stay retired;
    `reference` moves to the target where it is no ancestor of it. Needs no engine.

    Raises:
        BadInput: There is nothing to go back to, or the target is no ancestor of the champion.
    """
    with ledger.write() as session:
        champion = session.get(AliasRow, "champion")
        previous = session.get(AliasRow, "previous")
        left = champion.generation if champion else ""
        goal = target or (previous.generation if previous else None)
        if goal is None:
            raise BadInput(f"{left} has no ancestor that was champion: nothing to roll back to")
        _need(session, goal)
        _refuse_stranger(goal, left, _ancestors(session, left))
        _mark(session, {left, *_descendants(session, left)})
        _go_back(session, ledger, left, goal, who=who, why=why)
        return left, goal


def quarantine(
    ledger: Ledger,
    ids: Iterable[str],
    *,
    who: str,
    why: str,
    check: Callable[[GenerationRow], None] = lambda _row: None,
) -> tuple[list[str], str | None]:
    """Quarantine generations and all their descendants; return (what was marked, the new champion if there is one).

    Where the champion is among them, its nearest ancestor that was champion and is not takes its place, as after a
    rollback; ``check`` is called with its row first and may raise. What was never examined stays intermediate.

    Raises:
        BadInput: There is no such generation, or the base is among them.
    """
    with ledger.write() as session:
        family = set[str]()
        for id_ in ids:
            if _need(session, id_).parent is None:
                raise BadInput(f"{id_} is the base model: there is nothing to go back to")
            family |= {id_, *_descendants(session, id_)}
        champion = session.get(AliasRow, "champion")
        left = champion.generation if champion else ""
        marked = _mark(session, family)
        if left not in family:
            _close_holds(session, family)
            return marked, None
        goal = _earlier_champion(session, left)
        if goal is None:
            raise BadInput(f"{left} has no ancestor that was champion and is not quarantined")
        check(_need(session, goal))
        _go_back(session, ledger, left, goal, who=who, why=why)
        return marked, goal


def _mark(session: Session, family: Set[str]) -> list[str]:
    """Give every examined generation of a family the status quarantined; return those that had another."""
    marked = []
    for id_ in sorted(family):
        row = _need(session, id_)
        if row.status not in ("intermediate", "quarantined"):
            row.status = "quarantined"
            session.add(row)
            marked.append(id_)
    return marked


def _go_back(session: Session, ledger: Ledger, left: str, goal: str, *, who: str, why: str) -> None:
    """Make an ancestor the champion: aliases move, and every hold is closed."""
    row = _need(session, goal)
    row.status = "champion"
    session.add(row)
    move(session, ledger, "champion", left, goal, who=who, why=why, evidence={"rollback": True})
    previous, back = session.get(AliasRow, "previous"), _earlier_champion(session, goal)
    if (previous.generation if previous else None) != back:
        move(session, ledger, "previous", previous.generation if previous else None, back, who=who, why=why)
    reference = session.get(AliasRow, "reference")
    if reference is not None and reference.generation not in _ancestors(session, goal):
        move(session, ledger, "reference", reference.generation, goal, who=who, why=why)
    _close_holds(session)


def _close_holds(session: Session, family: Set[str] | None = None) -> None:
    """Close the holds of a family, or all."""
    for hold in session.exec(select(HoldRow).where(col(HoldRow.open))):
        if family is None or hold.candidate in family:
            hold.open = False
            session.add(hold)


def _refuse_stranger(goal: str, left: str, line: list[str]) -> None:
    if goal == left:
        raise BadInput(f"--to {goal}: it is the champion already")
    if goal not in line:
        known = ", ".join(line[1:]) or "none"
        raise BadInput(f"--to {goal}: not an ancestor of the champion {left}; ancestors: {known}")


def _earlier_champion(session: Session, id_: str) -> str | None:
    crowned = {row.after for row in session.exec(select(MoveRow).where(MoveRow.alias == "champion"))}
    fine = [a for a in _ancestors(session, id_)[1:] if a in crowned and _need(session, a).status != "quarantined"]
    return fine[0] if fine else None


def _reserved(
    id_: str, number: int, parent: str | None, cycle: int, trial: int, place: int, ledger: Ledger
) -> GenerationRow:
    return GenerationRow(
        id=id_, number=number, parent=parent, cycle=cycle, trial=trial, place=place, answer=[], created_at=ledger.now()
    )


def _need(session: Session, id_: str) -> GenerationRow:
    row = session.get(GenerationRow, id_)
    if row is None:
        raise BadInput(f"no generation {id_[:40]!r}; `metaevo generations` lists them")
    return row


def line_of(id_: str, most: int | None = None) -> CTE:
    """Return the query of a generation's line: (id, parent, depth), itself at depth 0, at most ``most`` rows.

    One query whatever the length of the line: a walk row by row would make every cycle dearer than the one before.
    """
    first = select(GenerationRow.id, GenerationRow.parent, literal(0).label("depth")).where(GenerationRow.id == id_)
    line = first.cte("line", recursive=True)
    up = select(GenerationRow.id, GenerationRow.parent, line.c.depth + 1).where(GenerationRow.id == line.c.parent)
    return line.union_all(up if most is None else up.where(line.c.depth + 1 < most))


def _ancestors(session: Session, id_: str, most: int | None = None) -> list[str]:
    line = line_of(id_, most)
    rows = session.execute(select(line.c.id, line.c.parent).order_by(line.c.depth)).all()
    if not rows or (most is None and rows[-1].parent is not None):
        _need(session, rows[-1].parent if rows else id_)
    return [row.id for row in rows]


def _descendants(session: Session, id_: str) -> Sequence[str]:
    rows = session.exec(select(GenerationRow).order_by(col(GenerationRow.number))).all()
    family = {id_}
    for row in rows:
        if row.parent in family and row.parts is not None:
            family.add(row.id)
    return sorted(family - {id_})
