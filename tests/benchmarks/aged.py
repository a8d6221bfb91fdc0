"""Age a ledger: a home of 10,000 consistent cycles x 70 cells in a minute: ``python -m tests.benchmarks.aged FOLDER``.

A few cycles are really run, on a scripted engine that always has something to learn. What they wrote is the template of
all the others: rows are copied with cycles, generations, confirmations, moves and times of their own, in the order
in which evolution would have written them. Of ten cycles seven promote, one is held and promoted when it is examined
again, one is rejected and one ends with nothing; every fifth promotion moves the reference. Bodies of steps
are shared: they stand in the store once. `metaevo fsck` finds such a home clean, and the next cycle really runs on it.

A home may keep the newest of its cycles alone. Numbers, ids, confirmations and times go on as if the others had been
there, so that its next cycle is the very one that runs on the whole history: what is compared then is history alone.
`metaevo fsck` misses the confirmations that are not there.
"""

import argparse
import json
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from metaevo.engines.protocol import Job
from metaevo.evolution.loop import Evolution
from metaevo.testing import ScriptedEngine, Skills
from metaevo.types import CycleEnd, Experiences, Generation
from objectives.statistics import level
from services.home.home import Home
from services.home.open import App, open_home
from tests.benchmarks.metered import Metered

NAMES = (
    *("addition", "block_unstacking", "extremes", "format_orders", "grid_navigation"),
    *("letter_count", "letter_shift", "modular_sum", "reversal", "sorting"),
)
LEVELS = (2, 3, 4, 5, 6, 7, 8)
CONFIG = """seed = 11
[model]
base = "builtin:tiny"
[protect]
"*" = false
[forbid]
methods = ["adopt", "revision"]
[gate]
secret_seed = 11
max_items = 320
screen_items = 64
[search]
trials = 3
finals = 1
[diagnosis]
items = 8
samples = 2
""" + "".join(f'[environments.{name}]\nability = "other"\nlevels = {list(LEVELS)}\n' for name in NAMES)
START = {f"{name}/{level}": 0.2 for name in NAMES for level in LEVELS}
REAL = 5
"""Cycles that are really run: the last four of them are the templates."""
PATTERN = ("promote", "promote", "hold", "again", "promote", "reject", "promote", "promote", "none", "promote")
EXAM = ("confirm", "protect", "guard_cost")
BEST = """insert into best_anchor (epoch, environment, level, n, mean)
with recursive line (id) as (
    select generation from alias where name = 'champion'
    union all select g.parent from generation g join line on g.id = line.id where g.parent is not null
)
select epoch, environment, level, min(n), max(mean) from score join line on line.id = score.generation
where split = 'anchor' group by epoch, environment, level"""
"""The kept values of the ledger, made from the whole line."""
ALPHA, MOVE_REFERENCE, STEP_S, WALL_S = 0.05, 5, 60, 30


class Restless(ScriptedEngine):
    """Learns the four cells it is shown most and forgets the rest: there is always something to raise, never more."""

    def _learned(self, skills: Skills, rows: Experiences, strength: float) -> Skills:
        rows = tuple(row for row in rows if "replayed" not in row.tags)
        shown = dict(Counter(self._solved(row.attempt.task.text)[0] for row in rows).most_common(4))
        return {cell: 0.95 if cell in shown else max(0.2, round(p - 0.3, 6)) for cell, p in skills.items()}

    def _averaged(self, job: Job, batch: Generation) -> Skills:
        return self.skills(batch)  # an average would forget nothing, and in the end all were mastered


@contextmanager
def at_work(home: Home) -> Iterator[tuple[App, Evolution]]:
    """Yield a home with its evolution: the product's defaults, but for few items a cycle."""
    make = lambda home, _config, _width: [Metered(Restless(home.store(), START, environments=NAMES))]  # noqa: E731
    with open_home(home, make=make, engines=1) as app:
        evolution = app.evolution()
        evolution.settings = replace(evolution.settings, pool=48, rehearsal=48, dev=32, anchor=8)
        try:
            yield app, evolution
        finally:
            evolution.sampler.close()


def young(path: Path) -> Home:
    """Make a home in which the first cycles were really run."""
    shutil.rmtree(path, ignore_errors=True)
    home = Home(path)
    home.create(CONFIG)
    with at_work(home) as (_, evolution):
        outcomes = [evolution.one().outcome for _ in range(REAL)]
    if set(outcomes) != {"promote"}:
        raise RuntimeError(f"the first cycles were {outcomes}, want promotions: there is no template")
    return home


