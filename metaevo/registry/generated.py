"""The host side of generated modules: a kernel's source becomes a module of its slot like any other.

A kernel runs in the sandbox and returns data; here the rows are made plain (`generated_rows`), what comes back is
checked and applied. Nothing of a kernel is imported or parsed in this process, and a kernel sees no answer.

    tasks       rewrite order ask     pose a task anew; which tasks in which order; ask the model, then pose anew
    feedback    score ask             a score in [0, 1]; ask the model, then score
    refinement  keep weight rewrite order ask
    objective   choose                among the open cells it is shown, best first

`ask` has two functions, ``ask(row) -> list[str]`` and ``use(row, replies) -> dict``: between them the host asks the
policy. A kernel that ends in any other way than ok, or gives what its slot cannot have, is the module's failure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from metaevo.effects import Policy, Run
from metaevo.errors import ModuleFailed
from metaevo.history import CellState, History, closed_because, nothing
from metaevo.modules.shared.posing import posed
from metaevo.registry.generated_rows import (
    REWRITES,
    SHAPES,
    attempt_row,
    cell_row,
    cut,
    experience_rows,
    fault_of,
    is_visible,
    task_row,
)
from metaevo.registry.slots import Module, read
from metaevo.traits import Trait
from metaevo.types import Attempt, Attempts, Experience, Experiences, Feedback, Knob, Tasks, Turn, solved
from objectives.types import Json, Message, Objective, Task
from sandbox.types import Kernel, Row

BATCH = 256
"""Rows of one call: the sandbox's deadline is for a call, and how many rows a trial has must not decide it."""


@dataclass(frozen=True, slots=True)
class Code:
    """One kernel's source, where it belongs and what it is called."""

    slot: str
    kind: str
    name: str
    source: str

    @property
    def label(self) -> str:
        """Return ``slot.name``."""
        return f"{self.slot}.{self.name}"

    def apply(self, run: Run, function: str, rows_R: Sequence[Row]) -> list[Json]:
        """Return what one function of the kernel gives for each row, checked.

        Raises:
            ModuleFailed: It failed, or a value is one that the slot cannot have.
            SandboxUnavailable: Infrastructure failed.
        """
        kernel, found = Kernel(self.source, function, SHAPES[function]), list[Json]()
        for first in range(0, len(rows_R), BATCH):
            try:
                found += run(kernel, rows_R[first : first + BATCH])
            except ModuleFailed as error:
                raise ModuleFailed(f"{self.label}: {error}") from error
        for i, (row, value) in enumerate(zip(rows_R, found, strict=True)):
            said = fault_of(self.slot, function, row, value)
            if said is not None:
                raise ModuleFailed(f"{self.label}: {function} of row {i}: {said}")
        return found

    def asked(self, run: Run, policy: Policy, rows: Sequence[Json], temperature: float) -> list[Json]:
        """Return what the kernel makes of each row and the policy's replies to what it asked about it."""
        asks_R = self.apply(run, "ask", [[row] for row in rows])
        prompts = [(Message("user", text),) for texts in asks_R for text in texts]
        made = policy.sample(prompts, n=1, temperature=temperature) if prompts else []
        replies = iter([cut(row[0].text) for row in made])
        return self.apply(run, "use", [[row, [next(replies) for _ in a]] for row, a in zip(rows, asks_R, strict=True)])


def _keep(code: Code) -> Callable[..., object]:
    def keep(experiences_R: Experiences, *, run: Run) -> Experiences:
        """Return the rows that the kernel keeps, and those it may not see."""
        return _refined(code, experiences_R, "keep", run, lambda row, kept: row if kept else None)

    return keep


def _weight(code: Code) -> Callable[..., object]:
    def weight(experiences_R: Experiences, *, run: Run) -> Experiences:
        """Return the rows, their weights multiplied by what the kernel says; those with 0 are left out."""
        return _refined(code, experiences_R, "weight", run, _weighted)

    return weight


def _rewrite(code: Code) -> Callable[..., object]:
    def rewrite(experiences_R: Experiences, *, run: Run) -> Experiences:
        """Return the rows with the solutions that the kernel wrote. What is changed has no feedback and no score:
        the environment's verdict was about another text."""
        return _refined(code, experiences_R, "rewrite", run, lambda row, said: _resolved(code, row, said.get("text")))

    return rewrite


