"""Search speaks of traits, never of names: what is declared is checked, and a stranger's modules are combined by it."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from metaevo.errors import ModuleFailed
from metaevo.recipes.schema import Recipe, from_data
from metaevo.recipes.schema import names as recipes
from metaevo.registry.generated import FORMS
from metaevo.registry.laws import problems, unlawful_modules
from metaevo.registry.registry import OURS, ROOT, Registry
from metaevo.registry.slots import SLOTS
from metaevo.search.composition import broken_rule
from metaevo.search.skeletons import Skeleton, skeletons
from metaevo.search.space import default_params, with_knobs
from metaevo.traits import Trait

REGISTRY = Registry()
PACKAGE = ROOT / "tests" / "plugin_package"
GOLDEN = Path(__file__).parent / "skeletons.txt"
PAIRS, WINNERS = "refinement.phone_pairs", "update.winners_only"


def test_the_shipped_modules_give_the_skeletons_of_the_record_in_its_order() -> None:
    assert list(skeletons(REGISTRY)) == GOLDEN.read_text().splitlines()


def test_search_says_no_module_s_and_no_recipe_s_name() -> None:
    names = {name for slot in SLOTS for name in REGISTRY.names(slot)} | set(recipes())
    for path in sorted((ROOT / "metaevo" / "search").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said = names & set(re.findall(r"[a-z_]+", node.value)) if " " not in node.value else set()
                assert not said, f"{path.name}:{node.lineno} names {said}"


def test_every_trait_is_said_of_some_slot_and_used_by_a_module_we_ship() -> None:
    used = {trait for slot in SLOTS for name in REGISTRY.names(slot) for trait in REGISTRY.get(slot, name).traits}
    assert used == set(Trait)
    for trait in Trait:
        assert set(trait.slots) <= set(SLOTS)
        assert trait.about
    for (slot, kind), form in FORMS.items():
        assert all(slot in trait.slots for trait in form.traits), (slot, kind)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "('gives_pears',)",
            r"refinement\.mine: TRAITS: unknown trait 'gives_pears'; did you mean Trait\.GIVES_PAIRS\?",
        ),
        ("(3,)", r"refinement\.mine: TRAITS: unknown trait '3'; known: needs_rounds, "),
        ("'chooses'", r"refinement\.mine: TRAITS = 'chooses': want a tuple of traits, like \(Trait\.CHOOSES,\)"),
        ("None", r"refinement\.mine: TRAITS = None: want a tuple of traits"),
    ],
)
def test_an_unknown_trait_is_one_line(tmp_path: Path, said: str, sentence: str) -> None:
    with pytest.raises(ModuleFailed, match=sentence) as error:
        written(tmp_path, said).get("refinement", "mine")
    assert "\n" not in str(error.value)


def written(home: Path, said: str, body: str = "return rows") -> Registry:
    """Return the registry of a home with one refinement module that declares this."""
    path = home / "modules" / "refinement" / "mine.py"
    path.parent.mkdir(parents=True)
    head = f"from metaevo import *\n\nTRAITS = {said}\n\n\n"
    path.write_text(f'"""Mine."""\n{head}def mine(rows: Experiences) -> Experiences:\n    {body}\n')
    return Registry(home)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("(Trait.GIVES_VERDICT,)", "it declares gives_verdict, which is said in feedback"),
        ("(Trait.REPLAYS,)", "it declares replays without asking for Archive or Past"),
        ("(Trait.NEEDS_ROUNDS,)", "it declares needs_rounds without asking for Past"),
    ],
)
def test_a_trait_that_the_signature_cannot_hold_is_lawless(tmp_path: Path, said: str, sentence: str) -> None:
    assert sentence in unlawful_modules(written(tmp_path, said))["refinement", "mine"]


def test_what_chooses_and_makes_rows_is_lawless(tmp_path: Path) -> None:
    body = "return tuple(Experience(Attempt(r.attempt.task, solved((Turn('assistant', 'new', 'x'),)))) for r in rows)"
    (said,) = unlawful_modules(written(tmp_path, "(Trait.CHOOSES,)", body)).values()
    assert said.endswith("it declares chooses and makes rows")


@pytest.mark.parametrize(("said", "place"), [("(Trait.MAKES_ROWS,)", 0), ("(Trait.SHORTENS, Trait.REVISES)", -1)])
def test_where_a_home_s_module_goes_is_said_by_its_traits(tmp_path: Path, said: str, place: int) -> None:
    found = [s for s in skeletons(written(tmp_path, said)).values() if "refinement.mine" in s.recipe.modules]
    assert {s.recipe.stage[0].refinement[place].use for s in found} == {"mine"}


def test_a_home_s_replay_serves_where_one_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "modules" / "refinement" / "mine.py"
    path.parent.mkdir(parents=True)
    source = (OURS / "refinement" / "experience_replay.py").read_text()
    path.write_text(source.replace("def experience_replay(", "def mine("))
    found = [s.recipe.modules for s in skeletons(Registry(tmp_path)).values() if "refinement.mine" in s.recipe.modules]
    assert [made for made in found if "refinement.experience_replay" not in made]
    assert all(made[made.index("refinement.mine") + 1].split(".")[0] != "refinement" for made in found)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The registry of an interpreter that finds the package of a stranger, as one that is installed."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "acme_metaevo-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-metaevo\nVersion: 1.2.3\n")
    points = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in known.items())
        for group, known in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(PACKAGE / "src"))
    return Registry()


def test_a_stranger_s_pair_maker_and_update_that_takes_pairs_find_each_other(acme: Registry) -> None:
    assert unlawful_modules(acme) == {}
    found = [s for s in skeletons(acme).values() if s.preset is None]
    with_update = [s for s in found if WINNERS in s.recipe.modules]
    makers = {m for s in with_update for m in s.recipe.modules if m in (PAIRS, "refinement.preference_pairs")}
    assert makers == {PAIRS, "refinement.preference_pairs"}
    for s in with_update:
        assert sum(m in (PAIRS, "refinement.preference_pairs") for m in s.recipe.modules) == 1, s.id
    learners = {m for s in found if PAIRS in s.recipe.modules for m in s.recipe.modules if m.startswith("update.")}
    assert learners == {WINNERS, "update.preference_optimization"}
    for s in found:
        made = with_knobs(s.recipe, default_params(s.recipe, acme), acme).filled(acme)
        assert broken_rule(made, acme) is None


def test_pairs_are_made_once(acme: Registry) -> None:
    def recipe(*refinement: str) -> Recipe:
        steps = [{"use": name} for name in refinement]
        stage = {
            "tasks": [{"use": "pool_sampling"}],
            "solutions": {"use": "direct_sampling"},
            "feedback": [{"use": "answer_check"}],
            "refinement": steps,
            "stability": [{"use": "low_rank_adaptation"}],
            "update": {"use": "preference_optimization"},
        }
        return from_data({"name": "x", "stage": [stage]}, acme, "x")

    assert broken_rule(recipe("phone_pairs"), acme) is None
    assert broken_rule(recipe("preference_pairs", "phone_pairs"), acme) == "pairs are made once"


def test_a_stranger_s_modules_obey_the_laws(acme: Registry) -> None:
    for name in (PAIRS, WINNERS, "refinement.short_answers"):
        assert list(problems(acme.get(*name.split(".")))) == []


LISTING = """
import json, metaevo
from metaevo.registry.registry import Registry
from metaevo.search.skeletons import skeletons
found = [[s.id, s.preset, s.recipe.model_dump(mode="json")] for s in skeletons(Registry()).values()]
print(json.dumps([metaevo.__file__, found]))
"""


def renamed_tree(folder: Path) -> dict[str, str]:
    """Copy our packages with every module's file and function called otherwise; return what is called how now."""
    for package in ("metaevo", "objectives", "sandbox"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    new: dict[str, str] = {}
    for slot in SLOTS:
        for path in sorted((folder / "metaevo" / "modules" / slot).glob("[a-z]*.py")):
            name = new[path.stem] = "m" + hashlib.blake2b(path.stem.encode(), digest_size=4).hexdigest()
            source = path.read_text().replace(f"def {path.stem}(", f"def {name}(")
            path.unlink()
            path.with_name(f"{name}.py").write_text(source)
    for path in (folder / "metaevo" / "recipes").glob("*.toml"):
        path.write_text(called(path.read_text(), new))
    return new


def called(text: str, new: dict[str, str]) -> str:
    """Return a recipe's text with its modules called otherwise."""
    return re.sub(r'^use = "([a-z_]+)"', lambda m: f'use = "{new[m[1]]}"', text, flags=re.MULTILINE)


def test_in_a_tree_whose_modules_are_all_called_otherwise_search_proposes_the_same(tmp_path: Path) -> None:
    """Proposals of one length stand in the order of their id's digest, so with other names those may change places."""
    new = renamed_tree(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LISTING], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    place, found = json.loads(done.stdout)
    assert Path(place).is_relative_to(tmp_path)
    ours = list(skeletons(REGISTRY).values())
    want = [[ids(s, new), s.preset, renamed(s.recipe, new)] for s in ours]
    presets = sum(s.preset is not None for s in ours)
    assert found[:presets] == want[:presets]
    assert sorted(found, key=repr) == sorted(want, key=repr)


def ids(skeleton: Skeleton, new: dict[str, str]) -> str:
    return re.sub(r"[a-z_]+", lambda m: new.get(m[0], m[0]), skeleton.id)


def renamed(recipe: Recipe, new: dict[str, str]) -> object:
    """Return a recipe as data with its modules called otherwise."""

    def walk(data: object) -> object:
        if isinstance(data, list):
            return [walk(item) for item in data]
        if isinstance(data, dict):
            return {key: new.get(value, value) if key == "use" else walk(value) for key, value in data.items()}
        return data

    return walk(recipe.model_dump(mode="json"))
