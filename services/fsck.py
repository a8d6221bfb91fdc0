"""Check a home: the ledger, the lineage, every artifact against its digest. Reads only.

What one check cannot read is that check's finding: no damage keeps the others from looking.
"""

import math
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice

from metaevo.artifacts.store import Store
from metaevo.errors import MetaevoError, StoreError
from metaevo.gate.evidence import Hold, MoreItems, ProtectionFinding, Verdict
from metaevo.ledger import integrity
from metaevo.ledger.integrity import ErrorSpent, PublishedParts
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.queries import objective_of
from objectives.statistics import level
from services.config.tables import Gate
from services.home.home import Home
from services.records.health import Fsck, HomeCheck

ALWAYS = ("champion", "reference", "base")
"""Aliases that exist from the first generation on."""
DEFAULT_ALPHA = Gate().alpha
MOST = 20
"""Problems of one check that are told."""


def check_home(home: Home) -> Fsck:
    """Return every invariant with what was found; ``clean`` is true where nothing is wrong."""
    alpha = home.config().gate.alpha
    ledger, store = home.ledger(), home.store()
    try:
        found = {
            "ledger file": _told(lambda: () if ledger.check() == "ok" else (ledger.check(),)),
            "rows can be read": _told(lambda: _rows(ledger)),
            "one champion": _told(lambda: _champion(ledger)),
            "aliases follow their moves": _told(lambda: _aliases(ledger)),
            "lineage reaches the base": _told(lambda: _lines(ledger)),
            "artifacts match their digests": _told(lambda: _artifacts(ledger, store)),
            "decided cycles are whole": _told(lambda: _cycles(ledger, store)),
            "verdicts can be read": _told(lambda: _verdicts(ledger)),
            "errors spent only grow": _told(lambda: _confirmations(ledger, alpha)),
            "best anchor scores are the line's": _told(lambda: integrity.wrong_anchors(ledger)),
        }
    finally:
        ledger.close()
    checks = tuple(HomeCheck(name=name, ok=not wrong, problems=wrong) for name, wrong in found.items())
    return Fsck(clean=all(check.ok for check in checks), checks=checks)


def _told(look: Callable[[], Iterable[str]]) -> tuple[str, ...]:
    """Return the first problems that a check finds; what stops it is one of them."""
    problems: list[str] = []
    try:
        problems.extend(islice(look(), MOST))
    except MetaevoError as error:
        problems.append(str(error))
    return tuple(problems)


def _rows(ledger: Ledger) -> Iterator[str]:
    """Yield every row that holds what no command can read."""
    wrong = integrity.unreadable(ledger, MOST)
    yield from wrong
    if wrong:  # the questions below would only meet the same rows
        return
    for where, objective in integrity.objectives(ledger):
        try:
            objective_of(objective, where)
        except StoreError as error:
            yield str(error)
    for hold in integrity.holds(ledger):
        try:
            Hold.from_data(asdict(hold))
        except StoreError as error:
            yield f"hold {hold.candidate}: it cannot be read ({error})"


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
    yield from (wrong for wrong in store.damaged() if wrong not in looked.values())


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
            yield f"{kept.where}: its verdict cannot be read ({kept.wrong})"
        elif kept.data is not None:
            try:
                Verdict.from_data(kept.data)
            except StoreError as error:
                yield f"{kept.where}: its verdict cannot be read ({error})"


