"""An exam whose outcomes are drawn, for whole verdicts: a gain in every cell, what both answer, and the tokens."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

from metaevo.artifacts.store import Store
from metaevo.gate.exam import Confirmed, GateExam, Pairs, Panel
from metaevo.gate.gain import Question, confirm
from metaevo.gate.settings import GateRules
from metaevo.gate.stopping import cell_weights
from metaevo.ledger.journal import At, Journal
from metaevo.ledger.ledger import Ledger, open_ledger
from metaevo.types import Completion, Generation
from objectives.types import Cell, Task
from tests.metaevo.gate.drawn import NEW, OLD, tasks_of

AIM, SIDE, OTHER, SMALL = Cell("addition", 5), Cell("addition", 2), Cell("sorting", 4), Cell("sorting", 1)
TASKS = {cell: tasks_of(cell, 16_000) for cell in (AIM, SIDE, OTHER, SMALL)}
ASK = Question(NEW, OLD, (AIM,), (1.0,), 4)


@dataclass
class Ground:
    """What a verdict needs of a host: the error ledger and the candidate's manifest."""

    ledger: Ledger
    store: Store
    evaluator: str = "evaluator"


def grounded(folder: Path) -> Ground:
    """Return a new ledger and a new store."""
    return Ground(open_ledger(folder / "metaevo.db", create=True), Store(folder / "artifacts"))


@dataclass
class SimulatedExam:
    """An exam whose outcomes are drawn: per cell a true gain, and how often two generations differ at all."""

    rng: Random
    gains: dict[Cell, float] = field(default_factory=dict)
    rules: GateRules = field(default_factory=GateRules)
    host: Any = None
    at: At = field(default_factory=lambda: At(4))
    discordant: float = 0.2
    skill: float = 1.0
    token_ratio: float = 1.0
    answers: tuple[Completion, ...] = (Completion("42", 1, -0.5),)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    @property
    def engine(self) -> "SimulatedExam":
        return self

    @property
    def journal(self) -> Journal:
        return Journal(self.host.ledger, self.host.store, seed=1)

    def probe(self, _generation: Generation) -> tuple[Completion, ...]:
        return self.answers

    def on_items(self, _done: int, _most: int) -> None:
        return

    def finite(self, cell: Cell) -> bool:
        return cell == SMALL

    def marks(self, _cell: Cell) -> tuple[str, ...]:
        return ()

    def texts(self, cell: Cell) -> int | None:
        return 1200 if cell == SMALL else None

    def weights(self, cells: Sequence[Cell]) -> tuple[float, ...]:
        return cell_weights([self.texts(cell) for cell in cells], self.rules.max_items)

    def units(
        self, cells: Sequence[Cell], weights: Sequence[float], _cycle: int, use: str = "gain"
    ) -> Iterator[tuple[Task, ...]]:
        """Yield items one by one, told ones from the other end, so that none is seen twice."""
        rng = Random(len(use))
        left = {
            cell: iter(TASKS[cell][: 120 if cell == SMALL else None][:: 1 if use == "gain" else -1]) for cell in cells
        }
        while (task := next(left[rng.choices(cells, weights)[0]], None)) is not None:
            yield (task,)

    def check_gradable(self, _limit: float) -> None:
        return

    def items(self, cells: Sequence[Cell], _cycle: int, n: int, _use: str = "gain") -> tuple[Task, ...]:
        if cells[0] == SMALL:
            return TASKS[SMALL][:120]
        each = min(-(-n // len(cells)), 16_000)
        return tuple(task for row in zip(*(TASKS[c][:each] for c in cells), strict=True) for task in row)[:n]

    def whole(self, _cell: Cell) -> bool:
        return False

    def panel(self, step: str, _position: int, generations: Sequence[Generation], tasks: tuple[Task, ...]) -> Panel:
        cells, drawn = self._asked(step, tasks)
        mine, theirs = tuple(a for a, _ in drawn), tuple(b for _, b in drawn)
        return Panel(cells, tuple(task.id for task in tasks), (mine, *(theirs for _ in generations[1:])), 0, 0)

    def pairs(self, step: str, _position: int, _new: Generation, _old: Generation, tasks: tuple[Task, ...]) -> Pairs:
        cells, drawn = self._asked(step, tasks)
        tokens = (round(100 * self.token_ratio * len(tasks)), 100 * len(tasks))
        right = (sum(a for a, _ in drawn), sum(b for _, b in drawn))
        return Pairs(cells, tuple(a - b for a, b in drawn), 0, tokens, (), right)

    def _asked(self, step: str, tasks: Sequence[Task]) -> tuple[tuple[Cell, ...], list[tuple[float, float]]]:
        """Return each item's cell and what both generations make of it."""
        self.asked.append((step, tuple(task.id for task in tasks)))
        cells = tuple(task.cell for task in tasks)
        drawn = {cell: iter(self._drawn(cell, times)) for cell, times in Counter(cells).items()}
        return cells, [next(drawn[cell]) for cell in cells]

    def _drawn(self, cell: Cell, times: int) -> list[tuple[float, float]]:
        gain = self.gains.get(cell, 0.0)
        share = max(self.discordant, abs(gain))
        shares = ((share + gain) / 2, (share - gain) / 2, (1 - share) * self.skill, (1 - share) * (1 - self.skill))
        return self.rng.choices(((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)), shares, k=times)


def proven(exam: SimulatedExam, error: float) -> Confirmed:
    """Return the confirmation of the one question at this level."""
    return confirm(cast(GateExam, exam), ASK, error)
