"""One examination: paired items nobody has seen, in an order fixed before the candidate had a name.

Items of endless cells come from a stream seeded by H(secret, cycle); finite cells have one fixed sample, used a
limited number of times. Every block of a confirmation is one journal row, so a killed examination goes on.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from metaevo.artifacts.bodies import BodyStore
from metaevo.artifacts.fingerprint import fingerprint
from metaevo.engines.protocol import Engine
from metaevo.errors import MetaevoError
from metaevo.gate.settings import GateRules
from metaevo.gate.stopping import cell_weights, mean_of_groups
from metaevo.gate.stream import FIXED, Wanted, units
from metaevo.ledger.journal import At, Journal
from metaevo.runtime.answering import examine, measure_mark
from metaevo.runtime.host import Host
from metaevo.types import Generation, Tasks
from objectives.betting import Wealth
from objectives.drawing import Drawn
from objectives.splits import canonical, share
from objectives.types import Cell, Outcome, Report, Split, Task, Unsaid

TURNS = 3
"""How often items are replaced before the rest is left out: replacements may be impossible to grade, too."""
ALL = 1_000_000
"""More rows than any finite cell has."""
SPARE = 16
"""Items drawn beyond those missing: some of them were looked at already."""


class Void(MetaevoError):
    """Too many items could not be graded: the decision is void and promotes nothing."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What two generations did on the same items, in order.

    An item whose row cannot be graded, or whose grader failed, is counted (``nones``) and replaced or left out, for
    both. Any other None is a 0 of the side that got it.
    """

    cells: tuple[Cell, ...]
    differences: tuple[float, ...]
    nones: int
    tokens: tuple[int, int]
    """Sums of tokens, for means: (candidate, parent)."""
    tasks: tuple[str, ...] = ()
    scores: tuple[float, float] = (0.0, 0.0)
    """Sums of the scores: (candidate, parent)."""
    groups: tuple[str, ...] = ()
    """The group of each item, "" where it has none; empty where no item has one."""

    def bets(self) -> tuple[float, ...]:
        """Return one difference a bet: a group's mean where items share a world or a document."""
        return mean_of_groups(self.differences, self.groups) if any(self.groups) else self.differences

    def joined(self, more: "Pairs") -> "Pairs":
        """Return these pairs and further ones."""
        return Pairs(
            cells=self.cells + more.cells,
            differences=self.differences + more.differences,
            nones=self.nones + more.nones,
            tokens=(self.tokens[0] + more.tokens[0], self.tokens[1] + more.tokens[1]),
            tasks=self.tasks + more.tasks,
            scores=(self.scores[0] + more.scores[0], self.scores[1] + more.scores[1]),
            groups=self.groups + more.groups,
        )

    def by_cell(self) -> dict[Cell, tuple[float, ...]]:
        """Return the bets of each cell: one difference an item, or the mean of a group's items there."""
        found: dict[Cell, tuple[list[float], list[str]]] = {}
        groups = self.groups or ("",) * len(self.cells)
        for cell, difference, group in zip(self.cells, self.differences, groups, strict=True):
            differences, named = found.setdefault(cell, ([], []))
            differences.append(difference)
            named.append(group)
        return {cell: mean_of_groups(*both) for cell, both in found.items()}

    def counted(self) -> dict[str, Counter[float]]:
        """Return how often each bet came: of all cells under "", and of each cell under its name."""
        cells = {str(cell): Counter(values) for cell, values in self.by_cell().items()}
        return {"": Counter(self.bets()), **cells}


@dataclass(frozen=True, slots=True)
class Panel:
    """What several generations scored on the same items, in order; items that cannot be graded are left out."""

    cells: tuple[Cell, ...]
    tasks: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]
    """One row a generation."""
    nones: int
    tokens: int


