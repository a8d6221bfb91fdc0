"""Rows into sentences: at most twelve lines, no adjectives, every comparison with interval, limit and n.

What is unknown is "not measured". Every number of a sentence also stands in the data beside it.
"""

from typing import Any

from sqlmodel import col, select

from metaevo.artifacts.bodies import Shelf
from metaevo.diagnose import Diagnosis
from metaevo.errors import BadInput
from metaevo.ledger.journal import body_of
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.lineage import Lineage
from metaevo.ledger.tables import CycleRow, GenerationRow, RecipeRow, StepRow, TrialRow
from metaevo.modules import generated_files
from metaevo.types import Cycle
from objectives.splits import canonical, split_of
from objectives.statistics import wilson
from objectives.types import Split
from services.home import Home
from services.words import per_cent, points, reason_words, signed, thousands, written_by

LABEL = 11
KEYS = ("generation", "weakness", "objective", "method", "gain", "kept", "against", "data", "cost", "undo")
"""What every explanation has, null where there is nothing to say."""


def why_generation(home: Home, which: str | None) -> dict[str, Any]:
    """Return why a generation was promoted, held or rejected; the newest decided one without a name.

    Raises:
        BadInput: There is no such generation, or nothing was decided yet.
    """
    ledger = home.ledger()
    try:
        row = Lineage(ledger).row(which) if which else _latest(ledger)
        if row.parent is None:
            lines = [f"{row.id} is the base model as it was given.", _line("Undo", "nothing to undo")]
            return dict.fromkeys(KEYS) | {"generation": row.id, "status": row.status, "lines": lines}
        with ledger.read() as session:
            cycle = session.get(CycleRow, row.cycle)
        if cycle is None or row.verdict is None:
            raise BadInput(f"{row.id} was never examined: it is an intermediate of cycle {row.cycle}")
        data = _data(home, ledger, row, cycle)
        return data | {"lines": lines_of(data)}
    finally:
        ledger.close()


def _latest(ledger: Ledger) -> GenerationRow:
    with ledger.read() as session:
        query = select(CycleRow).where(CycleRow.candidate.is_not(None)).order_by(col(CycleRow.number).desc())  # type: ignore[union-attr]
        row = session.exec(query).first()
        last = session.exec(select(CycleRow).where(CycleRow.outcome != "open").order_by(col(CycleRow.number).desc()))
        ended = last.first()
    if row is not None and row.candidate is not None:
        return Lineage(ledger).row(row.candidate)
    if ended is None:
        raise BadInput("nothing was decided yet; start with `metaevo run`")
    raise BadInput(f"no generation was examined yet: cycle {ended.number} ended with none, {ended.why}")


def _data(home: Home, ledger: Ledger, row: GenerationRow, cycle: CycleRow) -> dict[str, Any]:
    verdict = row.verdict or {}
    exam = verdict.get("exam", {})
    return {
        "generation": row.id,
        "parent": row.parent,
        "status": row.status,
        "decision": verdict.get("decision"),
        "at": _decided_at(ledger, row, cycle),
        "weakness": _weakness(home, ledger, row, cycle),
        "objective": row.objective,
        "method": _method(ledger, row),
        "written": _written(home, ledger, row),
        "gain": exam.get("gain"),
        "screen": exam.get("screen"),
        "kept": exam.get("kept"),
        "against": row.parent,
        "protects_nothing": exam.get("protects_nothing", False),
        "reasons": verdict.get("reasons", []),
        "data": _rows(home, row),
        "cost": {"tokens": cycle.tokens, "seconds": _seconds(cycle)},
        "undo": f'metaevo rollback --to {row.parent} --reason "…"' if row.status == "champion" else None,
    }


def _decided_at(ledger: Ledger, row: GenerationRow, made: CycleRow) -> str | None:
    """Return when the last verdict on a generation was given: a held one is examined again in later cycles."""
    with ledger.read() as session:
        query = select(CycleRow).where(CycleRow.candidate == row.id).order_by(col(CycleRow.number).desc())
        cycle = session.exec(query).first() or made
    return cycle.closed_at.strftime("%d %b %Y at %H:%M") if cycle.closed_at else None


def _weakness(home: Home, ledger: Ledger, row: GenerationRow, cycle: CycleRow) -> dict[str, Any] | None:
    """Return the named weakness that costs most on the objective's cells, with the cells' scores before."""
    cells = set((row.objective or {}).get("cells", []))
    found = diagnosis(home, ledger, row.cycle)
    if found is None or not cells:
        return None
    looked = [cell for cell in found.cells if str(cell.cell) in cells]
    n = sum(cell.n for cell in looked)
    before = wilson(sum(cell.mean * cell.n for cell in looked), n) if n else None
    places = {cell.partition("/")[0] for cell in cells}
    named = [w for w in found.weaknesses if w.environment in places]
    worst = named[0] if named else None
    return {
        "cells": sorted(cells),
        "before": before._asdict() if before else None,
        "name": worst.name if worst else None,
        "environment": worst.environment if worst else None,
        "share": worst.share if worst else None,
        "example": {"text": e.text, "given": e.given, "expected": e.expected}
        if worst and (e := worst.examples[0])
        else None,
    }


