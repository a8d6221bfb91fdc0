"""kill -9 at every step boundary and at random moments: resumes alone, no finished step twice, the same end state."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from services.fsck import checked
from services.home import Home

TABLES = {
    "generation": "id, number, parent, status, cycle, trial, place, parts, answer, recipe, data, objective, manifest,"
    " epoch, verdict",
    "alias": "name, generation",
    "cycle": "number, outcome, why, parent, epoch, seed, commitment, objective, candidate, verdict, tokens",
    "trial": "cycle, number, study, recipe, fidelity, params, score, constraints, tokens, failure, generation",
    "score": "generation, split, environment, level, epoch, n, mean, latent, cycle",
    "confirmation": "epoch, k, cycle, candidate, level",
    "step": "cycle, trial, stage, round, step, position, module, mark, digest, counts",
    "move": 'alias, "before", "after", who, why',
}


def start(home: Path, cycles: int, kill: str, engine: str = "scripted") -> subprocess.Popen[bytes]:
    log = home.with_suffix(".log")
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.micro", str(home), str(cycles), engine, kill, str(log)],
        cwd=Path(__file__).resolve().parents[2],
        stderr=subprocess.PIPE,
    )


def run(home: Path, cycles: int, kill: str = "never", engine: str = "scripted") -> int:
    process = start(home, cycles, kill, engine)
    _, said = process.communicate(timeout=600)
    assert process.returncode in (0, -signal.SIGKILL), said.decode()[-2000:]
    return process.returncode


def state(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything that must be equal: all rows but their times, weights by their digests."""
    with sqlite3.connect(home / "metaevo.db") as db:
        return {
            table: sorted(db.execute(f"select {columns} from {table}"), key=repr) for table, columns in TABLES.items()
        }


def clean(home: Path) -> None:
    found = checked(Home(home))
    assert found["clean"], [check for check in found["checks"] if not check["ok"]]


def finished_once(home: Path) -> None:
    counts = Counter(line for line in home.with_suffix(".log").read_text().splitlines() if line.startswith("done"))
    assert counts
    assert max(counts.values()) == 1, [line for line, n in counts.items() if n > 1]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("unbroken") / "home"
    assert run(home, 1) == 0
    clean(home)
    return home


@pytest.mark.timeout(600)
def test_killed_at_every_boundary(tmp_path: Path, unbroken: Path) -> None:
    home, kills = tmp_path / "home", 0
    while run(home, 1, "boundary") != 0:
        kills += 1
        if (home / "metaevo.db").is_file():
            clean(home)
    boundaries = set(unbroken.with_suffix(".log").read_text().splitlines())
    assert kills >= len(boundaries) > 30
    finished_once(home)
    assert state(home) == state(unbroken)


@pytest.mark.timeout(600)
def test_killed_at_random_moments(tmp_path: Path, unbroken: Path) -> None:
    home, random, kills = tmp_path / "home", Random(20), 0
    for _ in range(200):
        process = start(home, 1, "never")
        time.sleep(random.uniform(0.05, 2.2))
        ended = process.poll() is not None
        os.kill(process.pid, signal.SIGKILL) if not ended else None
        process.communicate(timeout=60)
        if (home / "metaevo.db").is_file() and not ended:
            clean(home)
        kills += not ended
        if kills >= 20:
            break
        if ended:  # the micro-cycle is over before the twentieth kill: the rest is killed in a fresh home
            assert state(home) == state(unbroken)
            home = tmp_path / f"home{kills}"
    assert kills == 20
    assert run(home, 1) == 0
    clean(home)
    finished_once(home)
    assert state(home) == state(unbroken)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_real_engine_killed_at_six_points(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(whole, 1, engine="real") == 0
    boundaries = len(whole.with_suffix(".log").read_text().splitlines())
    for point in range(6):
        assert run(broken, 1, str(max(2, boundaries // 7)), engine="real") == -signal.SIGKILL, f"point {point}"
        clean(broken)
    assert run(broken, 1, engine="real") == 0
    clean(broken)
    assert state(broken) == state(whole)