def _confirmations(ledger: Ledger, alpha: float) -> Iterator[str]:
    """Yield what does not follow of the error ledger: numbers, levels, promotions, outcomes, cells."""
    last: dict[int, int] = {}
    proven: dict[tuple[int, str], int] = {}
    """Promotions that a proven candidate's confirmation was opened after: its children's stand on one more."""
    most, decided = max([alpha, *_earlier_alphas(ledger)]), _decided(ledger)
    for row in integrity.every_confirmation(ledger):
        place = f"budget {row.budget}: confirmation {row.k}"
        if row.k != last.get(row.budget, 0) + 1:
            yield f"{place} follows {last.get(row.budget, 0)}"
        last[row.budget] = row.k
        above = proven.get((row.budget, row.parent))
        yield from (f"{place}{wrong}" for wrong in _wrong_spent(row, most, 0 if above is None else above + 1))
        yield from (f"{place}{wrong}" for wrong in _other_than_decided(row, decided.get((row.budget, row.k))))
        if row.outcome == "proven" and isinstance(row.promotions, int):
            proven[row.budget, row.candidate] = row.promotions
    for place in integrity.wrong_confirmed_cells(ledger):
        yield f"the cells kept of confirmation {place} are not those it names"


def _wrong_spent(row: ErrorSpent, alpha: float, promoted: int) -> Iterator[str]:
    """Yield what is wrong with a confirmation by itself; ``promoted`` is the most promotions it may stand on."""
    weights = row.weights if isinstance(row.weights, list) else []
    numbers = [value for value in weights if isinstance(value, int | float) and 0 <= value <= 1]
    whole = not numbers or math.isclose(sum(numbers), 1, abs_tol=1e-6)
    cells = row.cells if isinstance(row.cells, list) else []
    if len(numbers) != len(weights) or len(numbers) != len(cells) or not whole:
        yield f" has the weights {row.weights}, want one share a cell that sum to 1"
    if not isinstance(row.promotions, int) or row.promotions < 0:
        yield f" stands on {row.promotions!r} promotions, want a whole number"
        return
    if not isinstance(row.level, float) or not 0 < row.level < 1:
        yield f" has the level {row.level!r}, want a number between 0 and 1"
        return
    if row.place is None and row.outcome != "open":
        return  # opened before schema 4: by another rule, and under another number
    if row.promotions > promoted:
        yield f" stands on {row.promotions} promotions, its parent's line has {promoted}"
    allowed = level(alpha, row.k, row.promotions)
    if row.level > allowed * (1 + 1e-9):
        yield f" has the level {row.level:.6g}, its number and promotions give at most {allowed:.6g}"


def _earlier_alphas(ledger: Ledger) -> Iterator[float]:
    """Yield the alpha of every configuration the home ran under: a level was given by the one of its day."""
    for text in integrity.configurations(ledger):
        gate = tomllib.loads(text).get("gate")
        alpha = gate.get("alpha") if isinstance(gate, dict) else None
        yield alpha if isinstance(alpha, float) else DEFAULT_ALPHA


def _decided(ledger: Ledger) -> dict[tuple[int, int], Verdict]:
    """Return the last verdict that stands on each confirmation."""
    found: dict[tuple[int, int], Verdict] = {}
    for kept in integrity.verdicts(ledger):
        try:
            verdict = Verdict.from_data(kept.data) if kept.data is not None else None
        except StoreError:
            continue  # told of by a check of its own
        gain = verdict.evidence.gain if verdict is not None else None
        if verdict is not None and gain is not None:
            found[gain.budget, gain.k] = verdict
    return found


def _other_than_decided(row: ErrorSpent, verdict: Verdict | None) -> Iterator[str]:
    """Yield where a confirmation is not what the verdict on it says it was."""
    gain = verdict.evidence.gain if verdict is not None else None
    if verdict is None or gain is None or row.place != gain.place:
        return  # not decided yet, or it went on since
    if isinstance(row.level, float) and not math.isclose(row.level, gain.level):
        yield f" has the level {row.level:.6g}, its verdict says {gain.level:.6g}"
    if isinstance(row.promotions, int) and row.promotions != gain.promotions:
        yield f" stands on {row.promotions} promotions, its verdict says {gain.promotions}"
    more = [reason.numbers for reason in verdict.reasons if isinstance(reason.numbers, MoreItems)]
    proven = all(isinstance(wanted.found, ProtectionFinding) for wanted in more)
    if row.outcome != "void" and (row.outcome == "proven") != proven:
        yield f" is {row.outcome}, its verdict says that the gain was {'' if proven else 'not '}proven"
