"""Records into sentences: at most twelve lines, no adjectives, every comparison with interval, limit and n.

What is unknown is "not measured". Every number of a sentence also stands in the data beside it.
"""

from collections.abc import Sequence
from dataclasses import asdict

from metaevo.evolution.outcome import Cycle
from services.records.generations import KeptFound, PursuedObjective
from services.records.modules import WrittenModule
from services.records.why import CycleCost, MethodUsed, RowsUsed, ToldFound, WeaknessFound, Why
from services.text.format import per_cent, points, reason_words, signed, thousands, written_by

LABEL = 11
DONE = {"promote": "was promoted", "hold": "was held", "reject": "was rejected"}
EXPECTED = {"promote": "champion", "hold": "held", "reject": "rejected"}


def base_lines(id_: str) -> list[str]:
    """Return the explanation of the base."""
    return [f"{id_} is the base model as it was given.", _line("Undo", "nothing to undo")]


def lines_of(why: Why) -> list[str]:
    """Return the explanation in lines."""
    lines = [_headline(why), _weak_line(why.weakness), _objective_line(why.objective)]
    lines += [_method_line(why.method), _written_line(why.written)]
    lines += [_gain_line(why), _claim_line(why), *_reason_lines(why), _kept_line(why)]
    lines += [_data_line(why.data), _cost_line(why.cost)]
    lines.append(_line("Undo", why.undo or "nothing to undo: it is not in use"))
    return [line for line in lines if line][:12]


def _line(label: str, text: str) -> str:
    return f"{label:<{LABEL}}{text}"


def _headline(why: Why) -> str:
    after = f" and replaced {why.parent}" if why.decision == "promote" else f"; {why.parent} stays"
    now = "" if why.status == EXPECTED.get(why.decision) else f" (now {why.status})"
    return f"{why.generation} {DONE.get(why.decision, 'was seen')} on {why.at}{after}{now}."


def _weak_line(weak: WeaknessFound | None) -> str:
    if weak is None:
        return _line("Weakness", "not measured in this cycle")
    b = weak.before
    score = f"{b.mean:.2f} ({b.low:.2f}…{b.high:.2f}, n {b.n})" if b else "not measured"
    text = f"{', '.join(weak.cells)}: {score}."
    if weak.name is not None and weak.share is not None:
        text += f" {per_cent(weak.share)} of {weak.environment} errors: {weak.name}"
        e = weak.example
        given = e.given.strip() or "(nothing)" if e else ""
        text += f", for example {e.text} → {given}, right is {e.expected}." if e else "."
    return _line("Weakness", text)


def _objective_line(objective: PursuedObjective | None) -> str:
    if objective is None:
        return ""
    kind = f"{objective.ability} / {objective.direction}"
    return _line("Objective", f"Raise {kind} there: rule {objective.rule}, {objective.reason}.")


def _method_line(method: MethodUsed | None) -> str:
    if method is None:
        return ""
    text = f"{method.recipe}: {' + '.join(m.partition('.')[2] for m in method.modules)};"
    text += f" best of {method.tried} recipes, {signed(method.dev_gain)} on dev items."
    if method.second and method.second_gain is not None and method.dev_gain is not None:
        text += f" Second: {method.second}, {points(method.dev_gain - method.second_gain)} less."
    return _line("Method", text)


def _written_line(written: Sequence[WrittenModule]) -> str:
    return _line("Written", "; ".join(written_by(made) for made in written) + ".") if written else ""


def _gain_line(why: Why) -> str:
    gain, screen = why.gain, why.screen
    if gain is None:
        if screen is None:
            return ""
        found = f"{signed(screen.mean)} on the screen of {screen.n} items"
        return _line("Gain", f"{found}; {signed(screen.bar)} needed to go on.{_seen(why)}{_drawn(why)}")
    number = f"the home's confirmation number {gain.k} after {gain.promotions} promotions"
    needed = f"exact p {gain.p:.2g}, needed {gain.level:.2g}" if gain.p is not None else ""
    if gain.e_value is not None:
        needed = f"e-value {thousands(gain.e_value)}, needed {thousands(gain.threshold)}"
    told = why.told or gain
    kind = {"fresh items": "fresh items", "confidence sequence": "fixed items"}.get(told.test, "items")
    bounds = f"{signed(told.low)}…{signed(told.high)}, {thousands(told.n)} {kind}"
    found = f"{signed(told.mean)} against {why.against} ({bounds}; {needed} as {number})"
    return _line("Gain", f"{found}{_cells_told(why.told) if why.told else ''}.{_seen(why)}{_drawn(why)}")


