"""An operation's data as text for a terminal. Lists become tables, the rest lines; JSON is for machines."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from services.records import JsonSchema
from services.records.audit import OpenedBudget
from services.records.configuration import ConfigCheck, NewHome
from services.records.environments import EnvironmentAudit, EnvironmentName, UsedEnvironment
from services.records.evolution import CyclesRun
from services.records.generations import GenerationDetail, ListedGeneration, RolledBack
from services.records.goals import EditedGoal, Goals
from services.records.health import Doctor, Fsck
from services.records.models import ExportedModel, ModelAnswer, ModelScores
from services.records.modules import (
    AdoptedModule,
    BrokenModule,
    GeneratedDetail,
    ModuleDetail,
    ModuleLine,
    PutAwayModule,
    QuarantinedModule,
)
from services.records.plan import NothingPlanned, Plan
from services.records.recipes import BrokenRecipe, RecipeLine, RecipeRun
from services.records.sandbox import PinnedImage, Tier
from services.records.status import HeldCandidate, LastDecision, Status
from services.records.verbs import Verb
from services.records.why import Why, WhyBase
from services.text.format import counted, reason_words, signed, thousands, written_by

SPLITS = ("train", "probe", "dev", "gate", "anchor", "vault")


def align(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows of values under their columns' names."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(column), *(len(line[i]) for line in cells)) if cells else len(column)
        for i, column in enumerate(columns)
    ]
    lines = ["  ".join(column.ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip()]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value)
    return str(value)


def _generations(rows: list[ListedGeneration]) -> str:
    if rows and rows[0].tree:
        return "\n".join([_tree(rows), *_older(rows)])
    shown = [
        (
            row.id,
            row.status,
            row.parent,
            row.recipe,
            ", ".join(row.objective.cells) if row.objective else "",
            row.verdict.decision if row.verdict else None,
            sum(row.scores.values()) / len(row.scores) if row.scores else None,
        )
        for row in rows
    ]
    columns = ("id", "status", "parent", "recipe", "objective", "verdict", "mean")
    return "\n".join([align(columns, shown), *_older(rows)])


def _older(rows: Sequence[ListedGeneration]) -> list[str]:
    """Return how to see what is older than a page: the base, number 0, is the last of all."""
    if not rows or rows[0].number == 0:
        return []
    return [f"There are older ones: metaevo generations --before {rows[0].id}"]


def _tree(rows: Sequence[ListedGeneration]) -> str:
    children: dict[str | None, list[ListedGeneration]] = {}
    known = {row.id for row in rows}
    for row in rows:
        children.setdefault(row.parent if row.parent in known else None, []).append(row)
    lines, left = list[str](), [(row, 0) for row in reversed(children.get(None, []))]
    while left:  # no recursion: a line may be as long as the run
        row, depth = left.pop()
        lines.append(f"{'   ' * depth}{'└─ ' if depth else ''}{row.id}  {row.status}")
        left += [(child, depth + 1) for child in reversed(children.get(row.id, []))]
    return "\n".join(lines)


def _why(found: Why | WhyBase) -> str:
    return "\n".join(found.lines)


def _held(one: HeldCandidate) -> str:
    about = f"{one.generation} since cycle {one.since_cycle}"
    if one.waits_for == "a person":
        return f"{about}: it waits for a person"
    if one.needed is None or one.nights is None:
        return f"{about}: no number of the items that are left would decide it, the next cycle ends the hold"
    more = f"{about}: about {counted(one.needed, 'more item')}"
    return f"{more}, 1 night" if one.nights <= 1 else f"{more}, more than one cycle asks: the next one ends the hold"


def _status(found: Status) -> str:
    last, objective = found.last_decision, found.objective
    lines = [
        f"State      {found.state} ({found.reason}){', phase ' + found.phase if found.phase else ''}",
        f"Champion   {found.champion or 'none yet'}",
        f"Cycle      {found.cycle}, autonomy {found.autonomy or 'not measured'}, mode {found.mode}",
        f"Objective  {objective.ability}: {', '.join(objective.cells)}" if objective else "Objective  none",
        f"Last       {_last(last)}" if last else "Last       nothing was decided yet",
        f"Goals      {', '.join(found.goals)}",
    ]
    budgets = (("cycles", found.budgets.cycles), ("wall_s", found.budgets.wall_s), ("tokens", found.budgets.tokens))
    for name, amounts in budgets:
        if amounts is not None and amounts[1] is not None:
            lines.append(f"Budget     {name}: {thousands(amounts[0])} of {thousands(amounts[1])}")
    lines += [f"Held       {_held(one)}" for one in found.held]
    lines += [f"Attention  {a.severity}: {a.sentence} ({a.command})" for a in found.attention]
    return "\n".join([*lines, *([] if found.attention else ["Attention  nothing needs you"])])


def _last(last: LastDecision) -> str:
    who = f" {last.candidate}" if last.candidate else ""
    return f"cycle {last.cycle}: {last.outcome}{who}{', ' + last.why if last.why else ''}"


def _goals(found: Goals) -> str:
    columns = ("name", "raise", "now", "low", "high", "n", "target", "state", "smallest_provable_gain")
    goals = [
        (g.name, g.raise_, g.now, g.low, g.high, g.n, g.target, g.state, g.smallest_provable_gain) for g in found.goals
    ]
    rules = [(rule.what, rule.rule, rule.limit, rule.now, rule.state) for rule in found.protected]
    return f"{align(columns, goals)}\n\nprotected\n{align(('what', 'rule', 'limit', 'now', 'state'), rules)}"


def _fsck(found: Fsck) -> str:
    rows = [(c.name, "ok" if c.ok else "WRONG", "; ".join(c.problems[:3])) for c in found.checks]
    return align(("name", "state", "found"), rows)


def _doctor(found: Doctor) -> str:
    return align(("name", "state", "found", "fix"), [(c.name, c.state, c.found, c.fix) for c in found.checks])


def _audit(found: EnvironmentAudit) -> str:
    findings = [(f.name, "ok" if f.ok else "FAILS" if f.severe else "note", f.detail) for f in found.findings]
    cells = [
        (c.level, c.texts or "endless", *(c.splits[split] for split in SPLITS), c.constant, c.provable)
        for c in found.cells
    ]
    model = found.model
    score = (
        f"{model.generation} scores {model.mean:.3f} ({model.low:.3f}…{model.high:.3f}, n {model.n})"
        if model
        else "not measured (no home uses it)"
    )
    return "\n\n".join(
        [
            f"{found.environment} ({found.ability}): {'usable' if found.usable else 'REFUSED'}",
            align(("name", "state", "detail"), findings),
            align(("level", "texts", *SPLITS, "constant", "provable"), cells),
            f"model      {score}",
        ]
    )


def _environments(found: list[EnvironmentName | UsedEnvironment]) -> str:
    rows = [
        (e.name, e.from_, e.used, e.ability, e.levels)
        if isinstance(e, UsedEnvironment)
        else (e.name, e.from_, e.used, None, None)
        for e in found
    ]
    return align(("name", "from", "used", "ability", "levels"), rows)


def _run(done: CyclesRun) -> str:
    decided = done.decided
    head = f"{len(decided)} cycle{'s' if len(decided) != 1 else ''}, champion {done.champion}"
    examined = [cycle.candidate for cycle in decided if cycle.candidate]
    follow = f"metaevo why {examined[-1]}" if examined else "metaevo plan"
    rows = [(cycle.cycle, cycle.outcome, cycle.candidate, cycle.objective, cycle.why) for cycle in decided]
    shown = align(("cycle", "outcome", "candidate", "objective", "why"), rows)
    return f"{head}\n{shown}\nNext: {follow} --home {done.home}"


def _demo(done: CyclesRun) -> str:
    more = ("generations --tree", "status", "ask PROMPT", 'rollback --reason "…"')
    return "\n".join([_run(done), *(f"      metaevo {verb} --home {done.home}" for verb in more)])


def _plan(found: Plan | NothingPlanned) -> str:
    if isinstance(found, NothingPlanned):
        return f"cycle {found.cycle} would do nothing: {found.why}"
    o, s = found.objective, found.search
    first = ", ".join(found.first_recipes)
    forecast = f"{found.forecast_s:.0f} s" if found.forecast_s else "not measured"
    lines = [
        f"Next       cycle {found.cycle} on {found.champion}",
        f"Objective  {o.ability} / {o.direction}: {', '.join(o.cells)}; {o.reason}",
        f"Search     {s.trials} trials, {s.finals} in full, of {s.skeletons} combinations; first {first}",
        f"Exam       {found.exam.screen} items screen, at most {found.exam.confirmation} confirm",
        f"Provable   {100 * found.smallest_provable_gain:.0f} points is the smallest gain one decision can prove",
        f"Forecast   {forecast}",
    ]
    lines += [f"Weakness   {w.where}: {w.name} ({100 * w.share:.0f} % of its errors)" for w in found.weaknesses]
    lines += [f"Ungraded   {said}" for said in found.ungraded]
    lines += [f"Parked     {cell}: {why}" for cell, why in list(found.parked.items())[:5]]
    return "\n".join(lines)


def _show_generation(found: GenerationDetail) -> str:
    head = f"{found.id}  {found.status}  parent {found.parent or 'none'}  recipe {found.recipe or 'none'}"
    lines = [head, *(f"{role}  {digest[:12]}" for role, digest in sorted((found.parts or {}).items()))]
    if found.objective:
        o = found.objective
        lines.append(f"objective  {o.ability} / {o.direction}: {', '.join(o.cells)}")
    if found.answer:
        lines.append(f"answers by {' + '.join(step.use for step in found.answer)}")
    if found.verdict:
        reasons = "; ".join(reason_words(asdict(reason)) for reason in found.verdict.reasons)
        lines.append(f"verdict  {found.verdict.decision}: {reasons}  (`metaevo why {found.id}` explains it)")
    rows = [(cell.cell, cell.split, cell.mean, cell.low, cell.high, cell.n) for cell in found.cells]
    cells = align(("cell", "split", "mean", "low", "high", "n"), rows) if rows else "not measured yet"
    return "\n".join([*lines, cells])


def _export(made: ExportedModel) -> str:
    return f"{made.generation} is in {made.folder}: {len(made.files)} files. Serve it with: {made.serve}"


def _config_check(found: ConfigCheck) -> str:
    if found.ok and found.broken_recipes:
        about = "can be started with, but nothing uses these recipes:"
        return "\n".join([f"{found.file} {about}", *(row.broken for row in found.broken_recipes), *found.warnings])
    if found.ok:
        return "\n".join([f"{found.file} is fine: {', '.join(found.environments)}", *found.warnings])
    return "\n".join([f"{found.file}:", *found.later])


def _init(made: NewHome) -> str:
    protected = "".join(f" Protected: {said}." for said in made.margins)
    settings = f"Not used of the base's generation_config.json: {', '.join(made.unused)}.\n" if made.unused else ""
    return f"{settings}{made.home} is ready: {', '.join(made.environments)}.{protected} Next: {made.next}"


def _recipe_run(run: RecipeRun) -> str:
    about = f"{run.recipe} on {', '.join(run.objective)}"
    if run.failure:
        return f"{about}: failed: {run.failure}"
    gain = f"{signed(run.score)} on dev items, losses elsewhere taken off; {thousands(run.tokens)} tokens"
    lost = [name.removeprefix("kept ") for name, value in run.constraints.items() if value > 0]
    harm = f"; loses too much of {', '.join(lost)}" if lost else ""
    return f"{about}: {run.generation}, {gain}{harm}. It is not served; `metaevo eval {run.generation}`"


def _recipes(found: list[RecipeLine | BrokenRecipe]) -> str:
    rows = [(r.name, r.system, r.arxiv, r.observable) for r in found if isinstance(r, RecipeLine)]
    broken = [f"{row.name} is broken: {row.broken}" for row in found if isinstance(row, BrokenRecipe)]
    return "\n".join([align(("name", "system", "arxiv", "observable"), rows), *broken])


def _modules(found: list[ModuleLine | BrokenModule | PutAwayModule]) -> str:
    rows = [(m.slot, m.name, m.from_, *_of_module(m)) for m in found]
    return align(("slot", "name", "from", "state", "knobs", "summary", "broken"), rows)


def _of_module(line: ModuleLine | BrokenModule | PutAwayModule) -> tuple[object, ...]:
    """Return a module's state, knobs, summary and what is wrong with it, None where nothing is known."""
    if isinstance(line, ModuleLine):
        return line.state, line.knobs, line.summary, line.broken
    return (None, None, None, line.broken) if isinstance(line, BrokenModule) else (line.state, None, line.summary, None)