def age(home: Home, cycles: int, kept: int | None = None) -> None:
    """Let a young home's ledger grow to this many cycles, in one transaction.

    Of them ``kept``, or up to ten more, are there; all where it is not given.
    """
    with closing(sqlite3.connect(home.path / "metaevo.db")) as ledger:
        ledger.row_factory = sqlite3.Row
        ledger.execute("pragma synchronous = off")
        with ledger:
            _Aging(ledger).grow(cycles, cycles if kept is None else kept)
            ledger.execute("delete from best_anchor")
            ledger.execute(BEST)
        ledger.execute("pragma wal_checkpoint(truncate)")
        ledger.execute("analyze")
        ledger.commit()


Row = dict[str, Any]


@dataclass(slots=True)
class _Template:
    """What one real cycle wrote."""

    number: int
    cycle: Row
    generations: list[Row]
    trials: list[Row]
    confirmation: Row


@dataclass(slots=True)
class _Aging:
    """The state of a lineage as it grows, and the rows that are to be written."""

    ledger: sqlite3.Connection
    rows: dict[str, list[Row]] = field(default_factory=dict)
    copies: list[tuple[Any, ...]] = field(default_factory=list)
    """(new cycle, template's cycle, which steps, number of the candidate there and here)."""
    champions: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    began: datetime = datetime.min
    promoted: int = 0
    number: int = 0
    k: int = 0
    held: Row = field(default_factory=dict)

    def grow(self, cycles: int, kept: int) -> None:
        """Write the cycles after the last real one, so many that at least ``kept`` are there."""
        last = self._one("select max(number) as n from cycle")["n"]
        templates = [self._template(number) for number in range(last - REAL + 2, last + 1)]
        self.number = self._one("select max(number) as n from generation")["n"]
        self.k = self._one("select max(k) as n from confirmation")["n"]
        self.promoted = self._one("select count(*) as n from cycle where outcome = 'promote'")["n"]
        self.champions = [r["after"] for r in self._all("select after from move where alias = 'champion' order by seq")]
        self.aliases = {row["name"]: row["generation"] for row in self._all("select name, generation from alias")}
        self.began = datetime.fromisoformat(templates[-1].cycle["opened_at"])
        champions, aliases, promoted = list(self.champions), dict(self.aliases), self.promoted
        for cycle in range(last + 1, cycles + 1):
            even = (self.promoted - promoted) % MOVE_REFERENCE == 0  # else the reference would move in other cycles
            if cycle <= cycles - (kept - last) + 1 and even and not self.held:
                self._forget(champions, aliases)
            self._cycle(cycle, PATTERN[cycle % len(PATTERN)], templates[cycle % len(templates)], cycle - last)
        self._write()

    def _forget(self, champions: Sequence[str], aliases: Mapping[str, str]) -> None:
        """Leave out what was to be written, as if the line went on from here; numbers are not given twice."""
        self.rows, self.copies = {}, []
        self.champions, self.aliases = list(champions), dict(aliases)

    def _cycle(self, cycle: int, kind: str, like: _Template, after: int) -> None:
        opened = self.began + timedelta(seconds=STEP_S * after)
        now = str(opened + timedelta(seconds=WALL_S))
        parent, held = self.champions[-1], self.held
        row = dict(like.cycle) | {"number": cycle, "parent": parent, "opened_at": str(opened), "closed_at": now}
        row["wall_s"] = WALL_S
        if kind == "again" and not held:
            kind = "promote"
        if kind == "again":
            self._examined_again(row, now)
            return
        ids = self._generations(cycle, like, parent, now)
        candidate = None if kind == "none" else ids[like.cycle["candidate"]]
        ending = {"promote": CycleEnd.PROMOTED, "hold": CycleEnd.INCONCLUSIVE}.get(kind, CycleEnd.LIMIT_OF_RECIPE)
        why = {"none": "limit of recipe: no trial gained on dev items (best +0.000)"}.get(kind, "")
        row |= {"outcome": kind, "ending": ending.value, "candidate": candidate, "why": why, "verdict": None}
        verdict = json.loads(like.cycle["verdict"])
        if kind in ("promote", "hold"):
            self.k += 1
            error = level(ALPHA, self.k, self.promoted)
            spent = {"k": self.k, "cycle": cycle, "candidate": candidate, "parent": parent, "level": error, "at": now}
            self._add("confirmation", dict(like.confirmation) | spent | {"promotions": self.promoted})
            for cell in json.loads(like.confirmation["cells"]):
                # A finite cell had fewer rows then: else its sample were used up in the old home and not in the young.
                served = {"budget": 1, "cell": cell, "k": self.k, "cycle": cycle, "texts": 1}
                self._add("confirmed_cell", served)
            verdict = _at(verdict, self.k, self.promoted)
        if kind == "reject":
            verdict = _decided(verdict, "reject", "screen failed", {})
            row["why"] = "limit of recipe: screen failed"
        if kind == "hold":
            verdict = _decided(verdict, "hold", "needs more items", {"needed": 100, "limit": 320})
            row["why"] = "inconclusive: needs more items"
        if candidate is not None:
            row["verdict"] = json.dumps(verdict)
            made = next(r for r in reversed(self.rows["generation"]) if r["id"] == candidate)
            status = {"promote": "retired", "hold": "held", "reject": "rejected"}[kind]
            made |= {"status": status, "verdict": row["verdict"], "objective": row["objective"]}
        self._add("cycle", row)
        self._tell(cycle, f"cycle {cycle}: {kind} ({candidate or 'no candidate'})", {"outcome": kind}, now)
        steps = {"promote": "all", "hold": "all", "reject": "screened", "none": "searched"}[kind]
        self.copies.append((cycle, like.number, steps, int(like.cycle["candidate"][1:]), _number(candidate), parent))
        if kind == "promote":
            self._promote(cycle, candidate or "", now)
        if kind == "hold":
            facts = {"needed": 100, "most": 12000, "person": False}
            hold = {"candidate": candidate, "parent": parent, "epoch": row["epoch"], "k": self.k, "cycle": cycle}
            self.held = hold | {"tries": 0, "open": 1, "exam": json.dumps(verdict["exam"] | facts)}
            self.held["like"] = like

    def _examined_again(self, row: Row, now: str) -> None:
        like, cycle, candidate = self.held.pop("like"), row["number"], self.held["candidate"]
        verdict = json.dumps(_at(json.loads(like.cycle["verdict"]), self.held["k"], self.promoted))
        facts = {"objective": None, "tokens": 0, "candidate": candidate, "verdict": verdict, "why": ""}
        self._add("cycle", row | {"outcome": "promote", "ending": CycleEnd.PROMOTED.value} | facts)
        self._tell(cycle, f"cycle {cycle}: promote ({candidate})", {"outcome": "promote"}, now)
        made = next(r for r in reversed(self.rows["generation"]) if r["id"] == candidate)
        made |= {"status": "retired", "verdict": verdict}
        self._add("hold", self.held | {"open": 0})
        self.held = {}
        self.copies.append((cycle, like.number, "examined", int(like.cycle["candidate"][1:]), _number(candidate), None))
        self._promote(cycle, candidate, now)

    def _generations(self, cycle: int, like: _Template, parent: str, now: str) -> dict[str, str]:
        """Add copies of what a template's trials made, and the trials; return the new ids by the old ones."""
        ids = {}
        for made in like.generations:
            self.number += 1
            ids[made["id"]] = f"g{self.number:06d}"
            facts = {"id": ids[made["id"]], "number": self.number, "parent": parent, "cycle": cycle}
            same = {"created_at": now, "status": "intermediate", "verdict": None, "objective": None}
            self._add("generation", dict(made) | facts | same)
        for trial in like.trials:
            jitter = 1 + (cycle * 7919 % 101 - 50) / 1000
            score = trial["score"] * jitter if trial["score"] else trial["score"]
            own = {"cycle": cycle, "generation": ids.get(trial["generation"]), "score": score}
            self._add("trial", dict(trial) | own)
        return ids

    def _promote(self, cycle: int, candidate: str, now: str) -> None:
        self.promoted += 1
        evidence = {"cycle": cycle, "verdict": "promote"}
        self._move("previous", self.champions[-1], "gain proven", {}, now)
        self._move("champion", candidate, "gain proven", evidence, now)
        if self.promoted % MOVE_REFERENCE == 0:
            self._move("reference", candidate, "fifth promotion", {}, now)
        self.champions.append(candidate)

    def _move(self, alias: str, after: str, why: str, evidence: Mapping[str, Any], now: str) -> None:
        move = {"alias": alias, "before": self.aliases.get(alias), "after": after, "who": "metaevo", "why": why}
        self._add("move", move | {"evidence": json.dumps(evidence), "at": now})
        self.aliases[alias] = after

    def _tell(self, cycle: int, sentence: str, data: Mapping[str, Any], now: str) -> None:
        self._add(
            "event", {"code": "decided", "sentence": sentence, "data": json.dumps(data), "cycle": cycle, "at": now}
        )

    def _write(self) -> None:
        """Write every row; steps and scores are copied by the database."""
        if self.held:
            self._add("hold", {key: value for key, value in self.held.items() if key != "like"})
        for table, rows in self.rows.items():
            names = list(rows[0])
            marks = ", ".join(f":{name}" for name in names)
            self.ledger.executemany(f"insert into {table} ({', '.join(names)}) values ({marks})", rows)
        self.ledger.execute("update generation set status = 'retired' where status = 'champion'")
        self.ledger.execute("update generation set status = 'champion' where id = ?", (self.champions[-1],))
        for alias, generation in self.aliases.items():
            self.ledger.execute("insert or replace into alias (name, generation) values (?, ?)", (alias, generation))
        self.ledger.execute("create temp table copy (cycle, like, steps, theirs, mine, parent)")
        self.ledger.executemany("insert into copy values (?, ?, ?, ?, ?, ?)", self.copies)
        self._copy_steps()
        self._copy_scores()

    def _copy_steps(self) -> None:
        names = self._columns("step")
        given = {"cycle": "c.cycle", "position": "case when t.step = 'anchor' then c.mine else t.position end"}
        columns = ", ".join(given.get(name, f"t.{name}") for name in names)
        exam = ", ".join(f"'{name}'" for name in EXAM)
        self.ledger.execute(
            f"insert into step ({', '.join(names)}) select {columns} from copy c join step t on t.cycle = c.like where "
            f"c.steps = 'all' or (c.steps = 'examined' and t.trial = 0 and t.step in ({exam})) or "
            f"(c.steps = 'screened' and t.step not in ({exam})) or "
            f"(c.steps = 'searched' and t.step not in ({exam}, 'screen', 'anchor')) order by c.cycle"
        )

    def _copy_scores(self) -> None:
        """Copy each template's anchor scores to its copies' candidates, its probe scores to the champions diagnosed."""
        names = self._columns("score")
        for split, source, target, where in (
            ("anchor", "printf('g%06d', c.theirs)", "printf('g%06d', c.mine)", "c.steps in ('all', 'screened')"),
            ("probe", "(select parent from cycle where number = c.like)", "c.parent", "c.parent is not null"),
        ):
            given = {"generation": target, "cycle": "c.cycle"}
            columns = ", ".join(given.get(name, f"t.{name}") for name in names)
            self.ledger.execute(
                f"insert or replace into score ({', '.join(names)}) select {columns} from copy c join score t on "
                f"t.generation = {source} and t.split = ? where {where} order by c.cycle",
                (split,),
            )

    def _template(self, number: int) -> _Template:
        where = f"where cycle = {number} order by"
        cycle = self._one(f"select * from cycle where number = {number}")
        generations = self._all(f"select * from generation {where} number")
        trials, spent = (
            self._all(f"select * from trial {where} number"),
            self._one(f"select * from confirmation {where} k"),
        )
        return _Template(number, cycle, generations, trials, spent)

    def _add(self, table: str, row: Row) -> None:
        self.rows.setdefault(table, []).append(row)

    def _columns(self, table: str) -> list[str]:
        return [row["name"] for row in self._all(f"pragma table_info({table})")]

    def _all(self, query: str) -> list[Row]:
        return [dict(row) for row in self.ledger.execute(query)]

    def _one(self, query: str) -> Row:
        return dict(self.ledger.execute(query).fetchone())