@dataclass(slots=True)
class GateExam:
    """The instruments of one examination."""

    host: Host
    journal: Journal
    engine: Engine
    at: At
    rules: GateRules
    secret: str
    shelf: BodyStore = field(init=False)
    on_items: Callable[[int, int], None] = lambda _done, _most: None
    spares: set[str] = field(default_factory=set)
    """Items that replaced others so far: none is looked at twice."""
    asked: int = 0
    replaced: int = 0
    """Items of the whole decision so far, and how many of them could not be graded."""
    _drawn: dict[Wanted, Drawn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shelf = self.journal.shelf()

    def items(self, cells: Sequence[Cell], cycle: int, n: int, use: str = "gain") -> Tasks:
        """Return ``n`` whole gate items of the cells, taken in turn; gain and protection have streams of their own."""
        each = -(-n // max(1, len(cells)))
        seed = gate_seed(self.secret, cycle, use)
        wanted = [
            (cell.environment, cell.level, Split.GATE, FIXED if self.finite(cell) else seed, 0, each) for cell in cells
        ]
        drawn = self.host.graders.draw_many(wanted)
        return once(interleave([list(found.tasks) for found in drawn], n * max(1, len(cells))))[:n]

    def rows(self, cell: Cell) -> Tasks:
        """Return every row of a finite cell that nothing is trained on, whatever its split: all serve the exam."""
        wanted = [(cell.environment, cell.level, split, FIXED, 0, ALL) for split in Split]
        return once(tuple(task for found in self.host.graders.draw_many(wanted) for task in found.tasks))

    def whole(self, cell: Cell) -> bool:
        """Return whether a cell is protect-only and finite: its exam is a census of all its rows."""
        return self.finite(cell) and not self.host.environments[cell.environment].train

    def units(self, cells: Sequence[Cell], weights: Sequence[float], cycle: int, use: str = "gain") -> Iterator[Tasks]:
        """Yield whole gate items, one bet at a time, their cells drawn at random by the weights; the order is fixed."""
        sized = [(cell, self.texts(cell)) for cell in cells]
        return units(self._draw, sized, weights, gate_seed(self.secret, cycle, use))

    def _draw(self, wanted: Wanted) -> Drawn:
        """Return what a draw gives: the screen's items come again where the confirmation passes over them."""
        if wanted not in self._drawn:
            (self._drawn[wanted],) = self.host.graders.draw_many([wanted])
        return self._drawn[wanted]

    def weights(self, cells: Sequence[Cell]) -> tuple[float, ...]:
        """Return the share of items of each cell: no finite one is to run dry before the limit."""
        sizes = [self.texts(cell) for cell in cells]
        unread = [None if n is None else int(n * share(Split.GATE)) for n in sizes]
        return cell_weights(unread, self.rules.screen_items + self.rules.max_items)

    def check_gradable(self, limit: float) -> None:
        """Refuse to decide where too many items of the whole decision could not be graded.

        Raises:
            Void: More than this share of them.
        """
        if self.replaced > limit * self.asked:
            raise Void(f"{self.replaced} of {self.asked} items could not be graded, more than {limit:.1%}")

    def finite(self, cell: Cell) -> bool:
        """Return whether a cell has a fixed sample."""
        return self.texts(cell) is not None

    def texts(self, cell: Cell) -> int | None:
        """Return how many texts a finite cell has, None where it is endless."""
        return self.host.environments[cell.environment].texts[cell.level]

    def marks(self, cell: Cell) -> tuple[str, ...]:
        """Return what a finite cell's fixed sample is known by under any name."""
        return self.host.environments[cell.environment].marks.get(cell.level, ())

    def pairs(self, step: str, position: int, candidate: Generation, parent: Generation, tasks: Tasks) -> Pairs:
        """Return the paired outcomes on these items, as one journalled step.

        An item of an endless cell that cannot be graded is replaced by the next one of its cell.

        Raises:
            Void: More could not be graded than a whole decision may have.
        """
        fresh = tuple(task for task in tasks if task.id not in self.spares)
        marks = (measure_mark(self.host, candidate, fresh), measure_mark(self.host, parent, fresh))
        mark = fingerprint(marks, self.rules.hash)

        def run() -> Pairs:
            made = self._asked(candidate, parent, fresh)
            for turn in range(TURNS):
                spare = self._spare(f"spare/{step}/{position}/{turn}", tasks, made)
                if not spare:
                    break
                made = made.joined(self._asked(candidate, parent, spare))
            return made

        found = self.journal.step(self.at.key(step, position), mark, run, kind=Pairs, shelf=self.shelf, counts=_counts)
        self.spares |= set(found.tasks) - {task.id for task in tasks}
        self._count(len(tasks), found.nones)
        return found

    def panel(self, step: str, position: int, generations: Sequence[Generation], tasks: Tasks) -> Panel:
        """Return what several generations did on the same items, each asked once, as one journalled step.

        Raises:
            Void: More could not be graded than a whole decision may have.
        """
        marks = [measure_mark(self.host, generation, tasks) for generation in generations]

        def run() -> Panel:
            first, *rest = generations  # they answer side by side where there are two engines
            other, host = self.host.engines[-1], self.host
            with ThreadPoolExecutor(1) as threads:
                later = [threads.submit(examine, host, other, one, tasks, Split.GATE) for one in rest]
                if other is self.engine:
                    _ = [one.result() for one in later]
                reports = [examine(host, self.engine, first, tasks, Split.GATE), *(one.result() for one in later)]
            return panel(tasks, [report for report, _ in reports], sum(tokens for _, tokens in reports))

        key = self.at.key(step, position)
        mark = fingerprint(marks, self.rules.hash)
        found = self.journal.step(key, mark, run, kind=Panel, shelf=self.shelf, counts=_panel_counts)
        self._count(len(tasks), found.nones)
        return found

    def _count(self, asked: int, replaced: int) -> None:
        """Count what could not be graded, and end early where the whole decision cannot come to a verdict any more."""
        self.asked, self.replaced = self.asked + asked, self.replaced + replaced
        if self.replaced > self.rules.none_share * (self.rules.screen_items + self.rules.max_items):
            raise Void(f"{self.replaced} items could not be graded, more than any decision may have")

    def _asked(self, candidate: Generation, parent: Generation, tasks: Tasks) -> Pairs:
        """Return what the two do on these items; they answer side by side where there are two engines."""
        other = self.host.engines[-1]
        with ThreadPoolExecutor(1) as threads:
            old = (
                threads.submit(examine, self.host, other, parent, tasks, Split.GATE)
                if other is not self.engine
                else None
            )
            new, spent = examine(self.host, self.engine, candidate, tasks, Split.GATE)
            before, used = old.result() if old else examine(self.host, self.engine, parent, tasks, Split.GATE)
        return pair(tasks, new, before, (spent, used))

    def _spare(self, use: str, tasks: Tasks, found: Pairs) -> Tasks:
        """Return items to replace the missing ones, of a stream of their own; a group is not replaced by one item."""
        if any(task.group for task in tasks) or 2 * found.nones > len(tasks):
            return ()
        missing = Counter(task.cell for task in tasks) - Counter(found.cells)
        taken = {task.id for task in tasks} | self.spares | set(found.tasks)
        spare: list[Task] = []
        for cell, n in missing.items():
            if not self.finite(cell):
                drawn = self.items((cell,), self.at.cycle, n + SPARE, use)
                spare += [task for task in drawn if task.id not in taken][:n]
        return tuple(spare)


def gate_seed(secret: str, cycle: int, use: str = "gain") -> int:
    """Return H(secret, cycle): what the exam items of a cycle are drawn from. 48 bits."""
    text = f"{use}/{cycle}".encode()
    return int.from_bytes(hashlib.blake2b(text, key=secret.encode()[:64], digest_size=6).digest(), "big")


def commitment(secret: str, cycle: int) -> str:
    """Return a hash of the cycle's exam seed, written before anything is trained: nobody can choose it afterwards."""
    return fingerprint("commitment", gate_seed(secret, cycle))


def once(tasks: Tasks) -> Tasks:
    """Return the items whose text none before them has: an exam holds each text once, also across cells."""
    first: dict[str, Task] = {}
    for task in tasks:
        first.setdefault(canonical(task.prompt), task)
    return tuple(first.values())


def interleave(lists: Sequence[list[Task]], n: int) -> Tasks:
    """Return up to ``n`` items, one of each list in turn; the order of a test is fixed by this."""
    taken: list[Task] = []
    for row in range(max((len(items) for items in lists), default=0)):
        taken += [items[row] for items in lists if row < len(items)]
    return tuple(taken[:n])


def pair(tasks: Tasks, new: Report, old: Report, tokens: tuple[int, int]) -> Pairs:
    """Return the paired differences of two reports on the same items."""
    cells, differences, used, groups, sums = [], [], [], [], [0.0, 0.0]
    for task, a, b in zip(tasks, new.outcomes, old.outcomes, strict=True):
        if Unsaid.ROW in (a.unsaid, b.unsaid):
            continue
        ours, theirs = _said(a), _said(b)
        cells.append(task.cell)
        differences.append(ours - theirs)
        used.append(task.id)
        groups.append(task.group or "")
        sums[0] += ours
        sums[1] += theirs
    return Pairs(
        cells=tuple(cells),
        differences=tuple(differences),
        nones=len(tasks) - len(cells),
        tokens=tokens,
        tasks=tuple(used),
        scores=(sums[0], sums[1]),
        groups=tuple(groups) if any(groups) else (),
    )


def panel(tasks: Tasks, reports: Sequence[Report], tokens: int) -> Panel:
    """Return the scores of several reports on the same items."""
    kept: list[tuple[Task, tuple[float, ...]]] = []
    for task, *outcomes in zip(tasks, *(report.outcomes for report in reports), strict=True):
        if not any(outcome.unsaid is Unsaid.ROW for outcome in outcomes):
            kept.append((task, tuple(_said(outcome) for outcome in outcomes)))
    return Panel(
        cells=tuple(task.cell for task, _ in kept),
        tasks=tuple(task.id for task, _ in kept),
        scores=tuple(tuple(scores[i] for _, scores in kept) for i in range(len(reports))),
        nones=len(tasks) - len(kept),
        tokens=tokens,
    )


def _said(outcome: Outcome) -> float:
    """Return an outcome's score: an answer that only itself made unreadable is wrong."""
    return 0.0 if outcome.score is None else outcome.score


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Where a confirmation stands: its wealth, its place in the item order, and whether it proved the gain.

    ``futile`` says that no gain is in sight: it ended, and is not held. ``seen`` is how often each bet came so far, as
    `Pairs.counted` has it.
    """

    wealth: Wealth
    place: int
    proven: bool
    p_value: float | None = None
    futile: bool = False
    seen: Mapping[str, Counter[float]] = field(default_factory=dict)


def _counts(pairs: Pairs) -> dict[str, int]:
    return {"items": len(pairs.differences), "nones": pairs.nones}


def _panel_counts(found: Panel) -> dict[str, int]:
    return {"items": len(found.tasks), "nones": found.nones}