def _module(found: ModuleDetail | GeneratedDetail) -> str:
    rows = [(knob.name, knob.default, knob.may_be, knob.searched, knob.budget) for knob in found.knobs]
    knobs = align(("name", "default", "may be", "searched", "budget"), rows)
    effects = ", ".join(found.effects) or "nothing"
    head = f"{found.slot}.{found.name} ({found.from_})"
    body = [head, found.doc.strip(), found.returns, f"asks for: {effects}", knobs]
    if isinstance(found, GeneratedDetail):
        body += [written_by(found), found.source.rstrip()]
    return "\n\n".join(part for part in body if part)


def _quarantine(done: QuarantinedModule) -> str:
    marked = ", ".join(done.marked) or "no generation"
    now = f"; {done.champion} is champion again" if done.champion else ""
    return f"{done.module} is quarantined, and with it {marked}{now}"


def _budget(done: OpenedBudget) -> str:
    spent = f"{done.spent} confirmations were spent of the one before"
    return f"error budget {done.budget} is open after {counted(done.epochs, 'epoch')}; {spent}"


def _tiers(tiers: list[Tier]) -> str:
    rows = []
    for tier in tiers:
        wrong = [f"{check.name}: {check.detail}" for check in tier.checks if not check.ok]
        first, *more = wrong or [f"{len(tier.checks)} checks hold"]
        rows += [(tier.backend, "usable" if tier.usable else "REFUSED", first), *(("", "", line) for line in more)]
    return align(("backend", "state", "found"), rows)


