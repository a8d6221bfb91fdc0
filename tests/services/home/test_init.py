"""A home begins with the files it is given: rows need no program, and a refusal names a command that works."""

import json
import re
import shlex
from pathlib import Path

import pytest

from metaevo.errors import BadInput
from services.home.home import Home
from services.home.init import init_home
from services.home.open import graders
from services.reports.environments import check_environment

ROWS = [{"prompt": f"{a} + {b} =", "answer": str(a + b)} for a in range(60) for b in range(10)]
CONSTANT = """
rows = [{"prompt": f"say {n}", "answer": str(n)} for n in range(600)]

def reward(completion, **row):
    return 1.0
"""


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["sums", "sums.v2"])
def test_a_file_of_rows_is_an_environment_and_lies_in_the_home(tmp_path: Path, name: str) -> None:
    rows = written(tmp_path / f"{name}.jsonl", "".join(f"{json.dumps(row)}\n" for row in ROWS))
    home = Home(tmp_path / "home")
    made = init_home(home, "builtin:tiny", [rows], name, None, 1)
    assert made.environments == (name,)
    table = home.config().environments[name]
    assert (table.use, table.path) == ("dataset", f"environments/{name}.jsonl")
    Path(rows).unlink()
    with graders(home.path, home.config()) as (_, environments):
        assert environments[name].texts == {1: 600}


def test_a_file_of_rows_that_is_broken_or_gone_leaves_nothing(tmp_path: Path) -> None:
    broken = written(tmp_path / "mine.jsonl", '{"prompt": "q", "answer": NaN}\n')
    for use, said in ((broken, "mine.jsonl:1: answer holds NaN"), (str(tmp_path / "gone.jsonl"), "no such file")):
        with pytest.raises(BadInput, match=said):
            init_home(Home(tmp_path / "home"), "builtin:tiny", [use], None, None, 1)
        assert not (tmp_path / "home").exists()


def test_the_way_out_of_a_refused_environment_names_what_can_be_checked(tmp_path: Path) -> None:
    file = written(tmp_path / "bad three.py", CONSTANT)
    with pytest.raises(BadInput, match="refused") as caught:
        init_home(Home(tmp_path / "home"), "builtin:tiny", [file], None, None, 1)
    found = re.search(r"see metaevo environments check (.*)$", str(caught.value))
    assert found is not None
    (word,) = shlex.split(found[1])
    assert not check_environment(word, None, 16).usable


def test_a_file_of_rows_is_checked_by_its_path(tmp_path: Path) -> None:
    rows = written(tmp_path / "sums.jsonl", "".join(f"{json.dumps(row)}\n" for row in ROWS))
    found = check_environment(rows, None, 16)
    assert (found.environment, found.usable) == ("sums", True)
