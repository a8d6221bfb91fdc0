"""A wrong metaevo.toml: one line with place, value and way out, exit 2, nothing written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from services.config.read import Config
from services.home.preflight import NVIDIA
from tests.faults.cli import BASE, installed, metaevo, refused, tree, written


def tables(kind: Any = Config, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every table of the file with one of its keys; keyed tables get the key ``mine``."""
    names = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    yield path, next(iter(names))
    for name, inner in names.items():
        keyed = get_origin(inner) is dict
        for found in inside(inner):
            yield from tables(found, (*path, name, "mine") if keyed else (*path, name))


def inside(kind: Any) -> list[Any]:
    """The table classes in an annotation."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [found for part in get_args(kind) for found in inside(part)]


TABLES = sorted(set(tables()))


def test_every_table_is_tried() -> None:
    names = {".".join(path) for path, _ in TABLES}
    assert {"", "model", "gate", "goals.mine", "protect.mine", "environments.mine", "budget.total"} <= names
    assert {field.alias or name for name, field in Config.model_fields.items() if name not in ("seed", "mode")} <= {
        path[0] for path, _ in TABLES if path
    }


@pytest.mark.parametrize(("path", "key"), TABLES, ids=lambda part: ".".join(part) if isinstance(part, tuple) else part)
def test_a_misspelt_key_in_any_table_is_named_with_what_was_meant(
    tmp_path: Path, path: tuple[str, ...], key: str
) -> None:
    header = f"[{'.'.join(path)}]\n" if path else ""
    text = f"{header}{key}x = 1\n"
    if path[:1] != ("model",):
        text = f'{text}[model]\nbase = "builtin:tiny"\n'
    home = written(tmp_path / "home", text)
    before = tree(home)
    place = ".".join((*path, f"{key}x"))
    line = text.splitlines().index(f"{key}x = 1") + 1
    refused(metaevo("config", "show", home=home), 2, f"metaevo.toml:{line}: {place}: unknown key, did you mean {key}?")
    assert tree(home) == before


WRONG = {
    "no TOML": ("[model", "metaevo.toml: is not TOML", "Expected ']'"),
    "twenty thousand brackets": (f"a = {'[' * 20_000}", "metaevo.toml: is not TOML"),
    "a number of 5,000 digits": (f"seed = {'9' * 5_000}", "metaevo.toml: is not TOML", "4300"),
    "a zero byte": ("\0", "metaevo.toml:1: is not TOML"),
    "the same table twice": (f"{BASE}[model]\n", "metaevo.toml:6: is not TOML", "model", "a line is [table] or key ="),
    "no value": (f"{BASE}[gate]\nalpha = = 3", "metaevo.toml:7: is not TOML: Invalid value (at column 9); a line is"),
    "a number in quotes": (f'{BASE}[diagnosis]\nitems = "8"', "metaevo.toml:7: diagnosis.items = '8': want an integer"),
    "a share in quotes": (f'{BASE}[protect]\nother = {{ margin = "0.4" }}', "margin = '0.4': want a number, without q"),
    "no in quotes": (f'{BASE}[environments.a]\ntrain = "false"', "train = 'false': want true or false, without quotes"),
    "levels in quotes": (f'{BASE}[environments.a]\nlevels = ["1"]', "environments.a.levels.0 = '1': input should be a"),
    "yes for a number": (f"{BASE}[gate]\nmax_items = true", "gate.max_items = True: want an integer"),
    "no model": ("seed = 1", "model: is missing"),
    "no base": ("[model]\n", "metaevo.toml:1: model.base: is missing"),
    "a table that is a number": ("model = 3", "metaevo.toml:1: model = 3: want a table", "keys: base"),
    "a word for a number": (f"{BASE}[gate]\nmax_items = 'many'", "metaevo.toml:7: gate.max_items = 'many'", "integer"),
    "a level of zero error": (f"{BASE}[gate]\nalpha = 0.0", "gate.alpha = 0.0", "greater than 0"),
    "an error of one half": (f"{BASE}[gate]\nalpha = 0.5", "gate.alpha = 0.5", "less than or equal to 0.2"),
    "nan": (f"{BASE}[gate]\nalpha = nan", "gate.alpha = nan"),
    "infinity": (f"{BASE}[search]\nfidelity = inf", "search.fidelity = inf", "less than or equal to 1"),
    "no trials": (f"{BASE}[search]\ntrials = 0", "search.trials = 0", "greater than or equal to 1"),
    "a negative seed": (f"seed = -1\n{BASE[9:]}", "metaevo.toml:1: seed = -1", "greater than or equal to 0"),
    "a seed of 2^63": (f"seed = {2**63}\n{BASE[9:]}", "metaevo.toml:1: seed", "less than"),
    "an unknown mode": (f'mode = "ful"\n{BASE}', "metaevo.toml:1: mode = 'ful'", "'observe'", "'full'"),
    "an unknown direction": (f'{BASE}[goals.a]\ndirection = "speed"', "goals.a.direction = 'speed'", "'performance'"),
    "a weight of zero": (f"{BASE}[goals.a]\nweight = 0", "goals.a.weight = 0", "greater than 0"),
    "a weight of nan": (f"{BASE}[goals.a]\nweight = nan", "goals.a.weight = nan", "finite"),
    "a target of two": (f"{BASE}[goals.a]\ntarget = 2", "goals.a.target = 2", "less than or equal to 1"),
    "a date in words": (f'{BASE}[goals.a]\nby = "soon"', "goals.a.by = 'soon'", "date"),
    "a negative margin": (f"{BASE}[protect]\nsorting = {{ margin = -0.1 }}", "protect.sorting.margin = -0.1"),
    "a protection that is a number": (f"{BASE}[protect]\nsorting = 0.1", "protect.sorting = 0.1", "want a table"),
    "a budget in words": (
        f'{BASE}[budget]\ntotal = {{ wall_clock = "nine" }}',
        "budget.total.wall_clock = 'nine': want a duration like 90s",
    ),
    "a budget of 1e999 hours": (f'{BASE}[budget]\ntotal = {{ wall_clock = "1e999h" }}', "want a duration"),
    "a negative budget": (f'{BASE}[budget]\ntotal = {{ wall_clock = "-3min" }}', "want a duration"),
    "a list that is a word": (f'{BASE}[forbid]\nabilities = "math"', "forbid.abilities = 'math': want a list"),
    "a level that is a word": (
        '[environments.sorting]\nlevels = [1, "a"]\n[model]\nbase = "builtin:tiny"',
        "metaevo.toml:2: environments.sorting.levels.1 = 'a'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_named_with_its_place_and_what_is_wanted(tmp_path: Path, case: str) -> None:
    text, *parts = WRONG[case]
    home = written(tmp_path / "home", text)
    before = tree(home)
    refused(metaevo("config", "show", home=home), 2, *parts)
    assert tree(home) == before


SECRETS = {
    "hub_token": '[model]\nbase = "builtin:tiny"\nhub_token = "hunter2"',
    "ledger": f'{BASE}[ledger]\nurl = "postgresql://me:hunter2@db/evolution"',
    "webhook": f'{BASE}[notify]\nslack = "https://hooks.example/hunter2"',
}


@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(tmp_path: Path, case: str) -> None:
    said = metaevo("config", "show", home=written(tmp_path / "home", SECRETS[case]))
    refused(said, 2, "metaevo.toml:", "a secret is never written here; use { env =")
    assert "hunter2" not in said.err


CONTRADICTIONS = {
    "a goal that is forbidden": (
        '[goals.a]\nraise = "sorting"\n[forbid]\nabilities = ["other"]',
        "goals.a.raise = 'sorting': contradicts forbid.abilities: other; drop one",
    ),
    "a goal on what is only measured": ("train = false\n[goals.a]\nraise = 'sorting'", "train = false"),
    "texts that nobody can keep out of training": (
        '[environments.sums]\nuse = "reasoning_gym:chain_sum"\ntrain = false',
        "environments.sums.train = False: nobody can tell which texts are its own",
        "give it rows or read(text), or drop train = false",
    ),
    "a target below the floor": (
        '[goals.a]\nraise = "sorting"\ntarget = 0.5\n[protect]\nsorting = { floor = 0.9 }',
        "goals.a.target = 0.5: lies below protect.sorting.floor = 0.9",
    ),
    "a direction nothing measures": (
        '[goals.a]\nraise = "sorting"\ndirection = "safety"',
        "goals.a.direction = 'safety': sorting is measured for performance only",
    ),
    "a margin and a floor": (
        "[protect]\nsorting = { margin = 0.1, floor = 0.5 }",
        "protect.sorting: give exactly one of margin, floor and at_most, got margin, floor",
    ),
    "an empty protection": ("[protect]\nsorting = {}", "protect.sorting: give exactly one of"),
    "everything forbidden": ('[forbid]\nabilities = ["other"]', "nothing can be raised"),
    "a forbidden method that does not exist": ('[forbid]\nmethods = ["stra"]', "'stra'; did you mean 'star'?"),
    "a goal nobody measures": ('[goals.a]\nraise = "coding"', "goals.a.raise = 'coding': no environment measures it"),
    "a misspelt goal": ('[goals.a]\nraise = "sortign"', "'sortign': no such ability or environment; did you mean"),
    "a level that is not there": ('[goals.a]\nraise = "sorting/9"', "'sorting/9': sorting has levels 4, 5"),
    "an unmeasured protection": ("[protect]\nlatency_s = { at_most = 2 }", "protect.latency_s", "comes with a later"),
    "a ratio for an ability": ("[protect]\nsorting = { at_most = 2 }", "protect.sorting: at_most is for answer_tokens"),
    "a pinned recipe that does not exist": ('[fixed]\nrecipe = "stra"', "fixed.recipe", "did you mean 'star'?"),
    "a pinned objective nobody measures": ('[fixed]\nobjective = "math"', "fixed.objective = 'math'", "measured: "),
    "a misspelt rule": ('[objective]\nrule = "learning_progres"', "objective.rule", "did you mean 'learning_progress'"),
    "replay data that is forbidden": (
        '[data]\nreplay = ["a.jsonl"]\n[forbid]\ndata = ["*.jsonl"]',
        "data.replay = 'a.jsonl': contradicts forbid.data; drop one",
    ),
    "replay data that is not there": ('[data]\nreplay = ["a.jsonl"]', "data.replay = 'a.jsonl': no such file"),
    "a system prompt that is not there": (
        '[model]\nbase = "builtin:tiny"\nsystem_prompt = { file = "p.txt" }',
        "model.system_prompt.file = 'p.txt': No such file",
    ),
    "a base that does not exist": ('[model]\nbase = "builtin:huge"', "model.base = 'builtin:huge'", "builtin:tiny"),
    "an empty base": ('[model]\nbase = ""', "model.base = ''"),
    "a dialect that does not exist": ('[model]\nbase = "builtin:tiny"\ndialect = "klingon"', "klingon", "english"),
    **(
        {}
        if NVIDIA.exists()
        else {"a GPU that is not there": ("[training]\ngpus = 1", "training.gpus = 1", "gpus = 0")}
    ),
    "no environments": ("[environments]\n", "environments: name at least one"),
}


def home_with(case: str, place: Path) -> Path:
    """A home whose configuration contradicts itself in that way."""
    text, *_ = CONTRADICTIONS[case]
    if text.startswith("[model]"):
        return written(place, f"{text}\n[environments.sorting]\nlevels = [4, 5]\n")
    if text.startswith("[environments]"):
        return written(place, f"{BASE[: BASE.index('[env')]}{text}")
    return written(place, BASE + text)


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_what_contradicts_itself_or_cannot_be_measured_is_refused_before_anything_is_written(
    tmp_path: Path, case: str
) -> None:
    home = home_with(case, tmp_path / "home")
    before = tree(home)
    refused(metaevo("run", "--cycles", "1", home=home), 2, *CONTRADICTIONS[case][1:])
    assert tree(home) == before


@pytest.mark.parametrize("case", ["a goal that is forbidden", "a pinned recipe that does not exist", "an empty base"])
def test_check_says_what_run_would_say(tmp_path: Path, case: str) -> None:
    refused(metaevo("config", "check", home=home_with(case, tmp_path / "home")), 2, *CONTRADICTIONS[case][1:])


def test_a_home_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    refused(metaevo("status", home=tmp_path / "none"), 2, str(tmp_path / "none"), "create one with `metaevo init")
    assert not (tmp_path / "none").exists()


def test_a_key_of_a_later_part_is_refused_by_its_name_and_told_by_check(tmp_path: Path) -> None:
    home = written(tmp_path / "home", f"{BASE}[serving]\nenabled = true")
    before = tree(home)
    refused(metaevo("run", home=home), 2, "metaevo.toml:6: serving: comes with a later part; use `metaevo ask`")
    said = metaevo("config", "check", home=home)
    assert (said.code, "serving: comes with a later part" in said.out) == (2, True)
    assert tree(home) == before


def test_the_installed_script_refuses_in_the_same_words(tmp_path: Path) -> None:
    home = written(tmp_path / "home", f"{BASE}[gate]\nmax_item = 3\n")
    said = installed("--home", home, "config", "show")
    refused(said, 2, "metaevo.toml:7: gate.max_item: unknown key, did you mean max_items?")
    assert said == metaevo("config", "show", home=home)
