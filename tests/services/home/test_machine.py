"""How many cores the engines are given: never more than a control group's quota lets them use."""

import os
from pathlib import Path

import pytest

from services.home.machine import usable_cores

BOUND = len(os.sched_getaffinity(0))


def test_without_a_quota_all_cores_the_process_is_bound_to_are_used(tmp_path: Path) -> None:
    assert usable_cores(tmp_path, "/") == BOUND
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path, "/") == BOUND


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("50000", 1), ("150000", 2)])
def test_a_quota_of_any_group_around_the_process_counts_rounded_up(tmp_path: Path, quota: str, cores: int) -> None:
    inner = tmp_path / "service" / "worker"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (tmp_path / "service" / "cpu.max").write_text(f"{quota} 100000\n")
    assert usable_cores(tmp_path, "/service/worker") == min(BOUND, cores)
