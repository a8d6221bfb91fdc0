"""The audit of an environment before it may be used: can its reward be trusted, and what can be proven with it?

Every check of the field's known failures (reasoning-gym's scorers were the lesson): own answers pass; constants,
empty strings, padding, code payloads and very long answers fail; no substring credit; repeatable; grading leaves no
file behind; what a call costs; what a constant answer scores; how large every cell is.
"""

import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from objectives.splits import SHARES
from objectives.types import Environment, Graded, Task
from objectives.wording import words

Grade = Callable[[str, Sequence[tuple[str, int, str, str | None]]], Sequence[Graded]]
"""(environment, items) -> grades, in the grader pool."""

CONSTANTS = ("0", "1", "yes", "no", "Yes", "True", "A", "zzz", "None", "[]", "{}")
LONG = 10_000
LUCK = 0.7
"""Share of tasks above which one constant answer makes a cell worthless."""
SLOW_S = 0.5
MARK = "metaevo-audit-payload"
CAUSES = 3
"""Distinct causes of failed gradings that a finding names."""
PASSAGE = 24
"""Words in a row that two rows share only where they are about one document or one world."""
TEMPLATE = 0.25
"""Share of the rows from which on a passage belongs to the environment's wording."""
GROUPED = 0.1
"""Share of rows that may share a passage without a group before the environment is refused."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: whether it is fine, and the numbers. A severe one that fails refuses the environment."""

    name: str
    ok: bool
    detail: str
    severe: bool = True