def _ask(code: Code) -> Callable[..., object]:
    def ask(
        experiences_R: Experiences,
        *,
        run: Run,
        policy: Policy,
        temperature: Annotated[float, Knob(0.0, 1.0, least=0.0, most=2.0)] = 0.0,
    ) -> Experiences:
        """Return the rows kept, weighted or rewritten by what the kernel makes of the model's replies."""
        seen = [row for row in experiences_R if is_visible(row.attempt)]
        said_R = code.asked(run, policy, experience_rows(seen), temperature)
        return _put_back(experiences_R, [_used(code, row, said) for row, said in zip(seen, said_R, strict=True)])

    return ask


def _score(code: Code) -> Callable[..., object]:
    def score(attempts_R: Attempts, *, run: Run) -> Experiences:
        """Return one experience per attempt with the kernel's score; those it may not see have none."""
        seen = [attempt for attempt in attempts_R if is_visible(attempt)]
        given = iter(code.apply(run, "score", [attempt_row(attempt) for attempt in seen]))
        return tuple(_judged(a, float(next(given)) if is_visible(a) else None) for a in attempts_R)

    return score


def _ask_score(code: Code) -> Callable[..., object]:
    def ask(
        attempts_R: Attempts,
        *,
        run: Run,
        policy: Policy,
        temperature: Annotated[float, Knob(0.0, 1.0, least=0.0, most=2.0)] = 0.0,
    ) -> Experiences:
        """Return one experience per attempt, scored by what the kernel makes of the model's replies."""
        seen = [attempt for attempt in attempts_R if is_visible(attempt)]
        rows = experience_rows([Experience(attempt) for attempt in seen])
        given = iter(code.asked(run, policy, rows, temperature))
        return tuple(_judged(a, next(given).get("score") if is_visible(a) else None) for a in attempts_R)

    return ask


def _pose(code: Code) -> Callable[..., object]:
    def rewrite(tasks_P: Tasks, *, run: Run, keep_parents: bool = True) -> Tasks:
        """Return the tasks that the kernel posed anew, preceded by the P parents when ``keep_parents``."""
        said_P = code.apply(run, "rewrite", [[task_row(task)] for task in tasks_P])
        return _posed(tasks_P, said_P, keep_parents)

    return rewrite


def _ask_pose(code: Code) -> Callable[..., object]:
    def ask(
        tasks_P: Tasks,
        *,
        run: Run,
        policy: Policy,
        temperature: Annotated[float, Knob(0.0, 1.0, least=0.0, most=2.0)] = 0.7,
        keep_parents: bool = True,
    ) -> Tasks:
        """Return the tasks posed from the model's replies, preceded by the P parents when ``keep_parents``."""
        said_P = code.asked(run, policy, [task_row(task) for task in tasks_P], temperature)
        return _posed(tasks_P, said_P, keep_parents)

    return ask


def _order(code: Code) -> Callable[..., object]:
    def order(tasks_P: Tasks, *, run: Run) -> Tasks:
        """Return the tasks that the kernel names, in its order."""
        if not tasks_P:
            return ()
        (places,) = code.apply(run, "order", [[[task_row(task) for task in tasks_P]]])
        return tuple(tasks_P[i] for i in places)

    return order


def _choose(code: Code) -> Callable[..., object]:
    def choose(history: History, *, run: Run) -> Objective:
        """Return an objective over the open cells that the kernel chose; none where nothing is open."""
        open_ = [cell for cell in history.cells if not closed_because(cell)]
        if not open_:
            return nothing(code.name, history.cells)
        (places,) = code.apply(run, "choose", [[[cell_row(cell) for cell in open_]]])
        chosen = [cell for cell in (open_[i] for i in places) if _kind(cell) == _kind(open_[places[0]])]
        reason = f"kernel {code.name} chose {len(chosen)} of {len(open_)} open cells, first {chosen[0].cell}"
        cells = tuple(sorted(cell.cell for cell in chosen))
        return Objective(chosen[0].ability, chosen[0].direction, cells, reason, code.name)

    return choose


