"""An environment whose reward cannot be trusted is used by nobody: check, init and run say so, with the causes."""

from pathlib import Path

import pytest

from metaevo.engines.grader import GraderPool
from metaevo.errors import BadInput
from objectives.finder import Source
from services.home import audits
from services.home.home import Home
from tests.journeys.terminal import metaevo

ROWS = 'rows = [{"prompt": f"name {i}", "answer": f"word{i}"} for i in range(80)]\n'
REFUSED = {
    "pays for nothing": ("def reward(completion, answer, **row):\n    return 1.0\n", "empty answers fail"),
    "raises": ("import nothing_like_it\n\ndef reward(completion, answer, **row):\n    return 1.0\n", "nothing_like_it"),
    "lacks a name": (
        "def reward(completion, answer, **row):\n    return float(fold(completion) == answer)\n",
        "0 of 16: NameError: name 'fold' is not defined (16)",
    ),
    "gives ten": (
        "def reward(completion, answer, **row):\n    return 10.0 * (completion == answer)\n",
        "reward() gave 10.0, want a number in [0, 1] or None (16)",
    ),
    "has no **row": ("def reward(completion, answer):\n    return 1.0\n", "unexpected keyword argument 'prompt'"),
    "cannot say": (
        "def reward(completion, answer, **row):\n"
        "    return None if len(completion) > 9 else float(completion == answer)\n",
        "got None where a wrong answer gets 0",
    ),
    "keeps state": (
        "seen = set()\n\ndef reward(completion, answer, prompt, **row):\n"
        "    first = prompt not in seen\n    seen.add(prompt)\n"
        "    return float(completion == answer and first)\n",
        "grading is repeatable",
    ),
}
FINE = ROWS + "def reward(completion, answer, **row):\n    return float(completion == answer)\n"


@pytest.mark.parametrize("kind", REFUSED)
def test_check_exits_3_and_init_refuses_with_the_cause(tmp_path: Path, kind: str) -> None:
    source, said = REFUSED[kind]
    file = tmp_path / "mine.py"
    file.write_text(ROWS + source)
    checked = metaevo("environments", "check", str(file), "--items", "16", code=None)
    assert (checked.code, said in checked.out + checked.err) == (2 if kind == "raises" else 3, True), checked
    begun = metaevo("init", "--environment", str(file), home=tmp_path / "home", code=None)
    assert begun.code == 2
    assert said in begun.err
    assert not (tmp_path / "home").exists()


def test_run_refuses_what_became_unfit_and_keeps_what_it_found_by_version(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create('[model]\nbase = "builtin:tiny"\n[environments.mine]\nuse = "mine.py"\n[protect]\n"*" = false\n')
    (home.path / "mine.py").write_text(FINE)
    pool = GraderPool([Source("mine", "mine.py", str(home.path))], workers=1)
    try:
        known = pool.describe()
        audits.refuse_unfit(home, pool, known)
        kept = (home.path / audits.KEPT).read_text()
        pool.close()
        audits.refuse_unfit(home, pool, known)  # nothing is graded: the pool is closed
        assert (home.path / audits.KEPT).read_text() == kept
    finally:
        pool.close()
    (home.path / "mine.py").write_text(ROWS + REFUSED["lacks a name"][0])
    said = metaevo("run", "--cycles", "1", home=home.path, code=None)
    assert said.code == 2
    assert "metaevo.toml: environments.mine: refused: its own answers pass: 0 of 16: NameError" in said.err
    assert not home.founded


def test_an_environment_of_which_nothing_may_be_trained_on_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FINE.replace("range(80)", "range(1, 2)"))
    pool = GraderPool([Source("mine", "mine.py", str(tmp_path))], workers=1)
    try:
        with pytest.raises(BadInput, match="no task falls into the train split"):
            audits.refuse_unfit(Home(tmp_path), pool, pool.describe(), keep=False)
    finally:
        pool.close()
