"""Write down what a story's ledgers say, as lines that a person can compare: ``python -m tests.replay.record --write``.

The ledger is read with plain SQL and by the columns named here, so that neither a renamed class nor a new table or
column changes what is compared. Left out: marks, digests, runtime and times. Only bodies need the artifact store.
"""

import hashlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from services.home.home import Home
from tests.replay.story import CHAPTERS

RECORDED = Path(__file__).with_name("recorded.json")
ALIASES = ("champion", "previous", "reference", "pinned")
Lines = dict[str, list[str]]
"""A table's name to its rows, one line each."""


def recorded(place: Path, chapters: Sequence[str] = tuple(CHAPTERS)) -> dict[str, Lines]:
    """Run the chapters, two at a time, and return what their ledgers say."""
    # never a fork of this process: with threads, as pytest's worker has them, its copy may wait for ever
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        made = [(name, workers.submit(chapter, name, place / name)) for name in chapters]
        return {name: found.result() for name, found in made}


def chapter(name: str, place: Path) -> Lines:
    """Run one chapter in a new home and return what its ledger says."""
    CHAPTERS[name](place)
    return read(place)


def read(home: Path) -> Lines:
    """Return what the ledger of a home says."""
    with closing(sqlite3.connect(home / "metaevo.db")) as ledger:
        ledger.row_factory = sqlite3.Row
        return {name: [_line(row) for row in rows(ledger)] for name, rows in TABLES.items()} | {
            "items": [_line(row) for row in _items(ledger, home)]
        }


def _cycles(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for row in _rows(
        ledger, "cycle", "number, outcome, parent, epoch, candidate, tokens, why, fixed, objective, verdict"
    ):
        reason = {"reason": row.pop("why").partition(":")[0]}
        yield row | reason | {"objective": _objective(row["objective"]), "verdict": _verdict(row["verdict"])}


def _trials(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    columns = "cycle, number, study, recipe, fidelity, score, constraints, tokens, failure, generation, params"
    for row in _rows(ledger, "trial", columns):
        yield row | {"failure": row["failure"].partition(":")[0]}


def _generations(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    columns = "id, parent, status, cycle, trial, place, recipe, epoch, answer, objective, verdict, parts"
    for row in _rows(ledger, "generation", columns):
        parts = {"parts": sorted(row["parts"] or {})}
        yield row | parts | {"objective": _objective(row["objective"]), "verdict": _verdict(row["verdict"])}


def _objective(found: Mapping[str, Any] | None) -> Any:
    return found and {key: found[key] for key in ("ability", "direction", "cells", "rule")}


def _verdict(found: Mapping[str, Any] | None) -> Any:
    return found and [found["decision"], *(reason["code"] for reason in found["reasons"])]


def _scores(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    yield from _rows(ledger, "score", "generation, split, environment, level, epoch, cycle, n, mean, low, high, latent")


def _confirmations(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    yield from _rows(
        ledger,
        "confirmation",
        "budget, k, epoch, cycle, candidate, parent, level, promotions, cells, weights, outcome, place",
    )


def _holds(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    yield from _rows(ledger, "hold", "candidate, parent, epoch, k, cycle, tries, open")


def _moves(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for row in _rows(ledger, "move", "seq, alias, before, after, who"):
        if row["alias"] in ALIASES:
            yield {key: value for key, value in row.items() if key != "seq"}


def _aliases(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    yield from (row for row in _rows(ledger, "alias", "name, generation") if row["name"] in ALIASES)


def _recipes(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    yield from _rows(ledger, "recipe", "hash, name, modules")


def _events(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for row in _rows(ledger, "event", "seq, code, cycle"):
        yield {"code": row["code"], "cycle": row["cycle"]}


def _steps(ledger: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Yield the finished steps of each trial of each cycle in the order of their keys; trial 0 is the cycle itself."""
    made: dict[tuple[int, int], list[str]] = {}
    for row in _rows(ledger, "step", "cycle, trial, stage, round, step, position, module", "digest is not null"):
        place = "/".join(str(row[key]) for key in ("stage", "round", "step", "position"))
        said = f"{place} {row['module']}".rstrip()
        made.setdefault((row["cycle"], row["trial"]), []).append(said)
    for (cycle, trial), steps in made.items():
        yield {"cycle": cycle, "trial": trial, "steps": steps}


TABLES: dict[str, Callable[[sqlite3.Connection], Iterator[dict[str, Any]]]] = {
    "cycles": _cycles,
    "trials": _trials,
    "generations": _generations,
    "scores": _scores,
    "confirmations": _confirmations,
    "holds": _holds,
    "moves": _moves,
    "aliases": _aliases,
    "recipes": _recipes,
    "events": _events,
    "steps": _steps,
}


def _items(ledger: sqlite3.Connection, home: Path) -> Iterator[dict[str, Any]]:
    """Yield which items every step that measures looked at: how many, the first and last, and a hash of all ids."""
    columns = "cycle, trial, stage, round, step, position, digest, body"
    for row in _rows(ledger, "step", columns, "digest is not null"):
        digest, inside = row.pop("digest"), row.pop("body")
        found = _body(home, digest) if inside is None else json.loads(inside)
        ids = _ids(found)
        if ids:
            whole = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
            yield row | {"items": len(ids), "first": ids[0], "last": ids[-1], "all": whole}


def _ids(body: Any) -> list[str]:
    """Return the ids of the tasks that a body of pairs, of a panel, or of a report, names."""
    if not isinstance(body, dict):
        return []
    if isinstance(body.get("tasks"), list) and {"differences", "scores"} & body.keys():
        return [str(id_) for id_ in body["tasks"]]
    return [str(outcome["task"]) for outcome in body.get("outcomes", ())]


def _body(home: Path, digest: str) -> Any:
    """Return a plain record that stands in the store, None for a batch. The only place that needs our own code."""
    head, *lines = Home(home).store().get(digest).split(b"\n")
    return json.loads(lines[0]) if json.loads(head)["kind"] == "plain" else None


def _rows(ledger: sqlite3.Connection, table: str, columns: str, where: str = "true") -> Iterator[dict[str, Any]]:
    """Yield the rows of a table in the order of the columns, JSON parsed."""
    names = [name.strip() for name in columns.split(",")]
    order = ", ".join(names[: max(1, min(6, len(names) - 1))])
    for row in ledger.execute(f"select {', '.join(names)} from {table} where {where} order by {order}"):
        yield {name: _parsed(row[name]) for name in names}


def _parsed(value: Any) -> Any:
    if (isinstance(value, str) and value[:1] in ("{", "[")) or value == "null":
        return json.loads(value)
    return value


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(_rounded(row), sort_keys=False)


def _rounded(value: Any) -> Any:
    """Return plain data with nine significant digits: the last ones of a sum differ between libraries."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list | tuple) else value


def text(found: Mapping[str, Lines]) -> str:
    """Return the record as the file holds it."""
    return json.dumps(found, indent=1) + "\n"


def main() -> None:
    """Record the story; with ``--write`` into the file, otherwise onto the terminal."""
    with tempfile.TemporaryDirectory() as place:
        said = text(recorded(Path(place)))
    if "--write" in sys.argv[1:]:
        RECORDED.write_text(said, encoding="utf-8")
        print(f"{RECORDED}: {len(said)} characters")
    else:
        print(said, end="")


if __name__ == "__main__":
    main()