def _order_rows(code: Code) -> Callable[..., object]:
    def order(experiences_R: Experiences, *, run: Run) -> Experiences:
        """Return the rows in the kernel's order; those that it may not see keep their places."""
        seen = [row for row in experiences_R if is_visible(row.attempt)]
        if not seen:
            return experiences_R
        (places,) = code.apply(run, "order", [[experience_rows(seen)]])
        return _put_back(experiences_R, [seen[i] for i in places])

    return order


def _kind(cell: CellState) -> tuple[str, str, bool]:
    """Return what the cells of one objective have in common."""
    return cell.ability, cell.direction.value, cell.finite


def _refined(
    code: Code,
    rows: Experiences,
    function: str,
    run: Run,
    applied: Callable[[Experience, Json], Experience | None],
) -> Experiences:
    seen = [row for row in rows if is_visible(row.attempt)]
    said_R = code.apply(run, function, [[row] for row in experience_rows(seen)])
    return _put_back(rows, [applied(row, said) for row, said in zip(seen, said_R, strict=True)])


def _put_back(rows: Experiences, made: Sequence[Experience | None]) -> Experiences:
    """Return the rows with the visible ones replaced by what became of them; None leaves a row out."""
    each = iter(made)
    found = [next(each) if is_visible(row.attempt) else row for row in rows]
    return tuple(row for row in found if row is not None)


def _weighted(row: Experience, value: float) -> Experience | None:
    return replace(row, weight=row.weight * float(value)) if value > 0 else None


def _resolved(code: Code, row: Experience, text: str | None) -> Experience:
    if text is None or not text.strip() or text == row.attempt.solution.text:
        return row
    attempt = replace(row.attempt, solution=solved((Turn("assistant", text, code.name),)))
    return replace(row, attempt=attempt, feedback=(), score=None, tags=(*row.tags, "rewritten"))


def _used(code: Code, row: Experience, said: Mapping[str, Json]) -> Experience | None:
    if not said.get("keep", True):
        return None
    return _weighted(_resolved(code, row, said.get("text")), said.get("weight", 1.0))


def _judged(attempt: Attempt, score: float | None) -> Experience:
    return Experience(attempt, (Feedback(score, "unknown", "model"),), score)


def _posed(tasks: Tasks, said_P: Sequence[Mapping[str, Json]], keep_parents: bool) -> Tasks:
    """Return new tasks where the text changed. The host looks up their answers and drops what is not a train task."""
    made: list[Task] = []
    for parent, said in zip(tasks, said_P, strict=True):
        text = str(said.get(REWRITES["tasks"], "")).strip()
        if text and text != parent.text:
            made.append(posed(parent, text))
    return (*(tasks if keep_parents else ()), *made)


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of kernel in one slot: its functions, in the order in which they run, and the module around them.

    What a kernel keeps, weighs or writes is not known to be right, so a kind has only the traits that its host side
    guarantees.
    """

    functions: tuple[str, ...]
    wrap: Callable[[Code], Callable[..., object]]
    traits: tuple[Trait, ...] = ()


FORMS: Mapping[tuple[str, str], Form] = {
    ("tasks", "rewrite"): Form(("rewrite",), _pose),
    ("tasks", "order"): Form(("order",), _order),
    ("tasks", "ask"): Form(("ask", "use"), _ask_pose),
    ("feedback", "score"): Form(("score",), _score, (Trait.GIVES_SCORE,)),
    ("feedback", "ask"): Form(("ask", "use"), _ask_score, (Trait.GIVES_SCORE,)),
    ("refinement", "keep"): Form(("keep",), _keep),
    ("refinement", "weight"): Form(("weight",), _weight),
    ("refinement", "rewrite"): Form(("rewrite",), _rewrite),
    ("refinement", "order"): Form(("order",), _order_rows),
    ("refinement", "ask"): Form(("ask", "use"), _ask),
    ("objective", "choose"): Form(("choose",), _choose),
}
"""Every kind of kernel there is, by slot."""


def build(code: Code, path: Path, digest: str, doc: str) -> Module:
    """Return the module that a kernel is."""
    form = FORMS[code.slot, code.kind]
    return replace(read(code.slot, code.name, form.wrap(code), path, digest, form.traits), doc=doc)
