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
from objectives.types import Environment, Task

Grade = Callable[[str, Sequence[tuple[str, int, str, str | None]]], Sequence[float | None]]
"""(environment, items) -> scores, in the grader pool."""

CONSTANTS = ("0", "1", "yes", "no", "Yes", "True", "A", "zzz", "None", "[]", "{}")
LONG = 10_000
LUCK = 0.7
"""Share of tasks above which one constant answer makes a cell worthless."""
SLOW_S = 0.5
MARK = "metaevo-audit-payload"


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
    began = time.monotonic()
    own = grade(environment.name, [_item(task, None) for task in tasks])
    cost = (time.monotonic() - began) / max(1, len(tasks))
    findings = [
        _own(environment, tasks, own),
        _fails("empty answers fail", environment, tasks, [""], grade),
        _constants(environment, tasks, grade),
        _fails("code payloads fail", environment, tasks[:20], payload, grade),
        Finding(
            "payloads leave nothing behind", not trap.exists(), f"{trap} was written" if trap.exists() else "nothing"
        ),
        _fails("10,000 characters fail", environment, tasks[:10], ["x" * LONG, "1 " * (LONG // 2)], grade),
        _padding(environment, tasks, grade),
        _repeatable(environment, tasks, grade),
        Finding("cost of a call", cost < SLOW_S, f"{1000 * cost:.1f} ms", severe=False),
        Finding("seeds give different tasks", *_different(environment, tasks)),
    ]
    trap.unlink(missing_ok=True)
    return Audit(
        environment.name, tuple(findings), tuple(_cell(environment, level, tasks) for level in environment.levels)
    )


def _item(task: Task, completion: str | None) -> tuple[str, int, str, str | None]:
    return (task.origin, task.level, task.text, completion)


def _payloads(trap: Path) -> list[str]:
    """Return answers that are code which would write this file."""
    touch = f"__import__('os').system('touch {trap}')"
    opened = f"open('{trap}', 'w').write('x')"
    return [touch, f"[{touch}]", f"(lambda: {touch})()", f"1 if {touch} else 0", opened, "9**9**9"]


def _own(environment: Environment, tasks: Sequence[Task], scores: Sequence[float | None]) -> Finding:
    known = [(t, s) for t, s in zip(tasks, scores, strict=True) if t.reference is not None]
    if not known:
        return Finding("its own answers pass", False, "no row names its answer (answer or reference)")
    failed = [task for task, score in known if score is None or score < environment.pass_mark]
    example = f", for example {failed[0].text[:60]!r}" if failed else ""
    return Finding("its own answers pass", not failed, f"{len(known) - len(failed)} of {len(known)}{example}")


def _fails(name: str, environment: Environment, tasks: Sequence[Task], answers: Sequence[str], grade: Grade) -> Finding:
    """Return whether none of these answers passes any task."""
    items = [_item(task, answer) for task in tasks for answer in answers]
    scores = grade(environment.name, items)
    passed = [(i, s) for i, s in enumerate(scores) if s is not None and s >= environment.pass_mark]
    unsaid = sum(score is None for score in scores)
    detail = f"{len(passed)} of {len(items)} passed" + (f", {unsaid} could not be graded" if unsaid else "")
    return Finding(name, not passed, detail)


def _constants(environment: Environment, tasks: Sequence[Task], grade: Grade) -> Finding:
    """Return whether no constant answer is worth giving: the common ones, and the most common reference."""
    common = [answer for answer, _ in Counter(t.reference for t in tasks if t.reference).most_common(2)]
    worst, best = "", 0.0
    for constant in (*CONSTANTS, *common):
        scores = grade(environment.name, [_item(task, constant) for task in tasks])
        share = sum(score is not None and score >= environment.pass_mark for score in scores) / max(1, len(scores))
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
    scores = grade(environment.name, items)
    passed = sum(score is not None and score >= environment.pass_mark for score in scores)
    return Finding("padding and hedging fail", passed == 0, f"{passed} of {len(items)} passed", severe=False)


def _repeatable(environment: Environment, tasks: Sequence[Task], grade: Grade) -> Finding:
    items = [_item(task, None) for task in tasks[:50]] + [_item(task, "zzz") for task in tasks[:20]]
    same = list(grade(environment.name, items)) == list(grade(environment.name, items))
    return Finding("grading is repeatable", same, f"{len(items)} items graded twice")


def _different(environment: Environment, tasks: Sequence[Task]) -> tuple[bool, str]:
    ids = {task.id for task in tasks}
    return len(ids) == len(tasks), f"{len(ids)} different texts in {len(tasks)} tasks"


def _cell(environment: Environment, level: int, tasks: Sequence[Task]) -> CellFacts:
    texts = environment.texts[level]
    splits = {split.value: None if texts is None else texts * share // 100 for split, share in SHARES}
    answers = Counter(str(task.answer) for task in tasks if task.level == level)
    total = sum(answers.values())
    most = max(answers.values(), default=0)
    return CellFacts(level, texts, splits, most / total if total and most > 1 else 0.0)
