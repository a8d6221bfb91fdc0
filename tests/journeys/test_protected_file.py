"""Two small files: one of 800 rows is trained on, one of 300 is only protected, and a large gain gets through."""

import json
from pathlib import Path

import pytest

from objectives.environment import from_file
from objectives.finder import BUILT_IN
from services.home.home import Home
from tests.journeys import small
from tests.journeys.terminal import metaevo

FILE = '''"""Rows of a file beside this one."""
import json
from pathlib import Path

ABILITY = "{ability}"
rows = [json.loads(line) for line in Path(__file__).with_suffix(".jsonl").read_text().splitlines()]


def reward(completion, *, answer, **row):
    return float(completion.strip() == answer)
'''
MORE = """
[environments.kept]
use = "environments/kept.py"
train = false
[gate]
secret_seed = 11
[search]
trials = 1
finals = 1
[diagnosis]
items = 16
samples = 2
[fixed]
recipe = "plain"
"""


def written(folder: Path, name: str, ability: str, source: str, rows: int) -> Path:
    """Write an environment whose rows are tasks of a built-in one, which the scripted engine answers."""
    program = from_file(source, BUILT_IN / f"{source}.py")
    assert program.make is not None
    made = {}
    for index in range(10 * rows):
        row = program.make(5, index, 4)
        text = row["prompt"][-1]["content"]
        made.setdefault(text, {"prompt": text, "answer": row["answer"]})
    lines = [json.dumps(row) for row in list(made.values())[:rows]]
    assert len(lines) == rows
    (folder / f"{name}.jsonl").write_text("\n".join(lines))
    path = folder / f"{name}.py"
    path.write_text(FILE.format(ability=ability))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    sums, kept = (
        written(tmp_path, "sums", "math", "sorting", 800),
        written(tmp_path, "kept", "reasoning", "extremes", 300),
    )
    said = metaevo("init", "--environment", sums, "--seed", "11", home=tmp_path / "home").out
    assert "Protected: math within 1" in said
    made = Home(tmp_path / "home")
    for path in (kept, kept.with_suffix(".jsonl")):
        (made.path / "environments" / path.name).write_text(path.read_text())
    made.config_path.write_text(small.configured(made.text + MORE))
    (made.path / "recipes").mkdir(exist_ok=True)
    (made.path / "recipes" / "plain.toml").write_text(small.PLAIN)
    return made


def test_a_large_gain_on_a_small_file_is_promoted_and_a_file_that_is_left_alone_is_kept(home: Home) -> None:
    assert metaevo("config", "check", home=home.path).out.strip().endswith("is fine: kept, sums")
    (cycle,) = small.evolve(home, make=small.engines({"sorting/4": 0.4, "extremes/4": 0.6}, rate=0.9))
    assert cycle.outcome == "promote", cycle.why
    assert cycle.verdict is not None
    assert cycle.verdict.evidence.kept is not None
    lines = {line.what: line for line in cycle.verdict.evidence.kept}
    assert (lines["reasoning"].state, lines["reasoning"].whole, lines["reasoning"].n) == ("kept", 300, 300)
    assert (lines["reasoning"].limit, lines["reasoning"].mean) == (-0.03, 0.0)
    assert lines["math"].mean > 0.2
