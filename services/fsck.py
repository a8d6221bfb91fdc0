"""Check a home: the ledger, the lineage, every artifact against its digest. Reads only."""

from collections.abc import Iterator

from metaevo.artifacts.store import Store
from metaevo.errors import MetaevoError, StoreError
from metaevo.gate.evidence import Verdict
from metaevo.ledger import integrity
from metaevo.ledger.integrity import PublishedParts
from metaevo.ledger.ledger import Ledger
from services.home.home import Home
from services.records.health import Fsck, HomeCheck

ALWAYS = ("champion", "reference", "base")
"""Aliases that exist from the first generation on."""


def check_home(home: Home) -> Fsck:
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
            "verdicts can be read": list(_verdicts(ledger)),
            "errors spent only grow": list(_confirmations(ledger)),
            "best anchor scores are the line's": list(integrity.wrong_anchors(ledger)),
        }
    finally:
        ledger.close()
    checks = tuple(HomeCheck(name=name, ok=not wrong, problems=tuple(wrong[:20])) for name, wrong in found.items())
    return Fsck(clean=all(check.ok for check in checks), checks=checks)


def _champion(ledger: Ledger) -> Iterator[str]:
    champions = integrity.champions(ledger)
    alias = integrity.aliases(ledger).get("champion")
    if alias is None and not champions:
        return
    if champions != (alias,):
        yield f"alias champion is {alias}, status champion has {', '.join(champions)}"


def _aliases(ledger: Ledger) -> Iterator[str]:
    now: dict[str, str | None] = {}
    for move in integrity.moves(ledger):
        if now.get(move.alias) != move.before:
            yield f"move {move.seq}: {move.alias} was {now.get(move.alias)}, the row says {move.before}"
        now[move.alias] = move.after
    aliases = integrity.aliases(ledger)
    for name in sorted({*now, *aliases}):
        if now.get(name) != aliases.get(name):
            yield f"{name} points to {aliases.get(name)}, its moves lead to {now.get(name)}"
    if integrity.has_examined(ledger):
        yield from (f"alias {name} is missing" for name in ALWAYS if name not in aliases)


def _lines(ledger: Ledger) -> Iterator[str]:
    """Yield what is wrong with a line; each is walked only as far as one that was walked before."""
    parents, base = integrity.parents(ledger), integrity.aliases(ledger).get("base")
    known: dict[str, str] = {}
    for id_ in parents:
        walked: dict[str, None] = {}
        current: str | None = id_
        while current is not None and current in parents and current not in walked and current not in known:
            walked[current] = None
            current = parents[current]
        root = list(walked)[-1] if walked else id_
        if current is None:
            wrong = "" if base in (None, root) else f"its line ends at {root}, the base is {base}"
        elif current in known:
            wrong = known[current]
        elif current in walked:
            wrong = "is its own ancestor"
        else:
            wrong = f"its ancestor {current} is not in the ledger"
        known.update(dict.fromkeys(walked, wrong))
        if wrong:
            yield f"{id_} {wrong}" if wrong.startswith("is ") else f"{id_}: {wrong}"


def _artifacts(ledger: Ledger, store: Store) -> Iterator[str]:
    """Yield what is missing or changed; what several generations share is read once."""
    looked: dict[str, str] = {}
    for made in integrity.published_parts(ledger):
        wrong = _wrong_part(store, made, looked)
        if wrong:
            yield f"{made.id}: {wrong}"


def _wrong_part(store: Store, made: PublishedParts, looked: dict[str, str]) -> str:
    """Return the first thing that is wrong with what a generation is made of, empty where nothing is."""
    try:
        store.get(made.manifest)
        for digest in made.parts.values():
            wrong = _wrong_tree(store, digest, looked)
            below = None if wrong else store.manifest(digest)["meta"].get("base")
            wrong = wrong or (_wrong_tree(store, below, looked) if below is not None else "")
            if wrong:
                return wrong
    except MetaevoError as error:
        return str(error)
    return ""


def _wrong_tree(store: Store, digest: str, looked: dict[str, str]) -> str:
    if digest not in looked:
        try:
            store.tree(digest)
            looked[digest] = ""
        except MetaevoError as error:
            looked[digest] = str(error)
    return looked[digest]


def _cycles(ledger: Ledger, store: Store) -> Iterator[str]:
    open_cycles = list(integrity.open_cycles(ledger))
    if len(open_cycles) > 1:
        yield f"cycles {open_cycles} are open at once"
    for where in integrity.unfinished_steps(ledger):
        yield f"step {where} is open in a decided cycle"
    for step in integrity.step_bodies(ledger):
        if not step.sound:
            yield f"step {step.where}: its body does not match its digest {step.digest[:12]}"
        elif not step.inside and not store.has(step.digest):
            yield f"step {step.where}: its body {step.digest[:12]} is missing"


def _verdicts(ledger: Ledger) -> Iterator[str]:
    for kept in integrity.verdicts(ledger):
        if kept.wrong:
            yield f"{kept.id}: its verdict cannot be read ({kept.wrong})"
        elif kept.data is not None:
            try:
                Verdict.from_data(kept.data)
            except StoreError as error:
                yield f"{kept.id}: its verdict cannot be read ({error})"


def _confirmations(ledger: Ledger) -> Iterator[str]:
    last: dict[int, int] = {}
    for row in integrity.every_confirmation(ledger):
        if row.k != last.get(row.budget, 0) + 1:
            yield f"budget {row.budget}: confirmation {row.k} follows {last.get(row.budget, 0)}"
        last[row.budget] = row.k
    for place in integrity.wrong_confirmed_cells(ledger):
        yield f"the cells kept of confirmation {place} are not those it names"
