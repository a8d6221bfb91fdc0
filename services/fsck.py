"""Check a home: the ledger, the lineage, every artifact against its digest. Reads only."""

from collections.abc import Iterator

from sqlmodel import col, select

from metaevo.artifacts.store import Store
from metaevo.errors import MetaevoError
from metaevo.ledger.journal import sound
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.tables import AliasRow, ConfirmationRow, CycleRow, GenerationRow, MoveRow, StepRow
from services.home import Home
from services.records.health import Fsck, HomeCheck


def checked(home: Home) -> Fsck:
    """Return every invariant with what was found; ``clean`` is true where nothing is wrong."""
    home.config()
    ledger, store = home.ledger(), home.store()
    try:
        found = {
            "ledger file": [] if ledger.check() == "ok" else [ledger.check()],
            "one champion": list(_champion(ledger)),
            "aliases follow their moves": list(_aliases(ledger)),
            "lineage reaches the base": list(_lines(ledger)),
            "artifacts match their digests": list(_artifacts(ledger, store)),
            "decided cycles are whole": list(_cycles(ledger, store)),
            "errors spent only grow": list(_confirmations(ledger)),
        }
    finally:
        ledger.close()
    checks = tuple(HomeCheck(name=name, ok=not wrong, problems=tuple(wrong[:20])) for name, wrong in found.items())
    return Fsck(clean=all(check.ok for check in checks), checks=checks)


def _champion(ledger: Ledger) -> Iterator[str]:
    with ledger.read() as session:
        champions = session.exec(select(GenerationRow.id).where(GenerationRow.status == "champion")).all()
        alias = session.get(AliasRow, "champion")
    if alias is None and not champions:
        return
    if len(champions) != 1 or alias is None or champions[0] != alias.generation:
        yield f"alias champion is {alias.generation if alias else None}, status champion has {', '.join(champions)}"


def _aliases(ledger: Ledger) -> Iterator[str]:
    now: dict[str, str | None] = {}
    with ledger.read() as session:
        for move in session.exec(select(MoveRow).order_by(col(MoveRow.seq))):
            if now.get(move.alias) != move.before:
                yield f"move {move.seq}: {move.alias} was {now.get(move.alias)}, the row says {move.before}"
            now[move.alias] = move.after
        for alias in session.exec(select(AliasRow)):
            if now.get(alias.name) != alias.generation:
                yield f"{alias.name} points to {alias.generation}, its moves lead to {now.get(alias.name)}"


def _lines(ledger: Ledger) -> Iterator[str]:
    with ledger.read() as session:
        parents = {row.id: row.parent for row in session.exec(select(GenerationRow))}
    for id_ in parents:
        seen: set[str] = set()
        current: str | None = id_
        while current is not None and current not in seen:
            seen.add(current)
            if current not in parents:
                yield f"{id_}: its ancestor {current} is not in the ledger"
            current = parents.get(current)
        if current is not None:
            yield f"{id_} is its own ancestor"


def _artifacts(ledger: Ledger, store: Store) -> Iterator[str]:
    for row in Lineage(ledger).rows(intermediate=True):
        try:
            store.get(row.manifest or "")
            for digest in (row.parts or {}).values():
                store.tree(digest)
                below = store.manifest(digest)["meta"].get("base")
                if below is not None:
                    store.tree(below)
        except MetaevoError as error:
            yield f"{row.id}: {error}"


def _cycles(ledger: Ledger, store: Store) -> Iterator[str]:
    with ledger.read() as session:
        cycles = {row.number: row for row in session.exec(select(CycleRow))}
        steps = session.exec(select(StepRow)).all()
    open_cycles = [number for number, row in cycles.items() if row.outcome == "open"]
    if len(open_cycles) > 1:
        yield f"cycles {open_cycles} are open at once"
    for step in steps:
        cycle = cycles.get(step.cycle)
        where = f"step {step.cycle}/{step.trial}/{step.stage}/{step.round}/{step.step}/{step.position}"
        decided = cycle is not None and cycle.outcome in ("promote", "hold", "reject")
        if decided and step.digest is None and step.trial == 0:
            yield f"{where} is open in a decided cycle"
        if step.body is not None and not sound(step):
            yield f"{where}: its body does not match its digest {str(step.digest)[:12]}"
        elif step.body is None and step.digest is not None and not store.has(step.digest):
            yield f"{where}: its body {step.digest[:12]} is missing"


def _confirmations(ledger: Ledger) -> Iterator[str]:
    with ledger.read() as session:
        rows = session.exec(select(ConfirmationRow).order_by(col(ConfirmationRow.epoch), col(ConfirmationRow.k))).all()
    last: dict[int, int] = {}
    for row in rows:
        if row.k != last.get(row.epoch, 0) + 1:
            yield f"epoch {row.epoch}: confirmation {row.k} follows {last.get(row.epoch, 0)}"
        last[row.epoch] = row.k
