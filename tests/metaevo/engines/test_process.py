"""A child process: every way it can end is one error with its reason, and nothing outlives what started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaevo.engines.process import PASSED_ON, Child
from metaevo.errors import EngineDied, EngineTimeout
from tests.architecture.tree import ROOT


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child("tests.metaevo.engines.echo", environment={"GIVEN": "yes", "PYTHONPATH": str(ROOT)})
    made.start()
    yield made
    made.kill()


def asked(child: Child, do: str, what: object = None, timeout_s: float = 30.0) -> object:
    child.send({"do": do, "what": what})
    return child.receive(timeout_s)["ok"]


def gone(pid: int, within_s: float = 10.0) -> bool:
    """Return whether a process ends within so long; a zombie has ended."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_frames_go_there_and_back_whole(child: Child) -> None:
    large = {"text": "ä\0\n" * 400_000, "number": 1.5, "none": None}
    assert asked(child, "echo", large) == large
    assert [asked(child, "echo", i) for i in range(50)] == list(range(50))


def test_a_killed_child_is_an_error_with_its_signal(child: Child) -> None:
    child.send({"do": "die"})
    with pytest.raises(EngineDied, match="ended with signal 9"):
        child.receive(30)
    assert not child.running


def test_a_child_s_last_words_are_in_the_error(child: Child) -> None:
    child.send({"do": "say", "what": "no space left on device"})
    with pytest.raises(EngineDied, match="exit status 3: no space left on device"):
        child.receive(30)


@pytest.mark.parametrize(("how", "said"), [("half", "exit status 0"), ("flood", "is not a frame")])
def test_a_broken_frame_is_a_dead_child(child: Child, how: str, said: str) -> None:
    child.send({"do": how})
    with pytest.raises(EngineDied, match=said):
        child.receive(30)
    assert not child.running


def test_silence_beyond_the_deadline_kills_the_child_and_what_it_started(child: Child) -> None:
    assert child.pid is not None
    pids = (child.pid, asked(child, "child"))
    child.send({"do": "hang"})
    before = time.monotonic()
    with pytest.raises(EngineTimeout, match="silent for 1 s and was killed"):
        child.receive(1.0)
    assert 0.9 < time.monotonic() - before < 20
    assert all(gone(int(pid)) for pid in pids)  # type: ignore[call-overload]


def test_a_child_can_be_started_again_and_has_forgotten_the_old_stream(child: Child) -> None:
    child.send({"do": "die"})
    with pytest.raises(EngineDied):
        child.receive(30)
    with pytest.raises(EngineDied, match="is not running"):
        child.send({"do": "echo"})
    child.start()
    assert asked(child, "echo", "again") == "again"


def test_a_child_gets_no_variable_it_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAEVO_TOKEN", "secret")
    child = Child("tests.metaevo.engines.echo", environment={"GIVEN": "yes", "PYTHONPATH": str(ROOT)})
    child.start()
    try:
        seen = asked(child, "environment")
    finally:
        child.kill()
    assert isinstance(seen, dict)
    assert seen["GIVEN"] == "yes"
    assert set(seen) <= {*PASSED_ON, "GIVEN", "PYTHONPATH", "LC_CTYPE"}


def test_a_child_ends_when_its_parent_is_killed() -> None:
    code = (
        "import sys, time\n"
        "from metaevo.engines.process import Child\n"
        f"child = Child('tests.metaevo.engines.echo', environment={{'PYTHONPATH': {str(ROOT)!r}}}); child.start()\n"
        "child.send({'do': 'echo', 'what': 1}); child.receive(30)\n"
        "child.send({'do': 'hang'}); print(child.pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def test_a_file_of_the_current_folder_is_not_taken_for_a_library(tmp_path: Path, child: Child) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('own random.py')")
    code = "from metaevo.engines.process import Child; c = Child('metaevo.search.sampler'); c.start(); c.send({}); "
    code += "print(c.receive(60)); c.kill()"
    said = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "own random.py" not in said.stdout + said.stderr


def test_killing_twice_and_killing_what_never_ran_does_nothing(child: Child) -> None:
    child.kill()
    child.kill()
    Child("tests.metaevo.engines.echo").kill()
    assert child.pid is None
