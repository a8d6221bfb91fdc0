"""The exam a cycle was really put through, read back from its home: what was sealed before, and what was asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlmodel import select

from metaevo.artifacts.bodies import BodyStore
from metaevo.gate.exam import Pairs, Panel
from metaevo.ledger.journal import read_body
from metaevo.ledger.tables import ConfirmationRow, CycleRow, StepRow
from services.home.home import Home

EXAM = ("screen", "confirm", "protect", "guard_cost", "guard_tokens")


@dataclass(frozen=True, slots=True)
class Sealed:
    """One cycle's exam. ``asked`` maps a step to the ids of its items, in order."""

    commitment: str
    levels: tuple[tuple[int, float], ...]
    gate: str
    bar: float
    threshold: float
    protected: tuple[tuple[str, str, float, int], ...]
    """(what, against, limit, n) of every protected line."""
    asked: dict[tuple[str, int], tuple[str, ...]]
    cells: tuple[str, ...]

    def without_what_was_asked(self) -> tuple[Any, ...]:
        """Return all that must not differ between two recipes; how many blocks a gain takes may."""
        return (self.commitment, self.levels, self.gate, self.bar, self.threshold, self.protected, self.cells)


def sealed(folder: Path, cycle: int = 1) -> Sealed:
    """Return the exam of a cycle that came as far as protection."""
    home = Home(folder)
    ledger, shelf = home.ledger(), BodyStore(home.store())
    with ledger.read() as session:
        row = session.get(CycleRow, cycle)
        steps = session.exec(select(StepRow).where(StepRow.cycle == cycle, StepRow.trial == 0)).all()
        levels = [(c.k, c.level) for c in session.exec(select(ConfirmationRow))]
    ledger.close()
    assert row is not None
    assert row.verdict is not None, row.why
    exam = row.verdict["exam"]
    kinds = {"protect": Panel}
    asked = {(s.step, s.position): read_body(s, shelf, kinds.get(s.step, Pairs)).tasks for s in steps if s.step in EXAM}
    lines = [(line["what"], line["against"], line["limit"], line["n"]) for line in exam["kept"]]
    return Sealed(
        row.commitment,
        tuple(levels),
        row.verdict["gate"],
        exam["screen"]["bar"],
        exam["gain"]["threshold"],
        tuple(lines),
        asked,
        tuple(exam["cells"]),
    )