@dataclass(frozen=True, slots=True)
class CellFacts:
    """One cell's size and what a constant answer scores in it."""

    level: int
    texts: int | None
    splits: dict[str, int | None]
    constant: float


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings about one environment."""

    environment: str
    findings: tuple[Finding, ...]
    cells: tuple[CellFacts, ...]

    @property
    def usable(self) -> bool:
        """Return whether no severe check failed."""
        return all(finding.ok for finding in self.findings if finding.severe)


def audit(environment: Environment, tasks: Sequence[Task], grade: Grade) -> Audit:
    """Return the audit of an environment on some of its train tasks."""
    trap = Path(tempfile.gettempdir()) / f"{MARK}-{secrets.token_hex(8)}"
    payload = _payloads(trap)
    grader = _Counting(grade)
    began = time.monotonic()
    own = grader(environment.name, [_item(task, None) for task in tasks])
    cost = (time.monotonic() - began) / max(1, len(tasks))
    findings = [
        _own(environment, tasks, own),
        _fails("empty answers fail", environment, tasks, [""], grader),
        _constants(environment, tasks, grader),
        _fails("code payloads fail", environment, tasks[:20], payload, grader),
        Finding(
            "payloads leave nothing behind", not trap.exists(), f"{trap} was written" if trap.exists() else "nothing"
        ),
        _fails("10,000 characters fail", environment, tasks[:10], ["x" * LONG, "1 " * (LONG // 2)], grader),
        _padding(environment, tasks, grader),
        _repeatable(environment, tasks, own, grader),
        Finding("cost of a call", cost < SLOW_S, f"{1000 * cost:.1f} ms", severe=False),
        Finding("seeds give different tasks", *_different(tasks)),
        _across(tasks),
        _undeclared(tasks),
    ]
    findings.append(grader.finding())
    trap.unlink(missing_ok=True)
    return Audit(
        environment.name, tuple(findings), tuple(_cell(environment, level, tasks) for level in environment.levels)
    )


class _Counting:
    """A grader that remembers why gradings failed, whoever asked."""

    def __init__(self, grade: Grade) -> None:
        self.grade, self.asked = grade, 0
        self.causes: Counter[str] = Counter()

    def __call__(self, environment: str, items: Sequence[tuple[str, int, str, str | None]]) -> Sequence[Graded]:
        """Return the grades."""
        grades = self.grade(environment, items)
        self.asked += len(items)
        self.causes.update(cause(grade) for grade in grades if cause(grade))
        return grades

    def finding(self) -> Finding:
        """Return whether every grading came to an end, with the first distinct causes of those that did not."""
        detail = "; ".join(f"{why} ({count} of {self.asked})" for why, count in self.causes.most_common(CAUSES))
        return Finding("no grading fails", not self.causes, detail or f"{self.asked} gradings")


def cause(grade: Graded) -> str:
    """Return why a grading failed, "" where it did not: a None for an answer that cannot be read is no failure."""
    return grade.note if grade.unsaid is not None else ""


def _item(task: Task, completion: str | None) -> tuple[str, int, str, str | None]:
    return (task.origin, task.level, task.text, completion)


def _payloads(trap: Path) -> list[str]:
    """Return answers that are code which would write this file."""
    touch = f"__import__('os').system('touch {trap}')"
    opened = f"open('{trap}', 'w').write('x')"
    return [touch, f"[{touch}]", f"(lambda: {touch})()", f"1 if {touch} else 0", opened, "9**9**9"]


def _own(environment: Environment, tasks: Sequence[Task], grades: Sequence[Graded]) -> Finding:
    known = [(t, g) for t, g in zip(tasks, grades, strict=True) if t.reference is not None]
    if not known:
        return Finding("its own answers pass", False, "no row names its answer (answer or reference)")
    failed = [(task, g) for task, g in known if g.score is None or g.score < environment.pass_mark]
    causes = Counter(g.note or ("it gave None" if g.score is None else f"it gave {g.score:g}") for _, g in failed)
    said = "; ".join(f"{why} ({count})" for why, count in causes.most_common(CAUSES))
    example = f": {said}, for example {failed[0][0].text[:60]!r}" if failed else ""
    return Finding("its own answers pass", not failed, f"{len(known) - len(failed)} of {len(known)}{example}")


def _fails(name: str, environment: Environment, tasks: Sequence[Task], answers: Sequence[str], grade: Grade) -> Finding:
    """Return whether none of these answers passes any task."""
    items = [_item(task, answer) for task in tasks for answer in answers]
    grades = grade(environment.name, items)
    passed = sum(grade.score is not None and grade.score >= environment.pass_mark for grade in grades)
    unsaid = sum(grade.score is None for grade in grades)
    detail = f"{passed} of {len(items)} passed" + (f", {unsaid} got None where a wrong answer gets 0" if unsaid else "")
    return Finding(name, not passed and not unsaid, detail)


def _constants(environment: Environment, tasks: Sequence[Task], grade: Grade) -> Finding:
    """Return whether no constant answer is worth giving: the common ones, and the most common reference."""
    common = [answer for answer, _ in Counter(t.reference for t in tasks if t.reference).most_common(2)]
    worst, best = "", 0.0
    for constant in (*CONSTANTS, *common):
        grades = grade(environment.name, [_item(task, constant) for task in tasks])
        share = sum(g.score is not None and g.score >= environment.pass_mark for g in grades) / max(1, len(grades))
        if share > best:
            worst, best = constant, share
    return Finding("no constant answer pays", best <= LUCK, f"best: {worst[:20]!r} passes {best:.0%}")


def _padding(environment: Environment, tasks: Sequence[Task], grade: Grade) -> Finding:
    """Return whether hedged answers fail: the right one among wrong ones, and the same one many times."""
    known = [task for task in tasks if task.reference][:30]
    others = [task.reference or "" for task in (*known[1:], *known[:1])]
    items = []
    for task, other in zip(known, others, strict=True):
        right = task.reference or ""
        if other != right:
            items += [_item(task, f"{other} or {right}"), _item(task, " ".join([right] * 50))]
    grades = grade(environment.name, items)
    passed = sum(g.score is not None and g.score >= environment.pass_mark for g in grades)
    return Finding("padding and hedging fail", passed == 0, f"{passed} of {len(items)} passed", severe=False)


def _repeatable(environment: Environment, tasks: Sequence[Task], own: Sequence[Graded], grade: Grade) -> Finding:
    """Return whether the first grading of all says what a later one says, in another order and after other answers."""
    wrong = [_item(task, "zzz") for task in tasks[:20]]
    first = [*own, *grade(environment.name, wrong)]
    items = [*(_item(task, None) for task in tasks), *wrong]
    order = [*range(len(items) - 1, -1, -2), *range(len(items) - 2, -1, -2)]
    later = dict(zip(order, grade(environment.name, [items[i] for i in order]), strict=True))
    changed = sum(first[i].score != later[i].score for i in order)
    return Finding("grading is repeatable", not changed, f"{changed} of {len(items)} items graded otherwise later")


def _undeclared(tasks: Sequence[Task]) -> Finding:
    """Return whether no rows share a world (a document, a map) that they do not name as their ``group``.

    Passages of the environment's own wording, which many rows share, are left out.
    """
    passages: dict[tuple[str, ...], set[int]] = {}
    for place, task in enumerate(tasks):
        said = words(task.text) if task.group is None else []
        for at in range(len(said) - PASSAGE + 1):
            passages.setdefault(tuple(said[at : at + PASSAGE]), set()).add(place)
    most = max(2, int(TEMPLATE * len(tasks)))
    shared = {passage: places for passage, places in passages.items() if 2 <= len(places) <= most}
    grouped = set().union(*shared.values())
    example = f", for example {' '.join(next(iter(shared)))[:80]!r}; give them one `group`" if shared else ""
    detail = f"{len(grouped)} of {len(tasks)} rows share a passage of {PASSAGE} words{example}"
    return Finding("no undeclared groups", len(grouped) <= GROUPED * len(tasks), detail)


def _different(tasks: Sequence[Task]) -> tuple[bool, str]:
    ids = {(task.level, task.id) for task in tasks}
    return len(ids) == len(tasks), f"{len(ids)} different texts in {len(tasks)} tasks"


def _across(tasks: Sequence[Task]) -> Finding:
    """Return whether levels have texts of their own; an exam holds each text once, whatever its level."""
    shared = len(tasks) - len({task.id for task in tasks})
    return Finding("levels differ", not shared, f"{shared} of {len(tasks)} texts stand at two levels", severe=False)


def _cell(environment: Environment, level: int, tasks: Sequence[Task]) -> CellFacts:
    texts = environment.texts[level]
    splits = {split.value: None if texts is None else texts * share // 100 for split, share in SHARES}
    answers = Counter(str(task.answer) for task in tasks if task.level == level)
    total = sum(answers.values())
    most = max(answers.values(), default=0)
    return CellFacts(level, texts, splits, most / total if total and most > 1 else 0.0)
