"""Run benchmarks, print their tables and keep their numbers: ``python -m tests.benchmarks [NAME…] [--folder DIR]``.

Names: model_compute, rollout, durable_step, many_cycles, history, sandbox_calls; none means all, which takes about half
an hour on two idle cores. Exit status 1 where a limit was missed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import durable_step, history, many_cycles, model_compute, rollout, sandbox_calls
from tests.benchmarks.measure import RESULTS, Result, record

ALL: dict[str, Callable[[Path, bool], Result]] = {
    "durable_step": durable_step.run,
    "rollout": rollout.run,
    "model_compute": model_compute.run,
    "many_cycles": many_cycles.run,
    "history": history.run,
    "sandbox_calls": sandbox_calls.run,
}


def measured(name: str, folder: Path, into: Path, *, quick: bool = False) -> Result:
    """Run one benchmark in a folder and write its record."""
    load, start = os.getloadavg()[0], time.monotonic()
    result = ALL[name](folder, quick)
    took = time.monotonic() - start
    record(name, result, folder=folder, took_s=took, load=(load, os.getloadavg()[0]), into=into)
    return result


def table(name: str, result: Result) -> Table:
    """Return a benchmark's lines as a table."""
    made = Table(title=name, title_justify="left", caption=result.how, caption_justify="left")
    for head, side in (("", "left"), ("median", "right"), ("low", "right"), ("high", "right"), ("n", "right")):
        made.add_column(head, justify=side)  # type: ignore[arg-type]
    made.add_column("")
    made.add_column("limit")
    for line in result.lines:
        numbers = [f"{value:.4g}" for value in (line.spread.median, line.spread.low, line.spread.high)]
        said = {None: "", True: f"{line.limit}: kept", False: f"[red]{line.limit}: MISSED[/red]"}[line.kept]
        made.add_row(line.what, *numbers, str(line.spread.n), line.unit, said)
    return made


def main(arguments: list[str]) -> int:
    """Run what is asked for; return 1 where a limit was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(ALL)}; all by default")
    parser.add_argument("--folder", type=Path, help="where the homes are made: its file system is what is measured")
    parser.add_argument("--into", type=Path, default=RESULTS, help="where NAME.json is written")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in ALL]
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; known: {', '.join(ALL)}")
    console, kept = Console(), True
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="metaevo-bench-", dir=given.folder) as folder:
        for name in given.names or ALL:
            result = measured(name, Path(folder), given.into, quick=given.quick)
            console.print(table(name, result))
            kept = kept and all(line.kept is not False for line in result.lines)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
