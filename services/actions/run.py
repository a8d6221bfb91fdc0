"""Run evolution in the foreground: the demo, `run`, and what the next cycle would do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from metaevo.errors import BadInput
from metaevo.evolution.loop import Budget, Evolution
from metaevo.evolution.outcome import Cycle
from metaevo.ledger.queries import total_spent
from services.home.home import Home
from services.home.open import App, open_home
from services.records.evolution import CyclesRun, DecidedCycle
from services.text.progress import Progress

EXAMPLES = (
    Path(__file__).resolve().parents[2] / "deploy" / "examples",
    Path(sys.prefix) / "share" / "metaevo" / "examples",
)


def run_demo(home: Home, seed: int) -> CyclesRun:
    """Run the demo in its own home: `deploy/examples/demo.toml` and nothing else.

    Raises:
        BadInput: A home with another configuration is there already.
    """
    text = demo_text(seed)
    if not home.config_path.exists():
        home.create(text)
    elif home.text != text:
        raise BadInput(home.config_path, "another home is here", "give --home another folder, or use `metaevo run`")
    return run_cycles(home, None)


def demo_text(seed: int) -> str:
    """Return demo.toml with its seed."""
    for folder in EXAMPLES:
        path = folder / "demo.toml"
        if path.is_file():
            return path.read_text(encoding="utf-8").replace("seed = 1\n", f"seed = {seed}\n", 1)
    raise BadInput("", "demo.toml is not installed", "reinstall metaevo")


def run_cycles(home: Home, cycles: int | None) -> CyclesRun:
    """Run cycles until the budget is spent; return what was decided."""
    if cycles is not None and cycles < 1:
        raise BadInput("--cycles", "", "want at least 1", given=cycles)
    progress = Progress()
    with progress, open_home(home, on_ready=lambda _: progress.starting(), audits=True) as app:
        budget = budget_left(app, cycles)
        with drive(app, progress) as evolution:
            done = evolution.run(budget)
        decided, champion = tuple(summary(made) for made in done), app.host.lineage.alias("champion")
        return CyclesRun(home=str(home.path), decided=decided, champion=champion, **asdict(total_spent(app.ledger)))


@contextmanager
def drive(app: App, progress: Progress) -> Iterator[Evolution]:
    """Yield the home's evolution wired to a progress display; its helpers end with the block."""
    evolution = app.evolution()
    evolution.on_phase = progress.phase
    evolution.on_count = progress.count
    evolution.on_cycle = progress.cycle
    try:
        yield evolution
    finally:
        evolution.sampler.close()


def budget_left(app: App, cycles: int | None) -> Budget:
    """Return what is left of the home's total budget, or of what was asked for.

    Raises:
        BadInput: The budget is spent.
    """
    total, used = app.config.budget.total, total_spent(app.ledger)
    most = total.cycles - used.cycles if total.cycles is not None else None
    wall = total.wall_clock - used.wall_s if total.wall_clock is not None else None
    tokens = total.tokens - used.tokens if total.tokens is not None else None
    for name, amount in (("cycles", most), ("wall_clock", wall), ("tokens", tokens)):
        if amount is not None and amount <= 0:
            raise BadInput(f"metaevo.toml: budget.total.{name}", f"is spent ({asdict(used)})", "raise it to go on")
    wanted = min((n for n in (most, cycles) if n is not None), default=None)
    return Budget(wanted, wall, tokens)


def summary(made: Cycle) -> DecidedCycle:
    """Return one cycle in a line's worth of data."""
    return DecidedCycle(
        cycle=made.number,
        outcome=made.outcome,
        candidate=made.candidate.id if made.candidate else None,
        objective=_cells(made),
        why=made.why,
    )


def _cells(made: Cycle) -> tuple[str, ...] | None:
    if made.objective is not None:
        return tuple(str(cell) for cell in made.objective.cells)
    return made.verdict.evidence.cells if made.verdict is not None else None
