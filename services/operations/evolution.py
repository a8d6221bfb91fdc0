"""Evolve: demo, run, plan, status."""

from typing import Annotated

from services.home.home import Home
from services.operations import operation
from services.parameters import Option
from services.records.evolution import CyclesRun
from services.records.plan import NothingPlanned, Plan
from services.records.status import Status


@operation("operate")
def demo(home: Home, *, seed: Annotated[int, Option("another run, repeatable")] = 1) -> CyclesRun:
    """Watch a small model find its own weaknesses and improve: no GPU, no key, no download, ten minutes."""
    from services.actions.run import run_demo

    return run_demo(home, seed)


@operation("operate")
def run(
    home: Home, *, cycles: Annotated[int | None, Option("how many at most (default: as the budget allows)")] = None
) -> CyclesRun:
    """Run cycles in the foreground until the budget is spent or nothing is left to raise."""
    from services.actions.run import run_cycles

    return run_cycles(home, cycles)


@operation("read")
def plan(home: Home) -> Plan | NothingPlanned:
    """Say what the next cycle would do and what it could prove; writes nothing."""
    from services.reports.plan import plan as planned

    return planned(home)


@operation("read")
def status(home: Home) -> Status:
    """Is it alive, what is it doing, why, what is next, what does it need?"""
    from services.reports.status import current_status

    return current_status(home)
