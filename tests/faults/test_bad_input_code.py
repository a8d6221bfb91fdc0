"""Broken environment files, data sets, modules and recipes: refused by name before anything is written."""

import json
from pathlib import Path

import pytest

from tests.faults.cli import BASE, metaevo, refused, tree, written
from tests.recipes import rft

MODEL = '[model]\nbase = "builtin:tiny"\n'
REWARD = "def reward(completion, **row):\n    return 1.0\n"
ENVIRONMENTS = {
    "not there": (None, "no file", "mine.py"),
    "no Python": ("def make(:\n", "mine.py fails to import: SyntaxError"),
    "zero bytes": ("\0", "mine.py fails to import"),
    "raises": ("raise RuntimeError('not today')\n", "mine.py fails to import: RuntimeError: not today"),
    "exits": ("import sys\nsys.exit(3)\n", "mine"),
    "no reward": ("rows = [{'prompt': '1+1', 'answer': '2'}]\n", "export reward(completion, **row)"),
    "no tasks": (REWARD, "export either rows or make(seed, index, level), not both or neither"),
    "rows and make": (
        f"{REWARD}rows = [{{'prompt': 'x'}}]\ndef make(seed, index, level): ...\n",
        "not both or neither",
    ),
    "empty rows": (f"{REWARD}rows = []\n", "rows must be a list with at least one dict"),
    "a row without a prompt": (f"{REWARD}rows = [{{'answer': '2'}}]\n", "rows[0] needs a prompt, got {'answer': '2'}"),
    "a prompt that is a number": (f"{REWARD}rows = [{{'prompt': 7}}]\n", "prompt must be a string or a list"),
    "a level in words": (f"{REWARD}rows = [{{'prompt': 'x', 'level': 'low'}}]\n", "rows[0].level must be a whole"),
    "a make that raises": (
        f"{REWARD}def make(seed, index, level):\n    raise KeyError('gone')\n",
        "KeyError: 'gone'",
        "fix make()",
    ),
    "an unknown direction": (f"{REWARD}rows = [{{'prompt': 'x'}}]\nDIRECTION = 'up'\n", "'up'"),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_a_broken_environment_is_refused_by_name(tmp_path: Path, case: str) -> None:
    source, *parts = ENVIRONMENTS[case]
    home = written(tmp_path / "home", f'{MODEL}[environments.mine]\nuse = "environments/mine.py"\n')
    (home / "environments").mkdir()
    if source is not None:
        (home / "environments" / "mine.py").write_text(source)
    before = tree(home)
    refused(metaevo("run", home=home), 2, "mine", *parts)
    assert tree(home) == before


def test_init_with_a_broken_environment_makes_no_home(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def make(:\n")
    said = metaevo("init", "--environment", tmp_path / "mine.py", home=tmp_path / "home")
    refused(said, 2, "mine.py fails to import: SyntaxError")
    refused(metaevo("init", "--environment", "gone.py", home=tmp_path / "home"), 2, "--environment", "gone.py: no such")
    assert not (tmp_path / "home").exists()


def rows(*lines: object) -> str:
    """JSON lines."""
    return "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)


ROW = {"prompt": "1+1", "answer": "2"}
OTHER = {"prompt": "2+2", "answer": "4"}
DATA: dict[str, tuple[str | bytes | None, str, tuple[str, ...]]] = {
    "not there": (None, "", ("environments.mine.path = 'mine.jsonl': no file",)),
    "no JSON": (rows(ROW, "{"), "", ("mine.jsonl:2", "JSON")),
    "a list": (rows(ROW, [1, 2]), "", ("mine.jsonl:2", "want an object with prompt and answer, got [1, 2]")),
    "no prompt": (rows({"question": "1+1", "answer": "2"}), "", ("mine.jsonl:1", "no 'prompt'; columns are question")),
    "no answer": (rows({"prompt": "1+1"}), "", ("mine.jsonl:1", "no 'answer'; columns are prompt")),
    "an empty prompt": (rows({"prompt": "", "answer": "2"}), "", ("mine.jsonl:1", "'prompt' is empty")),
    "a level in words": (rows(ROW | {"level": "low"}), "", ("mine.jsonl:1", "level must be a whole number, got 'low'")),
    "no rows": ("\n\n", "", ("mine.jsonl holds no rows",)),
    "two answers": (rows(ROW, OTHER, ROW | {"answer": "3"}), "", ("mine.jsonl:3", "same prompt as line 1")),
    "one question": (rows(ROW, ROW, ROW), "", ("asks the same question in all 3 lines",)),
    "no text": (b"\xff\xfe\x00", "", ("mine.jsonl:1: no JSON",)),
    "a line of 10 MB": (rows(ROW, {"prompt": "x" * 10_000_000, "answer": ""}), "", ("mine.jsonl:2",)),
    "an unknown reward": (rows(ROW, OTHER), 'reward = "exakt"', ("reward = 'exakt': want exact, numeric, regex",)),
    "no pattern": (rows(ROW, OTHER), 'reward = "regex"', ("environments.mine.pattern", "needs a valid one")),
    "a broken pattern": (rows(ROW, OTHER), 'reward = "regex"\npattern = "("', ("environments.mine.pattern",)),
}


@pytest.mark.parametrize("case", DATA)
def test_a_broken_data_set_is_refused_with_its_file_and_line(tmp_path: Path, case: str) -> None:
    text, more, parts = DATA[case]
    home = written(tmp_path / "home", f'{MODEL}[environments.mine]\nuse = "dataset"\npath = "mine.jsonl"\n{more}\n')
    if text is not None:
        (home / "mine.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = tree(home)
    refused(metaevo("run", home=home), 2, *parts)
    assert tree(home) == before


def recipe(tasks: str = "", solutions: str = "direct_sampling", update: str = "", head: str = "") -> str:
    """A recipe with something changed."""
    return rft(head=head, tasks=tasks, use=solutions, refinement=(), update=update)


RECIPES = {
    "no TOML": ("[[stage", "mine.toml"),
    "no stages": ('name = "mine"', "mine.toml: stage"),
    "an unknown key": (recipe(head="cycles = 3"), "mine.toml: cycles", "known: name"),
    "a misspelt slot": (recipe().replace("stage.solutions", "stage.solution"), "mine.toml: stage", "solutions"),
    "a misspelt module": (
        recipe(solutions="direct_samplin"),
        "no solutions module 'direct_samplin'; did you mean 'direct_sampling'?",
    ),
    "a module of another slot": (recipe(solutions="answer_check"), "no solutions module 'answer_check'"),
    "a misspelt knob": (recipe(update="learning_rate = 0.1"), "supervised_finetune.learning_rate = 0.1: unknown knob"),
    "a knob out of range": (recipe(update="lr = 7.0"), "supervised_finetune.lr = 7.0: want 0 to 0.1"),
    "a knob that is nan": (recipe(update="lr = nan"), "supervised_finetune.lr = nan: want 0 to 0.1"),
    "a number in words": (recipe(tasks='n = "many"'), "pool_sampling.n = 'many': want 1 to 100000"),
    "an unknown choice": (recipe(tasks='order = "up"'), "pool_sampling.order = 'up': want stratified, random"),
    "a threshold of the gate": (recipe(head="alpha = 0.5"), "mine.toml: alpha", "known: name"),
}


@pytest.mark.parametrize("case", RECIPES)
def test_a_broken_recipe_is_refused_with_what_is_known(tmp_path: Path, case: str) -> None:
    text, *parts = RECIPES[case]
    home = written(tmp_path / "home")
    (home / "recipes").mkdir()
    (home / "recipes" / "mine.toml").write_text(text)
    before = tree(home)
    refused(metaevo("recipes", "run", "mine", home=home), 2, *parts)
    assert tree(home) == before


def test_a_recipe_of_modules_that_break_their_contract_is_refused(tmp_path: Path) -> None:
    home = written(tmp_path / "home", f'{BASE}[fixed]\nrecipe = "mine"\n')
    for name in ("recipes", "modules/solutions"):
        (home / name).mkdir(parents=True)
    (home / "recipes" / "mine.toml").write_text(recipe(solutions="mine"))
    module = home / "modules" / "solutions" / "mine.py"
    for source, part in (
        ("def mine(:\n", "mine.py: fails to import: SyntaxError"),
        ("def yours(tasks): ...\n", "must define a function 'mine'"),
        ("def mine(tasks): ...\n", "solutions.mine: must map Tasks to Attempts"),
    ):
        module.write_text(source)
        before = tree(home)
        refused(metaevo("run", home=home), 1, part)
        assert tree(home) == before
        said = metaevo("modules", "list", "--json", home=home)
        assert (said.code, part in json.loads(said.out.strip())[0].get("broken", said.out)) == (0, True)


def test_a_module_named_like_one_of_ours_is_refused(tmp_path: Path) -> None:
    home = written(tmp_path / "home")
    (home / "modules" / "solutions").mkdir(parents=True)
    (home / "modules" / "solutions" / "direct_sampling.py").write_text("")
    refused(metaevo("run", home=home), 1, "already has a module 'direct_sampling'; give the file another name")
