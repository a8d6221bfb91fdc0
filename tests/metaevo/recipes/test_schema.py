"""Recipes are data: presets load, unknown words are named, the hash is what a recipe does and not what it is called."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from metaevo.errors import BadInput
from metaevo.recipes.schema import FOLDER, PROSE, Recipe, from_data, load, names, parse
from metaevo.registry.registry import Registry
from tests.recipes import rft

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("metaevo")

REGISTRY = Registry()
PRESETS = sorted(path.stem for path in FOLDER.glob("*.toml"))
BODY = rft(tasks="n = 160")


def mine(old: str = "", new: str = "") -> Recipe:
    assert old in BODY
    return parse(BODY.replace(old, new, 1) if old else BODY, REGISTRY, "mine.toml")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_loads_complete_and_faithful(name: str) -> None:
    recipe = load(name, REGISTRY)
    assert recipe.name == name
    assert recipe.faithful
    assert recipe.system
    assert recipe.doc
    assert recipe.observable
    assert recipe.filled(REGISTRY) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    for stage in recipe.stage:
        for slot, _, step in stage.steps():
            assert set(step.knobs) == set(REGISTRY.get(slot, step.use).knobs.model_fields)


def test_presets_are_different_recipes() -> None:
    assert len({load(name, REGISTRY).hash for name in PRESETS}) == len(PRESETS) == 9


def test_the_hash_ignores_prose_and_what_is_written_out() -> None:
    recipe = mine()
    prose = (
        "\n".join(f'{key} = "something else"' for key in sorted(PROSE - {"name", "faithful"})) + "\nfaithful = true\n"
    )
    assert mine('name = "mine"', 'name = "yours"\n' + prose).hash == recipe.hash
    assert mine('"metric_filter"', '"metric_filter"\ncap = 4').hash == recipe.hash
    assert mine("n = 160", "knobs = { n = 160 }").hash == recipe.hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("n = 160", "n = 161"),
        ("[[stage]]", "[[stage]]\nrounds = 2"),
        ("[[stage]]", '[[stage]]\nstart = "base"'),
        ("[[stage]]", '[[stage]]\ncombine = "mean"'),
        ('"metric_filter"', '"diversity_filter"'),
        ("[[stage.refinement]]", '[[stage.stability]]\nuse = "low_rank_adaptation"\n[[stage.refinement]]'),
        ('name = "mine"', 'name = "mine"\n[[consolidation]]\nuse = "adaptive_model_averaging"\n'),
    ],
)
def test_the_hash_follows_what_a_recipe_does(old: str, new: str) -> None:
    assert mine(old, new).hash != mine().hash


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("n = 160", "m = 160", r"mine\.toml: stage 1: tasks\.pool_sampling\.m = 160: unknown knob"),
        ("n = 160", "n = 0", r"stage 1: tasks\.pool_sampling\.n = 0: want 1 to 100000"),
        (
            '"pool_sampling"',
            '"pool_samplng"',
            r"stage 1: no tasks module 'pool_samplng'; did you mean 'pool_sampling'\?",
        ),
        ("[[stage.tasks]]", "[[stage.task]]", r"mine\.toml: stage\.0\.task: known: rounds, start, combine, tasks"),
        ('name = "mine"', 'name = "mine"\nalpha = 0.9', r"mine\.toml: alpha: known: name, doc"),
        ('name = "mine"', 'name = "mine"\nseed = 3', r"mine\.toml: seed: known: name"),
        ('name = "mine"', 'name = "mine"\nprotect = ["math"]', r"mine\.toml: protect: known"),
        ("[[stage]]", "[[stage]]\nitems = 3", r"stage\.0\.items: known: rounds"),
        ("[[stage]]", "[[stage]]\nrounds = 0", r"stage\.0\.rounds: input should be greater than or equal to 1"),
        ("[[stage]]", "[[stage]]\nrounds = 99", r"stage\.0\.rounds: input should be less than or equal to 16"),
        ("[[stage]]", '[[stage]]\nstart = "best"', r"stage\.0\.start: input should be 'previous', 'parent' or 'base'"),
        ('name = "mine"', "", r"mine\.toml: name: field required"),
        ('[stage.update]\nuse = "supervised_finetune"', "", r"stage\.0\.update: field required"),
        ('use = "metric_filter"', "cap = 3", r"stage\.0\.refinement\.0\.use"),
        ("[[stage]]", "[[stage", r"mine\.toml: Expected"),
    ],
)
def test_wrong_recipes_are_refused_in_one_line(old: str, new: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        mine(old, new)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [{}, {"name": "x"}, {"name": "x", "stage": []}, {"name": "x", "stage": 3}])
def test_a_recipe_needs_a_stage(data: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"here: (name|stage)"):
        from_data(data, REGISTRY, "here")


def test_an_online_update_takes_tasks_and_feedback_only() -> None:
    online = BODY.replace("supervised_finetune", "policy_gradient")
    with pytest.raises(BadInput, match="update 'policy_gradient' is online; drop solutions and refinement"):
        parse(online, REGISTRY, "x")
    bare = '{head}[stage.update]\nuse = "policy_gradient"\n'.format(head='name = "x"\n[[stage]]\n')
    with pytest.raises(BadInput, match="update 'policy_gradient' is online; add the feedback that rewards it"):
        parse(bare, REGISTRY, "x")


def test_steps_come_in_the_order_in_which_they_run() -> None:
    recipe = load("rft", REGISTRY)
    slots = [slot for slot, _, _ in recipe.stage[0].steps()]
    assert slots == sorted(slots, key=["tasks", "solutions", "feedback", "refinement", "stability", "update"].index)
    assert recipe.modules[0] == "tasks.pool_sampling"
    assert recipe.modules[-1] == "update.supervised_finetune"


def test_publishes_counts_rounds_and_merges() -> None:
    assert load("rft", REGISTRY).publishes == 1
    assert load("self", REGISTRY).publishes == 4
    assert mine("[[stage]]", "[[stage]]\nrounds = 3").publishes == 3
    merged = mine('name = "mine"', 'name = "mine"\n[[consolidation]]\nuse = "adaptive_model_averaging"\n')
    assert merged.publishes == 2


def test_a_recipe_cannot_be_changed_after_reading() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        mine().stage[0].rounds = 5  # type: ignore[misc]


def test_recipes_of_a_home_are_found_by_name_and_by_file(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    path = tmp_path / "recipes" / "mine.toml"
    path.write_text(BODY)
    registry = Registry(tmp_path)
    assert set(names(tmp_path)) == {*PRESETS, "mine"}
    assert load("mine", registry) == load(str(path), registry) == mine()
    with pytest.raises(BadInput, match=r"no recipe 'mien'; did you mean 'mine'\?"):
        load("mien", registry)
    with pytest.raises(BadInput, match=r"no recipe '/nowhere\.toml'"):
        load("/nowhere.toml", registry)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"name = 1" + b"1" * 5000, b"name = " + b"[" * 20_000], ids=["binary", "digits", "nested"]
)
def test_a_damaged_recipe_file_is_bad_input(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "odd.toml").write_bytes(data)
    with pytest.raises(BadInput, match=r"odd\.toml"):
        load("odd", Registry(tmp_path))


@given(st.sampled_from(PRESETS), st.randoms())
def test_a_recipe_survives_the_ledger_whatever_the_order_of_its_keys(name: str, rng: Any) -> None:
    recipe = load(name, REGISTRY)
    data = recipe.model_dump(mode="json")
    keys = list(data)
    rng.shuffle(keys)
    again = from_data({key: data[key] for key in keys}, REGISTRY, "ledger")
    assert again == recipe
    assert again.hash == recipe.hash
