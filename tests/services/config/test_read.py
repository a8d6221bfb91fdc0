"""metaevo.toml: read whole with its defaults, and every fault is one line with place, value and way out."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.errors import BadInput
from objectives.goals import Goal, Protection
from objectives.types import Direction
from services.config.read import at, load, parse, schema
from services.config.tables import Config
from services.home.home import Home
from services.home.open import engine_processes
from services.records import form

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=120)
settings.load_profile("metaevo")

BASE = '[model]\nbase = "builtin:tiny"\n'
EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "deploy" / "examples").glob("*.toml"))
FULL = """\
mode = "observe"
seed = 7
[model]
base = "/models/qwen"
answer = 256
system_prompt = { file = "system.txt" }
[environments.invoices]
use = "environments/invoices.py"
timeout = "5s"
levels = [1, 2]
[environments.support]
use = "dataset"
answer = "label"
[goals.sums]
raise = "addition/3"
target = 0.9
by = 2027-03-01
why = "Customers add."
[protect]
"*" = { margin = 0.02 }
math = { floor = 0.8 }
answer_tokens = { at_most = 1.25 }
[forbid]
abilities = ["role_play"]
[budget.total]
wall_clock = "2h"
"""


def refused(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse(text)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("metaevo.toml")
    return said


def shown(config: Config) -> Any:
    """Return the configuration as `config show --json` prints it."""
    return json.loads(form.text(Config, config))


def test_a_file_of_one_line_has_every_default() -> None:
    config = parse(BASE)
    assert config.model.base == "builtin:tiny"
    assert (config.mode, config.seed, config.gate.alpha, config.search.trials) == ("full", None, 0.05, 6)
    assert (config.environments, config.goals, config.protect) == ({}, {}, {})
    assert config == Config.model_validate(tomllib.loads(BASE))


def test_what_is_written_wins_over_the_defaults_and_its_neighbours_keep_theirs() -> None:
    config = parse(FULL)
    assert (config.model.answer, config.model.name, config.mode, config.seed) == (256, "metaevo", "observe", 7)
    assert config.environments["invoices"].timeout == 5.0
    assert config.environments["invoices"].levels == (1, 2)
    assert config.environments["support"].answer == "label"
    assert config.budget.total.wall_clock == 7200.0
    assert config.budget.day == config.budget.month


def test_wishes_are_plain_records_in_the_order_of_the_file() -> None:
    wishes = parse(FULL).wishes()
    (goal,) = wishes.goals
    assert (goal.name, goal.what, goal.direction, goal.target) == ("sums", "addition/3", Direction.PERFORMANCE, 0.9)
    assert (str(goal.by), goal.why, goal.weight) == ("2027-03-01", "Customers add.", 1.0)
    assert wishes.protections == (
        Protection("*", margin=0.02),
        Protection("math", floor=0.8),
        Protection("answer_tokens", at_most=1.25),
    )
    assert wishes.answer_tokens == 1.25
    assert not wishes.protects_nothing
    assert wishes.forbidden.abilities == ("role_play",)
    assert parse(BASE).wishes().wanted == (Goal("everything", why="No goal is set: whatever is weakest."),)
    assert parse(BASE + '[protect]\n"*" = false\n').wishes().protects_nothing
    beside = parse(BASE + '[protect]\n"*" = false\nmath = { margin = 0.1 }\n').wishes()
    assert (beside.only_named, beside.protections) == (True, (Protection("math", margin=0.1),))


def test_nothing_is_changed_after_reading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(BASE).model.base = "other"  # type: ignore[misc]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_we_ship_parse_and_survive_being_shown(path: Path) -> None:
    config = load(path)
    again = shown(config)
    assert again["model"]["base"] == config.model.base
    assert Config.model_validate(again) == config


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[model]\nbse = 'x'\n", "metaevo.toml:2: model.bse: unknown key, did you mean base?"),
        (BASE + "[gaols.g]\n", "metaevo.toml:3: gaols: unknown key, did you mean goals?"),
        (BASE + "[gate]\nalhpa = 0.1\n", "metaevo.toml:4: gate.alhpa: unknown key, did you mean alpha?"),
        (BASE + "[goals.g]\nrais = 'x'\n", "metaevo.toml:4: goals.g.rais: unknown key, did you mean raise?"),
        (
            BASE + "[environments.mine]\nlvels = [1]\n",
            "metaevo.toml:4: environments.mine.lvels: unknown key, did you mean levels?",
        ),
        (
            BASE + "[protect]\nmath = { margn = 0.1 }\n",
            "metaevo.toml:4: protect.math.margn: unknown key, did you mean margin?",
        ),
        (BASE + "[gate]\nqqq = 1\n", "metaevo.toml:4: gate.qqq: unknown key, known: max_items, screen_items, alpha"),
        (BASE + "gate.qqq = 1\n", "metaevo.toml:3: model.gate: unknown key, known: base, name"),
        ("gate.qqq = 1\n" + BASE, "metaevo.toml:1: gate.qqq: unknown key, known: max_items, screen_items, alpha"),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_way_out(text: str, sentence: str) -> None:
    assert refused(text).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "metaevo.toml: model: is missing; every configuration needs it"),
        ("[model]\n", "metaevo.toml:1: model.base: is missing; every configuration needs it"),
        (BASE + "[gate]\nalpha = 0.9\n", "metaevo.toml:4: gate.alpha = 0.9: input should be less than or equal to 0.2"),
        (BASE + "[gate]\nalpha = nan\n", "metaevo.toml:4: gate.alpha = nan: "),
        ('mode = "quick"\n' + BASE, "metaevo.toml:1: mode = 'quick': input should be 'observe', 'propose', 'gated'"),
        (BASE + "[budget]\ndisk = '1 MB/s'\n", "metaevo.toml:4: budget.disk = '1 MB/s': want a size like 500MiB"),
        (
            BASE + "[budget.total]\nwall_clock = 'soon'\n",
            "wall_clock = 'soon': want a duration like 90s, 9min, 2h or 30d",
        ),
        (BASE + "[environments.a]\npass_mark = 0\n", "environments.a.pass_mark = 0: input should be greater than 0"),
        (BASE + "[environments.a]\nlevels = 3\n", "environments.a.levels = 3: want a list, [ value, value ]"),
        (BASE + "[protect]\nmath = 0.1\n", "protect.math = 0.1: want a table, { key = value }; keys: margin, floor"),
        ('gate.alpha = "x"\n' + BASE, "metaevo.toml:1: gate.alpha = 'x': "),
        ("gate.alpha = 0.1\ngate.qqq = 1\n" + BASE, "metaevo.toml:2: gate.qqq: unknown key"),
        (BASE + "gate = 3\n", "metaevo.toml:3: model.gate: unknown key"),
        ("gate = 3\n" + BASE, "metaevo.toml:1: gate = 3: want a table, { key = value }; keys: max_items"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_is_wanted(text: str, sentence: str) -> None:
    assert sentence in refused(text)


@pytest.mark.parametrize(
    "text", ["base = ", "[model\n", "a = 1\na = 2\n", "x = 1" + "1" * 5000, "x = " + "[" * 20_000, "\x00"]
)
def test_what_is_no_toml_is_said_so(text: str) -> None:
    assert re.match(r"metaevo\.toml(:\d+)?: is not TOML: .*; a line is \[table\] or key = value", refused(text))


@pytest.mark.parametrize("table", ["[notify.a]\nurl", "[ledger]\nurl", "[model]\nbase = 'x'\nhub_token"])
def test_a_secret_is_never_repeated_and_never_taken(table: str) -> None:
    text = table + ' = "hunter2"\n' + ("" if "model" in table else BASE)
    said = refused(text)
    assert "hunter2" not in said
    assert said.endswith('use { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }')


def test_a_secret_has_exactly_one_place(tmp_path: Path) -> None:
    text = BASE + "[notify.a]\nurl = { env = 'A', file = 'b' }\n"
    assert "want exactly one of { env = }, { file = } and { credential = }" in refused(text)
    (url,) = [table.url for table in parse(BASE + "[notify.a]\nurl = { env = 'HOOK' }\n").notify.values()]
    assert (url.env, url.file, url.credential) == ("HOOK", None, None)


def test_reading_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metaevo.toml"
    with pytest.raises(BadInput, match=r"metaevo\.toml: no such file; create a home with `metaevo init`"):
        load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"metaevo\.toml: cannot be read"):
        load(path)
    with pytest.raises(BadInput, match="cannot be read"):
        load(tmp_path)
    path.write_text(BASE)
    assert load(path) == parse(BASE)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (["model", "base"], "metaevo.toml:4: model.base"),
        (["model"], "metaevo.toml:3: model"),
        (["protect", "*"], "metaevo.toml:15: protect.*"),
        (["goals", "sums", "target"], "metaevo.toml:13: goals.sums.target"),
        (["environments", "support", "prompt"], "metaevo.toml:8: environments.support.prompt"),
        (["schedule"], "metaevo.toml: schedule"),
        ([], "metaevo.toml"),
    ],
)
def test_places_are_as_near_as_the_text_shows_them(place: list[str], said: str) -> None:
    text = FULL.replace('answer = 256\nsystem_prompt = { file = "system.txt" }\n', "")
    text = text.replace("levels = [1, 2]\n", "").replace('by = 2027-03-01\nwhy = "Customers add."\n', "")
    assert at(text, place) == said


def test_the_schema_and_what_is_shown_use_the_names_of_the_file() -> None:
    assert "raise" in schema()["$defs"]["GoalTable"]["properties"]
    config = parse(FULL)
    assert shown(config)["goals"]["sums"]["raise"] == "addition/3"
    assert Config.model_validate(shown(config)) == config


ODD = st.sampled_from(
    ["true", "-1", "0", "nan", "1e400", "9" * 25, "''", "'x'", "[]", "[[1]]", "{}", "{a = 1}", "2020-01-01", "[{}]"]
)
PLACES = ["mode", "seed", "environments", "environments.a", "environments.a.levels", "goals.g.raise", "goals.g.by"]
PLACES += ["protect", "protect.math", "protect.'*'", "budget.total", "budget.disk", "gate.alpha", "notify.a", "sandbox"]
PLACES += ["placement.rollouts", "schedule.freeze", "nonsense.a", "model.base", "model.hub_token", "data.replay"]


@given(st.sampled_from(PLACES), ODD)
def test_any_value_anywhere_is_taken_or_refused_in_one_line(place: str, value: str) -> None:
    text = f"{place} = {value}\n" + ("" if place == "model.base" else "" if "model" in place else BASE)
    said, config = "", None
    try:
        config = parse(text)
    except BadInput as error:
        said = str(error)
    assert config is not None or re.fullmatch(r"metaevo\.toml[^\n]+", said)
    assert config is None or Config.model_validate(shown(config)) == config


@given(st.text())
def test_any_text_is_a_configuration_or_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match=r"^metaevo\.toml"):
        parse(text)


def test_an_engine_sees_a_gpu_only_where_training_gpus_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create('[model]\nbase = "builtin:tiny"\n[environments.sorting]\n')
    config = home.config()
    seen = {}
    for gpus in (0, 1):
        wanted = config.model_copy(update={"training": config.training.model_copy(update={"gpus": gpus})})
        (engine,) = engine_processes(home, wanted, 1)
        seen[gpus] = engine.child.environment.get("CUDA_VISIBLE_DEVICES", "as inherited")  # type: ignore[attr-defined]
    assert seen == {0: "", 1: "as inherited"}


def test_odds_is_a_key_of_protect_itself_and_nothing_else_there_is_a_number() -> None:
    assert parse(BASE).odds == 20.0
    found = parse(BASE + "[protect]\nodds = 100\nmath = { margin = 0.05, cell_margin = 0.2 }\n")
    assert found.odds == 100.0
    assert found.wishes().protections == (Protection("math", margin=0.05, cell_margin=0.2),)
    for wrong in ("odds = 1", "math = { odds = 20 }", "odds = { margin = 0.1 }"):
        with pytest.raises(BadInput):
            parse(BASE + f"[protect]\n{wrong}\n")
