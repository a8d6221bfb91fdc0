"""Finding modules: built in, the home's, a package's; edits are noticed; nothing is imported by listing."""

import importlib.util
from pathlib import Path

import pytest

from metaevo.errors import ModuleFailed, UnknownModule
from metaevo.registry.registry import OURS, ROOT, Registry, _closure, code_digest
from metaevo.registry.slots import SLOTS

GOOD = '''"""Keep the first rows."""
from metaevo import Experiences


def first_rows(experiences: Experiences, *, strict: bool = True) -> Experiences:
    """Return the first half."""
    return experiences[: len(experiences) // 2]
'''


def written(home: Path, source: str, name: str = "first_rows", slot: str = "refinement") -> Path:
    path = home / "modules" / slot / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return path


def test_every_file_of_the_package_is_found_and_named_like_its_file() -> None:
    registry = Registry()
    for slot in SLOTS:
        files = {path.stem for path in (OURS / slot).glob("[a-z]*.py")}
        assert set(registry.names(slot)) >= files
        for name in files:
            module = registry.get(slot, name)
            assert (module.slot, module.name, module.call.__name__) == (slot, name, name)
            assert registry.where(slot, name) == "metaevo"
            assert module.doc


def test_a_home_s_file_is_a_module_and_nothing_else_is_needed(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    registry = Registry(tmp_path)
    assert "first_rows" in registry.names("refinement")
    assert registry.where("refinement", "first_rows") == "home"
    assert registry.get("refinement", "first_rows").call((1, 2, 3, 4)) == (1, 2)
    assert "first_rows" not in Registry().names("refinement")


def test_listing_imports_nothing(tmp_path: Path) -> None:
    written(tmp_path, "raise RuntimeError('imported')\n", "loud")
    assert "loud" in Registry(tmp_path).names("refinement")
    with pytest.raises(ModuleFailed, match=r"loud\.py: fails to import: RuntimeError: imported"):
        Registry(tmp_path).get("refinement", "loud")


def test_an_edit_is_read_at_the_next_get(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    registry = Registry(tmp_path)
    before = registry.get("refinement", "first_rows")
    assert registry.get("refinement", "first_rows") is before
    written(tmp_path, GOOD.replace("// 2", "// 4"))
    after = registry.get("refinement", "first_rows")
    assert after.call((1, 2, 3, 4)) == (1,)
    assert after.digest != before.digest
    assert before.call((1, 2, 3, 4)) == (1, 2)


def test_a_name_of_ours_cannot_be_taken(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "metric_filter")
    with pytest.raises(ModuleFailed, match=r"refinement already has a module 'metric_filter'; give the file another"):
        Registry(tmp_path).names("refinement")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "must define a function 'first_rows', like the file's name"),
        ("first_rows = 3\n", "must define a function 'first_rows'"),
        ("class first_rows:\n    pass\n", "must define a function 'first_rows'"),
        ("def first_rows(:\n", "fails to import: SyntaxError"),
        ("import nothing_of_that_name\n", "fails to import: ModuleNotFoundError"),
        ("\0", "fails to import: SyntaxError"),
        ("# -*- coding: nonsense -*-\n", "fails to import: SyntaxError"),
        (GOOD.replace("-> Experiences", "-> int"), "must map Experiences to Experiences, got Experiences to int"),
    ],
)
def test_a_broken_file_is_its_own_failure(tmp_path: Path, source: str, sentence: str) -> None:
    written(tmp_path, source)
    with pytest.raises(ModuleFailed, match=sentence):
        Registry(tmp_path).get("refinement", "first_rows")
    assert Registry(tmp_path).get("refinement", "metric_filter").name == "metric_filter"


def test_a_file_that_exits_at_import_is_its_own_failure(tmp_path: Path) -> None:
    written(tmp_path, "import sys\nsys.exit('usage: ...')\n")
    with pytest.raises(ModuleFailed, match=r"first_rows\.py"):
        Registry(tmp_path).get("refinement", "first_rows")