def diagnosis(home: Home, ledger: Ledger, cycle: int) -> Diagnosis | None:
    """Return what a cycle's diagnosis found, None where it has none."""
    with ledger.read() as session:
        query = select(StepRow).where(StepRow.cycle == cycle, StepRow.trial == 0, StepRow.step == "diagnose")
        step = session.exec(query).first()
    if step is None or step.digest is None:
        return None
    return body_of(step, Shelf(home.store()), Diagnosis)  # type: ignore[no-any-return]


def _method(ledger: Ledger, row: GenerationRow) -> dict[str, Any] | None:
    with ledger.read() as session:
        recipe = session.get(RecipeRow, row.recipe) if row.recipe else None
        trials = session.exec(select(TrialRow).where(TrialRow.cycle == row.cycle)).all()
        scored = sorted((t for t in trials if t.score is not None), key=lambda t: -(t.score or 0.0))
        others = [t for t in scored if t.recipe != row.recipe]
        second = session.get(RecipeRow, others[0].recipe) if others else None
    if recipe is None:
        return None
    mine = next((t for t in trials if t.generation == row.id), None)
    return {
        "recipe": recipe.name,
        "modules": recipe.modules,
        "tried": len({t.recipe for t in trials}),
        "dev_gain": mine.score if mine else None,
        "second": second.name if second else None,
        "second_gain": others[0].score if others else None,
    }


def _written(home: Home, ledger: Ledger, row: GenerationRow) -> list[dict[str, Any]]:
    """Return what is kept of every generated module that took part: in the recipe, or as the objective's rule."""
    with ledger.read() as session:
        recipe = session.get(RecipeRow, row.recipe) if row.recipe else None
    rule = f"objective.{(row.objective or {}).get('rule')}"
    used = [*(recipe.modules if recipe else ()), rule]
    known = {made.label: made for made in generated_files.every(home.path)}
    made_of = [known[label] for label in dict.fromkeys(used) if label in known]
    return [made.model_dump(exclude={"seal", "source"}) | {"module": made.label} for made in made_of]


def _rows(home: Home, row: GenerationRow) -> dict[str, Any] | None:
    """Return what the last update was trained on, counted by where the rows came from."""
    if row.data is None:
        return None
    rows = Shelf(home.store()).read(row.data, None)
    replayed = sum("replayed" in r.tags for r in rows)
    tasks = {(r.attempt.task.environment, canonical(r.attempt.task.prompt)) for r in rows if "meta_skill" not in r.tags}
    outside = sum(split_of(env, text) is not Split.TRAIN for env, text in tasks if env != "seed")
    return {"rows": len(rows), "replayed": replayed, "fresh": len(rows) - replayed, "exam_items": outside}


def _seconds(cycle: CycleRow) -> float | None:
    return round((cycle.closed_at - cycle.opened_at).total_seconds(), 1) if cycle.closed_at else None


def lines_of(data: dict[str, Any]) -> list[str]:
    """Return the explanation in lines."""
    lines = [_headline(data), _weak_line(data["weakness"]), _objective_line(data["objective"])]
    lines += [_method_line(data["method"]), _written_line(data["written"])]
    lines += [_gain_line(data), *_reason_lines(data), _kept_line(data)]
    lines += [_data_line(data["data"]), _cost_line(data["cost"])]
    lines.append(_line("Undo", data["undo"] or "nothing to undo: it is not in use"))
    return [line for line in lines if line][:12]


def _line(label: str, text: str) -> str:
    return f"{label:<{LABEL}}{text}"


def _headline(data: dict[str, Any]) -> str:
    done = {"promote": "was promoted", "hold": "was held", "reject": "was rejected"}.get(data["decision"], "was seen")
    after = f" and replaced {data['parent']}" if data["decision"] == "promote" else f"; {data['parent']} stays"
    expected = {"promote": "champion", "hold": "held", "reject": "rejected"}.get(data["decision"])
    now = "" if data["status"] == expected else f" (now {data['status']})"
    return f"{data['generation']} {done} on {data['at']}{after}{now}."


def _weak_line(weak: dict[str, Any] | None) -> str:
    if weak is None:
        return _line("Weakness", "not measured in this cycle")
    b = weak["before"]
    score = f"{b['mean']:.2f} ({b['low']:.2f}…{b['high']:.2f}, n {b['n']})" if b else "not measured"
    text = f"{', '.join(weak['cells'])}: {score}."
    if weak["name"]:
        text += f" {per_cent(weak['share'])} of {weak['environment']} errors: {weak['name']}"
        e = weak["example"]
        given = e["given"].strip() or "(nothing)" if e else ""
        text += f", for example {e['text']} → {given}, right is {e['expected']}." if e else "."
    return _line("Weakness", text)