def _image(made: PinnedImage) -> str:
    return f"{made.image} is in {made.host} ({made.source}), pinned in {made.lock}. Next: metaevo sandbox check"


def _schema(found: JsonSchema | list[Verb]) -> str:
    if not isinstance(found, list):
        return json.dumps(found, indent=2, ensure_ascii=False)
    return align(("verb", "scope", "does"), [(verb.name, verb.scope, verb.does) for verb in found])


def _rolled_back(done: RolledBack) -> str:
    return f"{done.champion} is champion again; {done.left} and its descendants are quarantined"


def _eval(found: ModelScores) -> str:
    every = [*found.abilities.items(), *found.cells.items()]
    rows = [(what, score.mean, score.low, score.high, score.n) for what, score in every]
    return f"{found.generation}\n{align(('what', 'mean', 'low', 'high', 'n'), rows)}"


def _ask(found: ModelAnswer) -> str:
    return found.answer


def _adopt(done: AdoptedModule) -> str:
    return f"{done.module} is adopted"


def _goal_added(done: EditedGoal) -> str:
    return f"goals.{done.goal} is in {done.file}. Next: metaevo plan"


def _goal_changed(done: EditedGoal) -> str:
    return f"goals.{done.goal} is changed in {done.file}. Next: metaevo plan"


def _goal_removed(done: EditedGoal) -> str:
    return f"goals.{done.goal} is gone from {done.file}"


SHOWN: dict[str, Callable[[Any], str]] = {
    "generations": _generations,
    "show": _show_generation,
    "why": _why,
    "status": _status,
    "goals_list": _goals,
    "fsck": _fsck,
    "doctor": _doctor,
    "environments_check": _audit,
    "environments_list": _environments,
    "modules_list": _modules,
    "modules_show": _module,
    "modules_adopt": _adopt,
    "modules_quarantine": _quarantine,
    "audit_budget": _budget,
    "recipes_list": _recipes,
    "sandbox_check": _tiers,
    "sandbox_build": _image,
    "schema": _schema,
    "run": _run,
    "demo": _demo,
    "plan": _plan,
    "eval": _eval,
    "rollback": _rolled_back,
    "ask": _ask,
    "goals_add": _goal_added,
    "goals_edit": _goal_changed,
    "goals_remove": _goal_removed,
    "config_check": _config_check,
    "export": _export,
    "recipes_run": _recipe_run,
    "init": _init,
}
"""How each operation's result is shown; others are printed as JSON."""
