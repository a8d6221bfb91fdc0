"""One file is enough: a module or an environment, in the home or in an installed package, takes part in everything."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from metaevo.registry.registry import Registry
from metaevo.search.skeletons import skeletons
from metaevo.search.space import space
from services.home.home import Home
from tests.journeys import small
from tests.journeys.terminal import ROOT, Said, metaevo, shell

PACKAGE = ROOT / "tests" / "plugin_package"
MODULE = PACKAGE / "src" / "acme_metaevo" / "short_answers.py"
ENVIRONMENT = PACKAGE / "src" / "acme_metaevo" / "ones.py"
NAME = "refinement.short_answers"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return small.narrow(tmp_path / "home")


def dropped(home: Home, source: str | Path, slot: str = "refinement", name: str = "short_answers") -> Path:
    """Drop a module's file into the home: this is all that a person does."""
    path = home.path / "modules" / slot / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source.read_text() if isinstance(source, Path) else source)
    return path


def listed(said: Said, name: str = "short_answers") -> dict[str, Any]:
    return next(row for row in said.data if row["name"] == name)


def test_a_file_in_the_home_is_listed_and_documented(home: Home) -> None:
    assert all(row["name"] != "short_answers" for row in metaevo("--json", "modules", "list", home=home.path).data)
    path = dropped(home, MODULE)
    row = listed(metaevo("--json", "modules", "list", home=home.path))
    assert row["slot"] == "refinement"
    assert row["from"] == "home"
    assert row["knobs"] == ["share"]
    assert row["summary"] == "Keep each task's shortest answers: Acme's customers read on phones."
    assert "broken" not in row
    shown = metaevo("--json", "modules", "show", "short_answers", home=home.path).data
    assert shown["file"] == str(path)
    assert shown["knobs"] == [
        {"name": "share", "default": 0.5, "may be": "0 to 1", "searched": [0.2, 0.9], "log": False, "budget": False}
    ]
    text = metaevo("modules", "show", NAME, home=home.path).out
    for part in (NAME, "(home)", "Acme's customers read on phones", "at least one, in order", "0 to 1"):
        assert part in text


def test_a_file_in_the_home_is_searched(home: Home) -> None:
    before = skeletons(Registry(home.path))
    dropped(home, MODULE)
    registry = Registry(home.path)
    found = [s for s in skeletons(registry).values() if NAME in s.recipe.modules]
    assert found
    assert not any(NAME in s.recipe.modules for s in before.values())
    assert f"{NAME}.share" in space(found[0].recipe, registry)
    assert NAME in small.until_tried(home, NAME)


def test_a_recipe_in_the_home_may_name_it_and_its_knobs_are_checked(home: Home) -> None:
    dropped(home, MODULE)
    recipe = home.path / "recipes" / "phones.toml"
    text = (ROOT / "metaevo" / "recipes" / "rft.toml").read_text().replace('"rft"', '"phones"')
    text = text.replace('use = "diversity_filter"', 'use = "short_answers"\nknobs = { share = 0.25 }')
    recipe.write_text(text)
    shown = metaevo("--json", "recipes", "show", "phones", home=home.path).data
    assert shown["stage"][0]["refinement"][1] == {"use": "short_answers", "knobs": {"share": 0.25}}
    assert "phones" in [row["name"] for row in metaevo("--json", "recipes", "list", home=home.path).data]
    recipe.write_text(text.replace("share = 0.25", "share = 1.5"))
    said = metaevo("recipes", "show", "phones", home=home.path, code=2).err
    assert "refinement.short_answers.share = 1.5: want 0 to 1" in said
    recipe.write_text(text.replace("share = 0.25", "shair = 0.25"))
    assert "did you mean share?" in metaevo("recipes", "show", "phones", home=home.path, code=2).err


HEAD = "from metaevo import Experiences\n"
LAWLESS = {
    "reaches for nothing": HEAD
    + "from services.home.home import Home\ndef lawless(rows_R: Experiences) -> Experiences:\n"
    "    return rows_R\n",
    "repeats itself": HEAD + "SEEN = []\ndef lawless(rows_R: Experiences) -> Experiences:\n"
    "    SEEN.append(1)\n    return rows_R[len(SEEN) % 2 :]\n",
    "takes an empty batch": HEAD + "def lawless(rows_R: Experiences) -> Experiences:\n    return (rows_R[0],)\n",
    "groups may be permuted": HEAD + "def lawless(rows_R: Experiences) -> Experiences:\n    return rows_R[:1]\n",
}
UNREADABLE = {
    "fails to import: ZeroDivisionError": "1 / 0\n",
    "must define a function 'lawless'": HEAD + "def other(rows_R: Experiences) -> Experiences:\n    return rows_R\n",
    "must map Experiences to Experiences": HEAD + "def lawless(rows_R: Experiences) -> int:\n    return 1\n",
    "knob 'share' needs a default": HEAD
    + "def lawless(r: Experiences, *, share: float) -> Experiences:\n    return r\n",
}


@pytest.mark.parametrize("law", LAWLESS)
def test_a_lawless_file_is_refused_by_its_name_and_the_law(home: Home, law: str) -> None:
    dropped(home, LAWLESS[law], name="lawless")
    row = listed(metaevo("--json", "modules", "list", home=home.path), "lawless")
    assert row["broken"].startswith(f"refinement.lawless breaks the law '{law}': it")
    assert all("refinement.lawless" not in s.recipe.modules for s in skeletons(Registry(home.path)).values())
    recipe = (ROOT / "metaevo" / "recipes" / "rft.toml").read_text().replace("diversity_filter", "lawless")
    (home.path / "recipes" / "bold.toml").write_text(recipe.replace('"rft"', '"bold"'))
    said = metaevo("recipes", "run", "bold", home=home.path, code=2).err
    assert f"recipe bold: refinement.lawless breaks the law '{law}'" in said
    assert not (home.path / "metaevo.db").exists()