def _number(id_: str | None) -> int:
    return int(id_[1:]) if id_ else 0


def _at(value: Any, k: int, promotions: int) -> Any:
    """Return a verdict's numbers with those of the k-th confirmation, opened after so many promotions."""
    if isinstance(value, dict):
        found = {key: _at(entry, k, promotions) for key, entry in value.items()}
        error = level(ALPHA, k, promotions)
        spent = {"k": k, "level": error, "threshold": 1 / error, "promotions": promotions}
        return found | {key: new for key, new in spent.items() if {"k", "level"} <= set(found) and key in found}
    return [_at(entry, k, promotions) for entry in value] if isinstance(value, list) else value


def _decided(verdict: Row, decision: str, code: str, more: Mapping[str, Any]) -> Row:
    """Return a verdict with another decision."""
    numbers = dict(verdict["exam"]["screen"] if decision == "reject" else verdict["exam"]["gain"]) | dict(more)
    kept = ("cells", "protects_nothing", "screen") if decision == "reject" else (*verdict["exam"],)
    exam = {key: value for key, value in verdict["exam"].items() if key in kept}
    return verdict | {"decision": decision, "reasons": [{"code": code, "numbers": numbers}], "exam": exam}


def main(arguments: Sequence[str] | None = None) -> None:
    """Make an aged home in a folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.aged", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cycles", type=int, default=10_000)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    home = young(given.folder)
    ran = time.monotonic()
    age(home, given.cycles)
    took = time.monotonic() - ran
    size = (home.path / "metaevo.db").stat().st_size / 2**20
    print(
        f"{given.folder}: {given.cycles} cycles in {took:.0f} s, {size:.0f} MiB "
        f"({ran - began:.0f} s for the first {REAL})"
    )


if __name__ == "__main__":
    main()
