"""What cells' samples are is measured once a version, and kept in the home."""

from pathlib import Path

from objectives.drawing import Sample
from services.home.open import graders
from services.home.samples import KEPT, keep_samples, kept_samples
from tests.journeys import small

CONFIG = '[model]\nbase = "builtin:tiny"\n[environments.mine]\nuse = "environments/mine.py"\n'
COUNTS = """
import time
def make(seed, index, level):
    time.sleep(0.001)
    return {"prompt": f"q {seed % 40}", "answer": "a", "level": level}
def reward(completion, answer, **row):
    return float(completion == answer)
"""


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    home = small.create(
        tmp_path / "home", '[model]\nbase = "builtin:tiny"\n[environments.mine]\nuse = "environments/mine.py"\n'
    )
    (home.path / "environments" / "mine.py").write_text(COUNTS)
    config = home.config()
    with graders(home.path, config) as (pool, found):
        assert found["mine"].texts == {1: 40}
        assert len(found["mine"].marks[1]) == 4
    assert not (home.path / KEPT).exists(), "whoever only looks writes nothing: `open_home` keeps them"
    keep_samples(home.path, pool.samples)
    (key,) = kept_samples(home.path)
    keep_samples(home.path, {key: Sample(7)})
    with graders(home.path, config) as (_, found):
        assert (found["mine"].texts, found["mine"].marks) == ({1: 7}, {})
    (home.path / "environments" / "mine.py").write_text(COUNTS + "PASS_MARK = 0.5\n")
    with graders(home.path, config) as (_, found):
        assert found["mine"].texts == {1: 40}
    (home.path / KEPT).write_text("{")
    with graders(home.path, config) as (_, found):
        assert found["mine"].texts == {1: 40}


def test_where_there_is_no_home_nothing_is_kept(tmp_path: Path) -> None:
    keep_samples(tmp_path / "nowhere", {"v/1/1": Sample(3)})
    assert kept_samples(tmp_path / "nowhere") == {}
    assert not (tmp_path / "nowhere").exists()