def _objective_line(objective: dict[str, Any] | None) -> str:
    if objective is None:
        return ""
    kind = f"{objective['ability']} / {objective['direction']}"
    return _line("Objective", f"Raise {kind} there: rule {objective['rule']}, {objective['reason']}.")


def _method_line(method: dict[str, Any] | None) -> str:
    if method is None:
        return ""
    text = f"{method['recipe']}: {' + '.join(m.partition('.')[2] for m in method['modules'])};"
    text += f" best of {method['tried']} recipes, {signed(method['dev_gain'])} on dev items."
    if method["second"] and method["second_gain"] is not None and method["dev_gain"] is not None:
        text += f" Second: {method['second']}, {points(method['dev_gain'] - method['second_gain'])} less."
    return _line("Method", text)


def _written_line(written: list[dict[str, Any]]) -> str:
    return _line("Written", "; ".join(written_by(made) for made in written) + ".") if written else ""


def _gain_line(data: dict[str, Any]) -> str:
    gain = data["gain"]
    if gain is None:
        s = data["screen"] or {}
        if not s:
            return ""
        return _line(
            "Gain", f"{signed(s['mean'])} on the screen of {s['n']} items; {signed(s['bar'])} needed to go on."
        )
    bounds = f"{signed(gain['low'])}…{signed(gain['high'])}"
    kind = "fresh" if gain["test"] == "betting" else "fixed"
    found = f"{signed(gain['mean'])} against {data['against']} ({bounds}, {thousands(gain['n'])} {kind} items"
    if gain["test"] == "betting":
        found += f", e-value {thousands(gain['e_value'])}, needed {thousands(gain['threshold'])}"
    else:
        found += f", exact p {gain['p']:.2g}, needed {gain['level']:.2g}"
    return _line("Gain", f"{found} as the epoch's confirmation number {gain['k']}).")


def _reason_lines(data: dict[str, Any]) -> list[str]:
    if data["decision"] == "promote":
        return []
    return [_line("Reason", reason_words(reason)) for reason in data["reasons"][:2]]


def _kept_line(data: dict[str, Any]) -> str:
    if data["protects_nothing"]:
        return _line("Kept", "nothing is protected: the configuration says so.")
    kept = data["kept"]
    if not kept:
        return _line("Kept", "not measured: the gain was not proven.") if data["decision"] != "promote" else ""
    fine = sum(line["state"] == "kept" for line in kept)
    closest = min(kept, key=lambda line: line["low"] - line["limit"])
    bounds = f"{signed(closest['low'])}…{signed(closest['high'])}, limit {signed(closest['limit'])}"
    bounds += f", n {thousands(closest['n'])}"
    text = f"{fine} of {len(kept)} protections. Closest: {closest['what']} {signed(closest['mean'])} ({bounds})"
    return _line("Kept", f"{text} against {closest['against']}.")


def _data_line(rows: dict[str, Any] | None) -> str:
    if rows is None:
        return ""
    text = f"{thousands(rows['rows'])} rows: {thousands(rows['fresh'])} new, {thousands(rows['replayed'])} replayed."
    exam = "None is an exam item." if not rows["exam_items"] else f"{rows['exam_items']} ARE EXAM ITEMS."
    return _line("Data", f"{text} {exam}")


def _cost_line(cost: dict[str, Any]) -> str:
    seconds = f", {cost['seconds']:.0f} s" if cost["seconds"] is not None else ""
    return _line("Cost", f"{thousands(cost['tokens'])} tokens{seconds} for the cycle.")


def sentence(made: Cycle) -> str:
    """Return one cycle in one line, for progress displays."""
    about = "no objective"
    if made.objective is not None:
        about = f"{made.objective.ability} {', '.join(map(str, made.objective.cells))}"
    elif made.verdict is not None:
        about = f"examined again on {', '.join(made.verdict.exam['cells'])}"
    if made.verdict is None or made.candidate is None:
        return f"cycle {made.number}  {made.outcome.upper()}  {about}: {made.why}"
    gain = made.verdict.exam.get("gain") or made.verdict.exam.get("screen") or {}
    numbers = f"{signed(gain['mean'])} ({signed(gain['low'])}…{signed(gain['high'])}, n {gain['n']})" if gain else ""
    reasons = "; ".join(reason_words({"code": r.code, "numbers": dict(r.numbers)}) for r in made.verdict.reasons[:2])
    tail = "" if made.outcome == "promote" else f": {reasons}"
    return f"cycle {made.number}  {made.outcome.upper()} {made.candidate.id}  {about}  {numbers}{tail}"
