"""An epoch ends with what can change an answer, never with the machine's mood: engines, threads, free memory."""

import os
from pathlib import Path

import pytest
import torch

from metaevo.ledger.epochs import newest_epoch
from metaevo.runtime.engine_worker import identity
from services.home.open import engine_processes, open_home
from tests.journeys import small


def test_the_identity_of_an_engine_names_no_circumstance() -> None:
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.add(identity())
    finally:
        torch.set_num_threads(before)
    (said,) = found
    assert "thread" not in said


@pytest.mark.full
def test_one_home_with_other_engines_threads_and_cores_is_in_one_epoch(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    cores = os.sched_getaffinity(0)
    try:
        for engines, used in ((1, cores), (2, cores), (3, {min(cores)})):
            os.sched_setaffinity(0, used)
            with open_home(home, make=engine_processes, engines=engines) as app:
                app.evolution().ensure_epoch()
                newest = newest_epoch(app.ledger)
                assert newest is not None
                assert (newest.number, newest.why) == (1, "first")
    finally:
        os.sched_setaffinity(0, cores)
