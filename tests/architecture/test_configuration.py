"""No key of metaevo.toml is ignored: some code reads it, or it is refused at start by its name."""

import ast
from typing import get_args

import pytest

from services.config.unsupported import RULES
from tests.architecture.configuration import Key, Readers, keys, read_by_code

EVERY = list(keys())
REFUSED = {path for path, _, _ in RULES}
LEAVES = [key for key in EVERY if not any(other.path[: len(key.path)] == key.path for other in EVERY if other != key)]


def refused(key: Key) -> bool:
    return any(key.path[:n] in REFUSED for n in range(1, len(key.path) + 1))


@pytest.fixture(scope="module")
def read() -> set[tuple[str, str]]:
    return read_by_code()


@pytest.mark.parametrize("key", LEAVES, ids=lambda key: key.text)
def test_a_key_has_a_reader_or_is_refused_by_name(key: Key, read: set[tuple[str, str]]) -> None:
    if len(get_args(key.info.annotation)) == 1:
        assert get_args(key.info.annotation) == (key.info.default,)  # one choice: there is nothing to read
        return
    assert (key.table.__name__, key.name) in read or refused(key), f"{key.text} is parsed and then ignored"


def test_what_is_refused_is_a_key() -> None:
    known = {tuple(part for part in key.path if part != "NAME") for key in EVERY}
    assert known >= REFUSED


def test_the_whole_file_is_walked() -> None:
    texts = {key.text for key in EVERY}
    assert {"seed", "model.base", "environments.NAME.use", "goals.NAME.raise", "budget.total.wall_clock"} <= texts


CODE = """
def one(config: Config, other: int):
    model = config.model
    a, b = config.gate, other.alpha
    for name, table in config.environments.items():
        table.use
    return [g.why for g in config.goals.values()], model.base, a.max_items, b.seed

def two(home):
    home.config().budget.total.tokens
    model.name
    config.environments["x"].path
"""


def test_reading_is_followed_through_names_loops_and_calls() -> None:
    reader = Readers()
    reader.visit(ast.parse(CODE))
    assert {f"{table}.{name}" for table, name in reader.found} == {
        *("Config.model", "Config.gate", "Config.environments", "Config.goals", "Config.budget"),
        *("EnvironmentTable.use", "GoalTable.why", "Model.base", "Gate.max_items", "Budget.total", "Amount.tokens"),
    }