@pytest.mark.parametrize("source", ["x = " + "-" * 5000 + "1\n", "x = " + "a." * 5000 + "a\n"])
def test_a_deeply_nested_file_stops_nobody(tmp_path: Path, source: str) -> None:
    written(tmp_path, source)
    assert Registry(tmp_path).digest()


@pytest.mark.parametrize(
    ("slot", "name", "sentence"),
    [
        ("refinement", "metric_filtr", r"recipe: no refinement module 'metric_filtr'; did you mean 'metric_filter'\?"),
        ("refinement", "qqqqq", "recipe: no refinement module 'qqqqq'; installed: diversity_filter, experience_replay"),
        ("feedback", "metric_filter", "no feedback module 'metric_filter'"),
        ("judge", "x", "recipe: no slot 'judge'; slots are tasks, solutions"),
        ("refinement", "../tasks/pool_sampling", "no refinement module '../tasks/pool_sampling'"),
        ("refinement", "__init__", "no refinement module '__init__'"),
    ],
)
def test_unknown_names_come_with_a_way_out(slot: str, name: str, sentence: str) -> None:
    with pytest.raises(UnknownModule, match=sentence):
        Registry().get(slot, name)


def test_digest_notices_edits_additions_and_removals(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    nothing = registry.digest()
    path = written(tmp_path, GOOD)
    one = registry.digest()
    path.write_text(GOOD + "# edited\n")
    edited = registry.digest()
    path.unlink()
    assert len({nothing, one, edited}) == 3
    assert registry.digest() == nothing == Registry().digest()


@pytest.mark.parametrize(
    "line",
    [
        "import metaevo.learning.averaging",
        "from metaevo.learning.averaging import search",
        "def f():\n    from metaevo.learning.averaging import search",
        "from metaevo.learning import averaging",
    ],
)
def test_a_module_s_digest_covers_the_project_files_it_imports(tmp_path: Path, line: str) -> None:
    """The helper's own imports come with it: an edit of any of them is an edit of the module."""
    seen: dict[Path, str] = {}
    _closure(written(tmp_path, line + "\n", "using"), seen)
    assert ROOT / "metaevo" / "learning" / "averaging.py" in seen
    assert ROOT / "objectives" / "types.py" in seen


def test_a_digest_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    one, two = written(tmp_path / "a", GOOD), written(tmp_path / "b", GOOD)
    assert code_digest(one) == code_digest(two)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real installed distribution that offers two refinement modules, one of them broken."""
    (tmp_path / "acme_rows.py").write_text(GOOD)
    (tmp_path / "acme_broken.py").write_text("import nothing_of_that_name\n")
    info = tmp_path / "acme_rows-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rows\nVersion: 3.1\n")
    points = "[metaevo.refinement]\nfirst_rows = acme_rows\nbroken_rows = acme_broken\nby_name = acme_rows:first_rows\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_package_s_entry_point_is_a_module(package: Path) -> None:
    registry = Registry()
    assert {"first_rows", "broken_rows"} <= set(registry.names("refinement"))
    assert registry.where("refinement", "first_rows") == "acme-rows"
    module = registry.get("refinement", "first_rows")
    assert module.path == package / "acme_rows.py"
    assert module.call((1, 2)) == (1,)
    with pytest.raises(ModuleFailed, match="entry point acme_broken: ModuleNotFoundError"):
        registry.get("refinement", "broken_rows")
    with pytest.raises(ModuleFailed, match="must define a function 'by_name'"):
        registry.get("refinement", "by_name")


def test_a_package_changes_the_registry_s_digest(package: Path) -> None:
    with_it = Registry().digest()
    (package / "acme_rows-3.1.dist-info" / "entry_points.txt").write_text("")
    assert importlib.util.find_spec("acme_rows") is not None
    assert Registry().digest() != with_it
