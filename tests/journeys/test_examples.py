"""The example configurations parse and mean what they say; what comes with a later part is refused by its name."""

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from metaevo.evolution.loop import Budget
from metaevo.gate.settings import GateRules
from metaevo.tiny import CHECKPOINT
from metaevo.tiny.corpus import PLAN
from objectives.finder import built_in
from services.actions.run import demo_text
from services.config import read as configs
from services.config.tables import Config
from services.config.unsupported import RULES, unsupported_keys
from services.home.home import Home
from services.home.open import cycle_settings, graders
from tests.journeys import small
from tests.journeys.terminal import ROOT, metaevo

EXAMPLES = ROOT / "deploy" / "examples"
DEMO = (EXAMPLES / "demo.toml").read_text()


def flat(table: dict[str, Any], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return every value that a file writes by its path."""
    found: dict[tuple[str, ...], Any] = {}
    for key, value in table.items():
        inner = flat(value, (*above, key)) if isinstance(value, dict) and value else {(*above, key): value}
        found |= inner
    return found


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_parses_and_every_value_it_writes_is_the_one_that_holds(path: Path) -> None:
    config = configs.parse(path.read_text(), path.name)
    resolved = flat(config.model_dump(mode="json", by_alias=True, exclude_none=True))
    for place, value in flat(tomllib.loads(path.read_text())).items():
        if value == {}:
            assert any(known[: len(place)] == place for known in resolved), place
            continue
        holds = resolved[place]
        same = holds == value or (isinstance(holds, list) and holds == list(value)) or str(holds) == str(value)
        assert same or holds == amount(value), (place, value, holds)


def amount(text: object) -> float | None:
    """Return a duration or size as a number."""
    from services.config.units import bytes_of, seconds_of

    for read in (seconds_of, bytes_of):
        try:
            return float(read(text))
        except ValueError:
            continue
    return None


def test_all_three_are_there() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == {"demo", "one-gpu", "cluster"}


def test_what_the_demo_writes_is_what_its_cycles_get(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home", DEMO)
    config = home.config()
    with graders(home.path, config) as (_, environments):
        from metaevo.registry.registry import Registry

        found = cycle_settings(config, environments, Registry(home.path))
        finite = {(name, level) for name, env in environments.items() for level, size in env.texts.items() if size}
        levels = {name: sorted(env.levels) for name, env in environments.items()}
    assert config.seed == 1
    assert found.gate.max_items == 1500
    assert (found.gate.odds, found.gate.protect_items) == (20, 4096)
    assert {rule.margin for rule in found.goals.rules(environments)} == {0.05}
    assert {rule.what for rule in found.goals.rules(environments)} == {env.ability for env in environments.values()}
    assert [(goal.name, goal.what, goal.target) for goal in found.goals.wanted] == [("anything", "*", None)]
    assert (found.fixed_recipe, found.fixed_objective, found.observe, found.approval) == (None, None, False, False)
    assert (config.budget.total.wall_clock, config.budget.total.cycles) == (540, 10)
    # the comments: "the built-in ones the tiny model speaks", "their low levels are finite cells"
    assert sorted(environments) == sorted(PLAN)
    assert set(PLAN) < set(built_in())
    assert all((name, every[0]) in finite for name, every in levels.items())
    assert all((name, every[-1]) not in finite for name, every in levels.items())


def test_the_demos_comments_are_true() -> None:
    modes = re.search(r'mode = "full"\s+# (.*)', DEMO)
    assert modes is not None
    assert tuple(modes[1].split(" | ")) == get_args(Config.model_fields["mode"].annotation)
    with (CHECKPOINT / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    sizes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    parameters = sum(shape[0] * (shape[1] if len(shape) > 1 else 1) for shape in sizes)
    assert 450_000 < parameters < 550_000  # "about half a million parameters, in the package"
    assert CHECKPOINT.is_relative_to(ROOT / "metaevo")
    assert GateRules().max_items == 12_000


def test_no_cycle_starts_that_is_forecast_to_pass_the_budget(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    ticks = iter(range(0, 10_000, 50))  # every look at the clock is 50 s after the one before
    from services.home.open import open_home

    with open_home(home, make=small.engines(rate=0.02), engines=1) as app:
        evolution = app.evolution()
        done = evolution.run(Budget(cycles=10, wall_s=120), clock=lambda: float(next(ticks)))
        evolution.sampler.close()
    assert len(done) == 1


def test_nothing_about_the_demo_is_outside_its_file(tmp_path: Path) -> None:
    """Its home holds this file with its seed; besides the command and its text nothing in the packages knows of it."""
    changed = [(a, b) for a, b in zip(DEMO.splitlines(), demo_text(7).splitlines(), strict=True) if a != b]
    assert changed == [("seed = 1", "seed = 7")]
    assert demo_text(1) == DEMO
    knows = {
        path.relative_to(ROOT).as_posix()
        for package in ("metaevo", "objectives", "services")
        for path in (ROOT / package).rglob("*.py")
        if mentions(path, "demo")
    }
    assert knows <= {
        "services/cli.py",
        "services/actions/run.py",
        "services/operations/evolution.py",
        "services/text/render.py",
    } | {"services/doctor.py"}
    home = small.create(tmp_path / "home", DEMO.replace("seed = 1", "seed = 3"))
    said = metaevo("demo", "--seed", 4, home=home.path, code=2).err
    assert "another home is here; give --home another folder, or use `metaevo run`" in said


def mentions(path: Path, word: str) -> bool:
    """Return whether a file's code (not its comments and docstrings) speaks of something."""
    tree = ast.parse(path.read_text())
    texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            if re.search(rf"\b{word}", node.value):
                return True
        elif any(word in (getattr(node, field, None) or "") for field in ("name", "id", "attr")):
            return True
    return False


LATER: dict[str, str] = {
    "mode": 'mode = "gated"',
    "model.sha256": 'model.sha256 = "ab"',
    "model.thinking": "model.thinking = true",
    "model.hub_token": 'model.hub_token = { env = "TOKEN" }',
    "schedule": 'schedule.window = "mon-fri 20:00-06:00"',
    "budget.day": "budget.day = { cycles = 3 }",
    "budget.month": "budget.month = { money = 9 }",
    "budget.disk": 'budget.disk = "400GiB"',
    "budget.price": "budget.price = { gpu_hour = 2.9 }",
    "budget.total.gpu_hours": "budget.total = { gpu_hours = 3 }",
    "budget.total.promotions": "budget.total = { promotions = 3 }",
    "budget.total.money": "budget.total = { money = 3 }",
    "data.knowledge": 'data.knowledge = ["*.md"]',
    "data.labels": 'data.labels = ["*.jsonl"]',
    "data.real_share": "data.real_share = 0.2",
    "rollouts.engine": 'rollouts.engine = "vllm"',
    "rollouts.python": 'rollouts.python = "/opt/python"',
    "training.gpus": "training.gpus = 8",
    "placement.use": 'placement.use = "ray"',
    "placement.address": 'placement.address = "auto"',
    "placement.rollouts": "placement.rollouts = { workers = 8 }",
    "placement.training": "placement.training = { workers = 1 }",
    "serving": "serving.enabled = false",
    "notify": 'notify.slack = { url = { env = "SLACK" } }',
    "retention": "retention.generations = 50",
    "backup": 'backup.to = "/mnt"',
    "store": 'store.url = "s3://bucket"',
    "api": 'api.listen = "0.0.0.0:1"',
}
"""What a person would write, by the key that is refused."""
ALSO = {
    "model.base": ('base = "builtin:tiny"', 'base = "Qwen/Qwen3-4B"'),
    "environments.extremes.reward": ("[environments.extremes]", '[environments.extremes]\nreward = "judge"'),
    "environments.extremes.use": ("[environments.extremes]", '[environments.extremes]\nuse = "verifiers:gsm8k"'),
}


def test_every_rule_of_a_later_part_is_tried_here() -> None:
    assert {".".join(place) for place, _, _ in RULES} == set(LATER)


def refused_by_name(home: Home, key: str) -> None:
    for verb in (("run", "--cycles", 1), ("plan",), ("config", "check")):
        said = metaevo(*verb, home=home.path, code=2)
        lines = [line for line in (said.err or said.out).splitlines() if key in line]
        assert lines, said
        assert "comes with a later part" in lines[0]
    assert not (home.path / "metaevo.db").exists()


@pytest.mark.parametrize("key", LATER)
def test_a_key_of_a_later_part_is_refused_by_its_name_and_line(tmp_path: Path, key: str) -> None:
    home = small.create(tmp_path / "home", f"{LATER[key]}\n{small.CONFIG}".replace("[model]\nbase", "model.base"))
    (said,) = unsupported_keys(home.config(), home.text)
    assert said.place.startswith(f"metaevo.toml:1: {key}")
    assert "comes with a later part" in said.value
    assert len(said.way_out) > 5


def test_at_start_nothing_is_made_before_it_is_refused(tmp_path: Path) -> None:
    refused_by_name(small.create(tmp_path / "home", small.CONFIG + "[serving]\nenabled = true\n"), "serving")


@pytest.mark.parametrize("key", ALSO)
def test_values_of_a_later_part_are_refused_by_the_name_of_their_key(tmp_path: Path, key: str) -> None:
    home = small.create(tmp_path / "home", small.CONFIG.replace(*ALSO[key]))
    refused_by_name(home, key)


@pytest.mark.parametrize(("name", "keys"), [("one-gpu", 15), ("cluster", 8)])
def test_an_example_for_later_is_refused_here_key_by_key(tmp_path: Path, name: str, keys: int) -> None:
    text = (EXAMPLES / f"{name}.toml").read_text()
    home = small.create(tmp_path / "home", text)
    said = [str(error) for error in unsupported_keys(home.config(), text)]
    assert len(said) >= keys
    assert all(re.match(r"metaevo\.toml:\d+: [a-z_.0-9]+", line) for line in said)
    error = metaevo("run", "--cycles", 1, home=home.path, code=2).err
    assert error == f"metaevo: {said[0]}\n"
    checked = metaevo("config", "check", home=home.path, code=2)
    assert all(line in checked.out for line in said)