def _seen(why: Why) -> str:
    found = why.seen_items
    if found is None or not found.exams:
        return ""
    last = "the exam" if found.exams == 1 else f"the last {found.exams} exams"
    of = f"its {thousands(found.of)} exam items" if found.of > 1 else "its one exam item"
    many = f"{thousands(found.seen)} of {of}" if found.seen else f"None of {of}"
    return f" {many} {'were' if found.seen > 1 else 'was'} asked in {last} before."


def _drawn(why: Why) -> str:
    return "" if why.secret_seed is None else f" Items drawn from [gate] secret_seed = {why.secret_seed}."


def _cells_told(told: ToldFound) -> str:
    """Return each cell beside the whole, where there are several."""
    each = [
        f"{cell} {signed(found.mean)} ({signed(found.low)}…{signed(found.high)})" for cell, found in told.cells.items()
    ]
    return f"; {', '.join(each)}" if len(each) > 1 else ""


def _claim_line(why: Why) -> str:
    """Return what the home's promotions are worth as a whole, beside how often its accounts began anew."""
    if why.decision != "promote" or why.gain is None:
        return ""
    most = why.claim
    if why.gain.budget < most.budgets:
        said = f"none any more: promoted under error budget {why.gain.budget}, and a person opened"
        return _line("Claim", f"{said} number {most.budgets}; the home's claim is about what was promoted since.")
    share = "one in twenty" if abs(most.alpha - 0.05) < 1e-9 else f"{most.alpha:.3g}"
    text = f"the expected share of false promotions over this home's life is at most {share}"
    return _line("Claim", f"{text} (error budgets: {most.budgets}, epochs: {most.epochs}).")


def _reason_lines(why: Why) -> list[str]:
    if why.decision == "promote":
        return []
    return [_line("Reason", reason_words(asdict(reason))) for reason in why.reasons[:2]]


def _kept_line(why: Why) -> str:
    if why.protects_nothing:
        return _line("Kept", "nothing is protected: the configuration says so.")
    if not why.kept:
        return _line("Kept", "not measured: the gain was not proven.") if why.decision != "promote" else ""
    fine = sum(line.state == "kept" for line in why.kept)
    closest: KeptFound = min(why.kept, key=lambda line: line.low - line.limit)
    bounds = f"{signed(closest.low)}…{signed(closest.high)}, limit {signed(closest.limit)}, n {thousands(closest.n)}"
    text = f"{fine} of {len(why.kept)} protections. Closest: {closest.what} {signed(closest.mean)} ({bounds})"
    odds = f" At a loss of the limit one decision in {closest.odds:.0f} passes at most." if closest.odds else ""
    return _line("Kept", f"{text} against {closest.against}.{odds}")


def _data_line(rows: RowsUsed | None) -> str:
    if rows is None:
        return ""
    text = f"{thousands(rows.rows)} rows: {thousands(rows.fresh)} new, {thousands(rows.replayed)} replayed."
    if rows.exam_items is not None:
        text += f" {rows.exam_items} ARE EXAM ITEMS." if rows.exam_items else " None is an exam item."
    if rows.refused:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(rows.refused.items()))
        text += f" {thousands(sum(rows.refused.values()))} were kept out: {reasons}."
    if not rows.sealed:
        text += " Not sealed: texts were split otherwise when it was trained."
    return _line("Data", text)


def _cost_line(cost: CycleCost) -> str:
    seconds = f", {cost.seconds:.0f} s" if cost.seconds is not None else ""
    meters = ((cost.prompt, "read"), (cost.generated, "written"), (cost.trained, "in training"))
    parts = ", ".join(f"{thousands(count)} {how}" for count, how in meters if count is not None)
    return _line("Cost", f"{thousands(cost.tokens)} tokens{f' ({parts})' if parts else ''}{seconds} for the cycle.")


def sentence(made: Cycle) -> str:
    """Return one cycle in one line, for progress displays."""
    about = "no objective"
    if made.objective is not None:
        about = f"{made.objective.ability} {', '.join(map(str, made.objective.cells))}"
    elif made.verdict is not None:
        about = f"examined again on {', '.join(made.verdict.evidence.cells)}"
    if made.verdict is None or made.candidate is None:
        return f"cycle {made.number}  {made.outcome.upper()}  {about}: {made.why}"
    found = made.verdict.evidence
    gain = found.told or found.gain or found.screen  # what `why` tells of it, too
    numbers = f"{signed(gain.mean)} ({signed(gain.low)}…{signed(gain.high)}, n {gain.n})" if gain else ""
    reasons = "; ".join(reason_words(reason.as_data()) for reason in made.verdict.reasons[:2])
    tail = "" if made.outcome == "promote" else f": {reasons}"
    return f"cycle {made.number}  {made.outcome.upper()} {made.candidate.id}  {about}  {numbers}{tail}"
