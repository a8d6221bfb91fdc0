"""Where environments come from, and what is said when there is none."""

import textwrap
from pathlib import Path

import pytest

from objectives.environment import BadEnvironment
from objectives.finder import BUILT_IN, Source, built_in, find, installed
from objectives.types import ABILITIES, Direction

FILE = "rows = [{'prompt': 'q', 'answer': 'a', 'level': 2}]\ndef reward(completion, answer, **row):\n    return 1.0\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "environments"
    folder.mkdir()
    (folder / "house_rules.py").write_text(FILE)
    return tmp_path


@pytest.fixture
def package(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """A real installed distribution with two entry points, one of which is not a module."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "acme_worlds.py").write_text(FILE + "def thing():\n    return 1\n")
    info = folder / "acme_worlds-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-worlds\nVersion: 1.2\n")
    points = "[metaevo.environments]\nacme = acme_worlds\nacme_thing = acme_worlds:thing\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(folder))
    return "acme"


def source(use: str, folder: Path, name: str = "mine", **options: object) -> Source:
    return Source(name, use, str(folder), options)


def test_every_file_of_the_package_is_listed_and_found(tmp_path: Path) -> None:
    assert built_in() == sorted(path.stem for path in BUILT_IN.glob("[a-z]*.py"))
    for name in built_in():
        assert find(source(name, tmp_path, name)).name == name


def test_home_comes_before_the_package_and_is_listed_as_such(home: Path) -> None:
    (home / "environments" / "addition.py").write_text(FILE)
    assert installed(home) | {"addition": "home", "house_rules": "home", "sorting": "metaevo"} == installed(home)
    assert find(source("addition", home)).levels == (2,)


def test_a_path_is_read_from_the_folder_given(home: Path) -> None:
    assert find(source("environments/house_rules.py", home)).name == "mine"
    with pytest.raises(BadEnvironment, match=r"no file .*elsewhere"):
        find(source("elsewhere.py", home))


def test_entry_points_of_packages(home: Path, package: str) -> None:
    assert installed(home)[package] == "acme-worlds"
    by_name, by_value = find(source(package, home)), find(source("package:acme_worlds", home))
    assert by_name.levels == by_value.levels == (2,)
    assert by_name.version == "acme_worlds 1.2"
    with pytest.raises(BadEnvironment, match=r"must be a module, got function"):
        find(source("acme_thing", home))
    with pytest.raises(BadEnvironment, match=r"no installed package offers 'nothing'.*offered: acme"):
        find(source("package:nothing", home))


def test_unknown_names_come_with_a_suggestion_or_the_list(home: Path) -> None:
    with pytest.raises(BadEnvironment, match=r"mine: no environment 'adition'; did you mean 'addition'\?"):
        find(source("adition", home))
    with pytest.raises(BadEnvironment, match=r"known: .*house_rules"):
        find(source("qqqqqqqq", home))


@pytest.mark.parametrize("kind", ["verifiers", "lm_eval", "openenv"])
def test_adapters_of_a_later_part_are_refused_by_name(home: Path, kind: str) -> None:
    with pytest.raises(BadEnvironment, match=f"{kind} adapter comes with a later part"):
        find(source(f"{kind}:anything", home))


@pytest.mark.parametrize("ability", ABILITIES)
def test_no_environment_is_named_like_an_ability(home: Path, ability: str) -> None:
    with pytest.raises(BadEnvironment, match=f"environments.{ability}: an ability has this name"):
        find(source("addition", home, ability))


def test_options_of_the_table_win_over_the_file(home: Path) -> None:
    program = find(
        source("addition", home, ability="other", direction="safety", levels=[2, 5], timeout_s=4.0, answer_tokens=9)
    )
    assert (program.ability, program.direction, program.levels) == ("other", Direction.SAFETY, (2, 5))
    assert (program.timeout_s, program.answer_tokens) == (4.0, 9)


def test_a_level_the_environment_lacks_is_named(home: Path) -> None:
    with pytest.raises(BadEnvironment, match=r"environments\.mine\.levels: no level 9; it has \[1, 2"):
        find(source("addition", home, levels=[1, 9]))


def test_what_is_never_trained_on_must_be_known_by_its_texts(home: Path) -> None:
    """Rows are known and a text that is read is known; of an endless environment without read nothing is."""
    made = "def make(seed, index, level):\n    return {'prompt': str(index), 'answer': 'a'}\n"
    for name, more in {"made": made, "read": f"{made}def read(text):\n    return None\n"}.items():
        (home / f"{name}.py").write_text(f"def reward(completion, answer, **row):\n    return 1.0\n{more}")
    assert find(source("made.py", home, train=True)).rows is None
    assert find(source("read.py", home, train=False)).read is not None
    with pytest.raises(BadEnvironment, match=r"environments\.mine\.train = False: nobody can tell which texts"):
        find(source("made.py", home, train=False))


def test_listing_runs_no_code_of_the_home(home: Path) -> None:
    trap = home / "ran"
    (home / "environments" / "trap.py").write_text(
        textwrap.dedent(f"""\
        from pathlib import Path
        Path({str(trap)!r}).touch()
        """)
    )
    assert installed(home)["trap"] == "home"
    assert not trap.exists()
    with pytest.raises(BadEnvironment, match="export reward"):
        find(source("trap", home))
    assert trap.exists()


@pytest.mark.parametrize("options", [{"timeout_s": 0.01}, {"pass_mark": 0.3}, {"answer_tokens": 7}])
def test_what_can_change_a_score_is_another_version(home: Path, options: dict[str, float]) -> None:
    plain = find(source("house_rules", home))
    changed = find(source("house_rules", home, **options))
    assert changed.version != plain.version
    assert changed.version == find(source("house_rules", home, **options)).version


def test_what_the_file_says_anyway_and_what_changes_no_score_is_the_same_version(home: Path) -> None:
    plain = find(source("house_rules", home)).version
    said: list[dict[str, object]] = [{"timeout_s": 2, "pass_mark": 1}, {"ability": "math"}, {"direction": "safety"}]
    for options in said:
        assert find(source("house_rules", home, **options)).version == plain
