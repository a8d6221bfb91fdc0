"""Layers hold, and the control plane is light: torch and Optuna live in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest

from tests.architecture import tree

EMPTY = (
    "import typer; made = typer.Typer(); made.command()(lambda: None); made.callback()(lambda: None); made(['--help'])"
)
"""The smallest command line of the same library."""
BIN = Path(sys.executable).parent
ENGINE, OTHERS = "metaevo.runtime.engine_worker", ("metaevo.engines.grader_worker", "metaevo.search.sampler")


def test_the_layers_hold() -> None:
    done = subprocess.run([BIN / "lint-imports"], cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "0 broken" in done.stdout


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of one import circle, the first one named again at the end; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Imports inside functions count as well: they hide a circle, they do not remove it."""
    graph = grimp.build_graph(*tree.PACKAGES)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imports) > 200
    assert not circle(imports)


def test_a_circle_is_named() -> None:
    found = circle({"top": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert found[0] == found[-1]
    assert {*found} == {"a", "b", "c"}


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.architecture.control_plane", tmp_path_factory.mktemp("homes")]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def test_the_control_plane_imports_nothing_heavy(worked: dict[str, Any]) -> None:
    assert worked["imported"] == {}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads /proc: Linux only")
def test_torch_is_mapped_into_the_engine_process_alone(worked: dict[str, Any]) -> None:
    assert worked["processes"] == {ENGINE: True, **dict.fromkeys(OTHERS, False)}


def test_the_watch_names_who_imported_what() -> None:
    code = (
        "import sys; from tests.architecture.control_plane import Watch; w = Watch(); sys.meta_path.insert(0, w);"
        "import services.config.units; exec(compile('import optuna', 'guilty.py', 'exec')); print(w.asked['optuna'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tree.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "guilty.py:1"


def cpu_s(command: list[str | Path]) -> float:
    """Return the user and system seconds of a command and everything it waited for."""
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def test_help_takes_at_most_twice_the_cpu_of_an_empty_command_line() -> None:
    ours, empty = [], []
    for _ in range(3):  # in turn: what else the machine does slows both alike
        ours.append(cpu_s([BIN / "metaevo", "--help"]))
        empty.append(cpu_s([sys.executable, "-c", EMPTY]))
    assert min(ours) <= 2 * min(empty), (ours, empty)


def test_cpu_time_of_a_command_is_really_measured() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    assert cpu_s([sys.executable, "-c", burn]) >= 0.3
