"""kill -9 at every step boundary and at random moments: resumes alone, no finished step twice, the same end state."""

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from services.fsck import check_home
from services.home.home import Home
from tests.faults.forks import Forks
from tests.faults.places import small_disk

KILLED = -signal.SIGKILL
TABLES = {
    "generation": "id, number, parent, status, cycle, trial, place, parts, answer, recipe, data, objective, manifest,"
    " epoch, verdict",
    "alias": "name, generation",
    "cycle": "number, outcome, why, parent, epoch, seed, commitment, objective, candidate, verdict, tokens",
    "trial": "cycle, number, study, recipe, fidelity, params, score, constraints, tokens, failure, generation",
    "score": "generation, split, environment, level, epoch, n, mean, latent, cycle",
    "best_anchor": "epoch, environment, level, n, mean",
    "budget": "number, who, why",
    "confirmation": "budget, k, epoch, cycle, candidate, parent, cells, weights, level, promotions, outcome, place,"
    " log_e",
    "confirmed_cell": "cell, budget, k, cycle, texts",
    "step": "cycle, trial, stage, round, step, position, module, mark, digest, timeless(counts)",
    "move": 'alias, "before", "after", who, why',
    "hold": "candidate, parent, epoch, k, cycle, tries, open, exam",
    "epoch": "number, evaluator, why",
    "recipe": "hash, name, body, modules",
    "event where code = 'decided'": "cycle, sentence, data",
}


class Micros(Forks):
    """Micro-evolutions of one cycle, each in a process of its own: started, or resumed."""

    def begin(self, home: Path, kill: str = "never", engine: str = "scripted") -> int:
        return self.start(home, 1, engine, kill)

    def run(self, home: Path, kill: str = "never", engine: str = "scripted") -> int:
        self.begin(home, kill, engine)
        code = self.said()
        assert code in (0, KILLED), Path(f"{home}.err").read_text()[-2000:]
        return code


@pytest.fixture(scope="module")
def micros() -> Iterator[Micros]:
    made = Micros("tests.faults.micro")
    yield made
    made.close()


def state(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything that must be equal: all rows but their times, weights by their digests."""
    with sqlite3.connect(home / "metaevo.db") as db:
        db.create_function("timeless", 1, timeless)
        return {
            table: sorted(db.execute(f"select {columns} from {table}"), key=repr) for table, columns in TABLES.items()
        }


def timeless(counts: str) -> str:
    """A step's counts without the seconds its model took."""
    return json.dumps({name: value for name, value in json.loads(counts).items() if name != "model_s"})


def clean(home: Path) -> None:
    if (home / "metaevo.db").is_file():
        found = check_home(Home(home))
        assert found.clean, [check for check in found.checks if not check.ok]


RARE = ("diagnose", "solutions", "update!", "anchor")
"""Steps in which a disk is less likely to become full than in training and in the confirmation."""


def boundaries(home: Path) -> list[str]:
    return home.with_suffix(".log").read_text().splitlines()


def finished_once(home: Path) -> None:
    counts = Counter(line for line in boundaries(home) if line.startswith("done"))
    assert counts
    assert max(counts.values()) == 1, [line for line, n in counts.items() if n > 1]


@pytest.fixture(scope="module")
def unbroken(micros: Micros, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("unbroken") / "home"
    began = time.monotonic()
    assert micros.run(home) == 0
    (home.parent / "seconds").write_text(str(time.monotonic() - began))
    clean(home)
    return home


def test_killed_at_every_boundary(micros: Micros, tmp_path: Path, unbroken: Path) -> None:
    home, kills = tmp_path / "home", 0
    while micros.run(home, "boundary") != 0:
        kills += 1
        clean(home)
    assert kills >= len(set(boundaries(unbroken))) > 30
    finished_once(home)
    assert state(home) == state(unbroken)


@pytest.mark.full
def test_killed_at_random_moments(micros: Micros, tmp_path: Path, unbroken: Path) -> None:
    home, random, kills, runs = tmp_path / "home", Random(20), 0, 0
    whole = float((unbroken.parent / "seconds").read_text())
    while kills < 20:
        runs += 1
        assert runs < 100, f"{kills} kills in {runs} runs"
        pid = micros.begin(home)
        time.sleep(random.uniform(0.0, 0.8 * whole))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        code = micros.said()
        assert code in (0, KILLED), Path(f"{home}.err").read_text()[-2000:]
        clean(home)
        kills += code == KILLED
        if code == 0:  # the cycle was over before the kill: the rest is killed in a fresh home
            finished_once(home)
            assert state(home) == state(unbroken)
            home = tmp_path / f"home{kills}"
    assert micros.run(home) == 0
    clean(home)
    finished_once(home)
    assert state(home) == state(unbroken)


@pytest.mark.parametrize("step", ["update", "confirm", *(pytest.param(step, marks=pytest.mark.full) for step in RARE)])
def test_full_disk_in_mid_cycle_loses_nothing_and_goes_on_once_there_is_room(
    micros: Micros, tmp_path: Path, unbroken: Path, step: str
) -> None:
    with small_disk(tmp_path / "disk", mib=80) as disk:
        home = disk / "home"
        log = home.with_suffix(".log")
        log.symlink_to(tmp_path / "home.log")  # what the test writes down needs no room on the full disk
        Path(f"{home}.err").symlink_to(tmp_path / "home.err")
        micros.begin(home, f"fill {step}")
        assert micros.said() == 1
        said = (tmp_path / "home.err").read_text().strip()
        assert "\n" not in said
        assert "space" in said, said
        clean(home)
        micros.begin(home)
        assert micros.said() == 1, "begins although the disk is full"
        (home / "filler").unlink()
        assert micros.run(home) == 0
        clean(home)
        finished_once(home)
        assert state(home) == state(unbroken)


POINTS = ("diagnose+0.4", "solutions!", "update+2.5", "update!", "confirm+0.2", "anchor")
"""Inside and between steps, over the whole cycle; the third is in the middle of training."""


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_real_engine_killed_at_six_points(micros: Micros, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert micros.run(whole, engine="real") == 0
    for point in POINTS:
        assert micros.run(broken, point, "real") == KILLED, f"not killed at {point}"
        clean(broken)
    assert micros.run(broken, engine="real") == 0
    clean(broken)
    finished_once(broken)
    assert state(broken) == state(whole)
