"""The autonomy level is computed from what a run really had fixed: H where nothing was, M and L where it was pinned."""

from pathlib import Path
from typing import Any

import pytest
import tomlkit

from metaevo.recipes import schema
from metaevo.registry.registry import Registry
from services.home.home import Home
from tests.journeys import small
from tests.journeys.terminal import metaevo

OBJECTIVE = '[fixed]\nobjective = "other/performance"\n'
RECIPE = 'recipe = "star"\n'


def status(home: Home) -> Any:
    return metaevo("--json", "status", home=home.path).data


def promoted(home: Home) -> list[dict[str, Any]]:
    rows = metaevo("--json", "generations", home=home.path).data
    kept = [row["id"] for row in rows if row["parent"] and row["status"] in ("champion", "retired")]
    return [metaevo("--json", "show", id_, home=home.path).data for id_ in kept]


def modules(generation: dict[str, Any]) -> tuple[str, ...]:
    return schema.Recipe.model_validate(generation["recipe_body"]).modules


def shipped() -> set[tuple[str, ...]]:
    return {schema.load(name, Registry(None)).modules for name in schema.names(None)}


def test_a_run_in_which_nothing_was_pinned_is_computed_h(evolved: Home) -> None:
    examined = [row for row in metaevo("--json", "generations", home=evolved.path).data if row["objective"]]
    assert len({tuple(row["objective"]["cells"]) for row in examined}) > 1
    assert all(row["objective"]["reason"] for row in examined)
    assert any(modules(generation) not in shipped() for generation in promoted(evolved))
    assert status(evolved)["autonomy"] == "H"
    assert "autonomy H" in metaevo("status", home=evolved.path).out


def test_what_people_wrote_is_no_invention(evolved: Home) -> None:
    for number, generation in enumerate(promoted(evolved)):
        body = {key: value for key, value in generation["recipe_body"].items() if value is not None}
        text = tomlkit.dumps(body | {"name": f"mine{number}"})
        (evolved.path / "recipes" / f"mine{number}.toml").write_text(text)
    assert status(evolved)["autonomy"] == "M"


def test_a_run_with_a_pinned_objective_is_m_whatever_its_search_found(tmp_path: Path) -> None:
    aimed = small.forgetful(tmp_path / "home", OBJECTIVE, cycles=1)
    made = promoted(aimed)
    assert any(modules(generation) not in shipped() for generation in made)
    assert {(g["objective"]["ability"], g["objective"]["direction"]) for g in made} == {("other", "performance")}
    assert status(aimed)["autonomy"] == "M"


def test_a_run_with_a_pinned_objective_and_recipe_is_l_and_tries_nothing_else(tmp_path: Path) -> None:
    home = small.forgetful(tmp_path / "home", OBJECTIVE + RECIPE, cycles=1)
    assert status(home)["autonomy"] == "L"
    assert small.recipes(home) == {"star"}


def test_a_run_whose_inventions_were_rolled_back_has_not_shown_h(evolved: Home) -> None:
    while status(evolved)["champion"] != "g000000":  # one after the other: what lies between stays retired, not bad
        metaevo("rollback", "--reason", "none of it helped", home=evolved.path)
    assert status(evolved)["autonomy"] == "M"


def test_before_anything_has_run_there_is_no_label(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    assert status(home)["autonomy"] is None
    assert "autonomy not measured" in metaevo("status", home=home.path).out


PINS = {
    'objective = "painting"\n': "fixed.objective = 'painting': nothing measures it; measured: other/performance",
    'recipe = "staar"\n': "fixed.recipe: no recipe 'staar'; did you mean 'star'?",
}


@pytest.mark.parametrize("pin", PINS)
def test_a_pin_that_names_nothing_is_refused(tmp_path: Path, pin: str) -> None:
    home = small.create(tmp_path / "home", small.CONFIG + f"[fixed]\n{pin}")
    for verb in (("config", "check"), ("run", "--cycles", "1")):
        said = metaevo(*verb, home=home.path, code=2).err
        assert PINS[pin] in said
    assert not (home.path / "metaevo.db").exists()
