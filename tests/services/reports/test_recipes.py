"""A broken recipe of the home is named with its reason by the list and by the check of the configuration."""

from pathlib import Path

from metaevo.recipes import schema
from tests.journeys import small
from tests.journeys.terminal import metaevo


def test_a_broken_recipe_is_named_with_its_reason(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    good = next(path for path in Path(schema.__file__).parent.glob("*.toml") if "prior" in path.read_text())
    lines = [line for line in good.read_text().splitlines() if not line.startswith(("name", "prior"))]
    (home.path / "recipes").mkdir(exist_ok=True)
    path = home.path / "recipes" / "mine.toml"
    path.write_text("\n".join(['name = "mine"', "prior = -1", *lines]))

    (row,) = [row for row in metaevo("--json", "recipes", "list", home=home.path).data if "broken" in row]
    assert row["name"] == "mine"
    assert "prior" in row["broken"]
    assert f"mine is broken: {row['broken']}" in metaevo("recipes", "list", home=home.path).out.splitlines()

    found = metaevo("--json", "config", "check", home=home.path).data
    assert (found["ok"], found["broken_recipes"]) == (True, [row])
    said = metaevo("config", "check", home=home.path).out
    assert row["broken"] in said.splitlines()
    assert "is fine" not in said
    path.unlink()
    assert "is fine" in metaevo("config", "check", home=home.path).out