@pytest.mark.parametrize("said", UNREADABLE)
def test_a_file_that_is_no_module_is_refused_by_its_name(home: Home, said: str) -> None:
    dropped(home, UNREADABLE[said], name="lawless")
    row = listed(metaevo("--json", "modules", "list", home=home.path), "lawless")
    assert said in row["broken"]
    assert "lawless" in row["broken"]


def test_a_broken_file_calls_a_person_stops_nothing_and_falls_silent_when_mended(home: Home) -> None:
    path = dropped(home, LAWLESS["repeats itself"], name="lawless")
    (cycle,) = small.evolve(home)
    assert cycle.outcome in ("promote", "hold", "reject", "none")
    assert "refinement.lawless" not in small.tried(home)
    (found,) = metaevo("--json", "status", home=home.path).data["attention"]
    assert (found["code"], found["severity"], found["command"]) == ("module_broken", "ticket", "metaevo modules list")
    assert "refinement.lawless breaks the law 'repeats itself'" in found["sentence"]
    path.unlink()
    assert metaevo("--json", "status", home=home.path).data["attention"] == []


def test_a_name_that_is_taken_is_refused(home: Home) -> None:
    path = dropped(home, MODULE, name="metric_filter")
    said = metaevo("modules", "list", home=home.path, code=1).err
    assert said == f"metaevo: {path}: refinement already has a module 'metric_filter'; give the file another name\n"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter in which Acme's package is installed by pip, beside everything this one has."""
    folder = tmp_path_factory.mktemp("acme")
    shutil.copytree(PACKAGE, folder / "package")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    ours = sysconfig.get_path("purelib")
    (packages / "_ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", packages]
    subprocess.run([*pip, *offline, folder / "package"], check=True)
    return str(folder / "venv" / "bin" / "python")


def test_a_module_of_an_installed_package_is_listed_documented_and_searched(python: str, home: Home) -> None:
    row = listed(shell("--json", "modules", "list", home=home.path, python=python))
    assert (row["slot"], row["from"], row["knobs"]) == ("refinement", "acme-metaevo", ["share"])
    assert "broken" not in row
    shown = shell("--json", "modules", "show", NAME, home=home.path, python=python).data
    assert Path(shown["file"]).parts[-2:] == ("acme_metaevo", "short_answers.py")
    result = subprocess.run(
        [python, "-m", "tests.journeys.small", home.path, NAME], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert NAME in json.loads(result.stdout)


def test_an_environment_of_an_installed_package_is_listed_audited_and_measured(python: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    rows = {row["name"]: row for row in shell("--json", "environments", "list", python=python).data}
    assert rows["ones"]["from"] == "acme-metaevo"
    shell("init", "--environment", "ones", "--goal", "ones", home=home, python=python)
    found = shell("--json", "environments", "check", "ones", home=home, python=python).data
    assert found["usable"]
    assert (found["environment"], found["ability"]) == ("ones", "reasoning")
    assert found["model"]["n"] > 60
    assert "ones" not in [row["name"] for row in metaevo("--json", "environments", "list").data]


def test_a_package_on_the_python_path_is_found_by_graders_too(python: str) -> None:
    (packages,) = Path(python).parents[1].glob("lib/python*/site-packages")
    found = shell("--json", "environments", "check", "ones", environment={"PYTHONPATH": str(packages)}).data
    assert (found["environment"], found["usable"]) == ("ones", True)


def test_an_environment_file_in_the_home_is_found_audited_and_measured(home: Home) -> None:
    shutil.copy2(ENVIRONMENT, home.path / "environments" / "bits.py")
    rows = {row["name"]: row for row in metaevo("--json", "environments", "list", home=home.path).data}
    assert (rows["bits"]["from"], rows["bits"]["used"]) == ("home", False)
    home.config_path.write_text(home.text + "\n[environments.bits]\n")
    rows = {row["name"]: row for row in metaevo("--json", "environments", "list", home=home.path).data}
    assert (rows["bits"]["used"], rows["bits"]["ability"], rows["bits"]["levels"]) == (True, "reasoning", [1, 2, 3])
    assert metaevo("--json", "environments", "check", "bits", home=home.path).data["usable"]
    goals = metaevo("--json", "goals", "list", "--tree", home=home.path).data["goals"]
    assert {"bits/1", "bits/2", "bits/3"} <= set(goals[0]["cells"])


BROKEN = {
    "rows": ("ABILITY = 'math'\ndef reward(completion, **row):\n    return 0.0\n", "rows"),
    "reward": ("ABILITY = 'math'\nrows = [{'prompt': 'a', 'answer': 'b'}]\n", "reward"),
    "import": ("import nosuchthing\n", "nosuchthing"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_environment_file_is_refused_by_its_name(home: Home, kind: str) -> None:
    source, said = BROKEN[kind]
    (home.path / "environments" / "bits.py").write_text(source)
    home.config_path.write_text(home.text + "\n[environments.bits]\n")
    for verb in (("environments", "check", "bits"), ("config", "check"), ("run", "--cycles", "1")):
        error = metaevo(*verb, home=home.path, code=2).err
        assert "bits" in error
        assert said in error
    assert not (home.path / "metaevo.db").exists()
