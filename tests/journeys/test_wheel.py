"""A wheel, built from this tree and installed alone beside what it declares to need: its commands work, the demo runs.

The environment is a clean one outside the checkout. What the wheel needs is linked into it, and nothing else: neither
this checkout, nor what only its tests need. So whatever is not packaged, or not declared, is missed here.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from objectives.types import JsonValue
from services.home.home import Home
from tests.journeys.schemas import must_fit
from tests.journeys.terminal import ROOT
from tests.replay.golden import unpack

PACKAGES = ("metaevo", "objectives", "sandbox", "services")
SOURCE = ("pyproject.toml", "README.md", "LICENSE", "deploy", *PACKAGES)
GOLDEN = ROOT / "tests" / "replay" / "golden" / "schema_2.tar.zst"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
pytestmark = pytest.mark.full


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that holds the wheel."""

    venv: Path
    packages: Path
    user: Path
    """The home directory of who uses it, and where its commands are run."""

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables that its commands get: no other path to Python's packages."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return kept | {"HOME": str(self.user), "HF_HUB_OFFLINE": "1"}

    def run(self, *command: object) -> str:
        """Return what a command of this environment prints."""
        program, *words = map(str, command)
        done = subprocess.run(
            [self.venv / "bin" / program, *words],
            cwd=self.user,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program} {words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def data(self, *words: object) -> JsonValue:
        """Return what `metaevo --json` prints, which its schema allows."""
        said = self.run("metaevo", "--json", *words)
        must_fit(words, said)
        data: JsonValue = json.loads(said)
        return data


def needed(wheel: Distribution) -> Iterator[Distribution]:
    """Yield what the wheel declares to need, and what that needs; no extras."""
    seen: set[str] = set()
    asked = list(wheel.requires or [])
    while asked:
        wanted = Requirement(asked.pop())
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        found = distribution(wanted.name)
        assert wanted.specifier.contains(found.version, prereleases=True), (str(wanted), found.version)
        if found.name not in seen:
            seen.add(found.name)
            yield found
            asked += found.requires or []


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel of this tree in a clean environment."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "tree" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (folder / "tree").mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, folder / "tree" / name)
    offline = ["--no-deps", "--no-index"]
    build = ["wheel", *offline, "--no-build-isolation", "-w", folder / "wheels", folder / "tree"]
    subprocess.run([*PIP, *build], check=True)
    (wheel,) = (folder / "wheels").iterdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    into = ["--python", folder / "venv" / "bin" / "python", "install", *offline, wheel]
    subprocess.run([*PIP, *into], check=True)
    shutil.rmtree(folder / "tree")
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    for part in needed(PathDistribution(next(packages.glob("metaevo-*.dist-info")))):
        for top in {file.parts[0] for file in part.files or []} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(str(part.locate_file(top)))
    (folder / "user").mkdir()
    return Installed(folder / "venv", packages, folder / "user")


def test_everything_comes_from_the_wheel_and_the_checkout_is_not_there(installed: Installed) -> None:
    asked = f"import sys, {', '.join(PACKAGES)}; print(*(m.__file__ for m in ({', '.join(PACKAGES)})), *sys.path)"
    places = [Path(place) for place in installed.run("python", "-c", asked).split()]
    assert places[: len(PACKAGES)] == [installed.packages / name / "__init__.py" for name in PACKAGES]
    assert not any(place.is_relative_to(ROOT) for place in places)
    for absent in ("tests", "pytest", "hypothesis", "psycopg"):
        found = installed.run("python", "-c", f"from importlib.util import find_spec; print(find_spec('{absent}'))")
        assert found == "None\n"


def test_no_file_of_the_packages_is_missing_and_the_license_is_there(installed: Installed) -> None:
    for package in PACKAGES:
        ours = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.*") if "__pycache__" not in path.parts}
        theirs = {path.relative_to(installed.packages) for path in (installed.packages / package).rglob("*.*")}
        assert ours - theirs == set()
    (about,) = installed.packages.glob("metaevo-*.dist-info")
    assert (about / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "License-Expression: Apache-2.0\n" in (about / "METADATA").read_text("utf-8")
    examples = {path.name for path in (ROOT / "deploy" / "examples").iterdir() if path.is_file()}
    assert examples <= {path.name for path in (installed.venv / "share" / "metaevo" / "examples").iterdir()}


def test_its_commands_list_what_the_checkout_has(installed: Installed) -> None:
    assert "Evolve a language model by itself" in installed.run("metaevo", "--help")
    doctor = installed.data("doctor")
    assert isinstance(doctor, dict)
    assert doctor["healthy"]
    for noun, folder, pattern in (
        ("modules", "metaevo/modules", "[a-z]*/[a-z]*.py"),
        ("recipes", "metaevo/recipes", "*.toml"),
        ("environments", "objectives/environments", "[a-z]*.py"),
    ):
        rows = installed.data(noun, "list")
        assert isinstance(rows, list)
        assert not any(isinstance(row, dict) and row.get("broken") for row in rows)
        names = sorted(str(row["name"]) for row in rows if isinstance(row, dict))
        found = (ROOT / folder).glob(pattern)
        assert names == sorted(path.stem for path in found if path.parent.name != "shared"), noun


def test_it_migrates_a_home_of_former_code(installed: Installed, tmp_path: Path) -> None:
    home = unpack(GOLDEN, tmp_path)
    status = installed.data("--home", home, "status")
    assert isinstance(status, dict)
    assert status["champion"]
    assert installed.data("--home", home, "why", "--latest")


SMALLER = {
    **{f"{name} = {{}}\n": "" for name in ("addition", "modular_sum", "letter_count", "reversal", "letter_shift")},
    **{f"{name} = {{}}\n": "" for name in ("format_orders", "grid_navigation", "block_unstacking")},
    "sorting = {}": "sorting = { levels = [4, 5] }",
    "extremes = {}": "extremes = { levels = [4, 5] }",
    "max_items = 1500 ": "screen_items = 64\nmax_items = 320 ",
    "{ margin = 0.05 }": "{ margin = 0.2 }",
    "[budget]\n": "[search]\ntrials = 1\nfinals = 1\n\n[diagnosis]\nitems = 8\nsamples = 2\n\n[budget]\n",
}
"""So that the first decision takes a minute and not four; `make evidence CLAIM=demo` has the demo's own."""


def test_its_demo_is_interrupted_keeps_what_was_finished_and_goes_on_to_a_decision(installed: Installed) -> None:
    hears = ["env", "--default-signal=INT"]  # a shell's background job ignores interrupts, and so does what it starts
    demo = subprocess.Popen(
        [*hears, installed.venv / "bin" / "metaevo", "demo", "--seed", "2"],
        cwd=installed.user,
        env=installed.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    began = any("diagnose" in line for line in demo.stderr)
    demo.send_signal(signal.SIGINT)
    out, said = demo.communicate(timeout=900)  # what is being computed comes to its end
    assert began, said
    assert (demo.returncode, out) == (130, "")
    last = [line for line in said.splitlines() if line.startswith("metaevo: ")]
    assert last == ["metaevo: interrupted; what was finished is kept, run the command again to go on"]
    path = installed.user / ".local" / "share" / "metaevo-demo"
    home = Home(path)
    assert home.text == (ROOT / "deploy" / "examples" / "demo.toml").read_text().replace("seed = 1\n", "seed = 2\n", 1)
    status = installed.data("--home", path, "status")
    assert isinstance(status, dict)
    assert (status["state"], status["cycle"], status["champion"]) == ("idle", 1, "g000000")
    assert status["goals"] == ["anything"]
    fsck = installed.data("--home", path, "fsck")
    assert isinstance(fsck, dict)
    assert fsck["clean"]
    for said, smaller in SMALLER.items():
        assert said in home.text
        home.config_path.write_text(home.text.replace(said, smaller))
    decided = installed.run("metaevo", "--home", path, "run", "--cycles", 1)
    status = installed.data("--home", path, "status")
    assert isinstance(status, dict)
    last_decision = status["last_decision"]
    assert isinstance(last_decision, dict)
    assert last_decision["cycle"] == 2, "with other environments what was measured counts no more: the first is void"
    assert str(last_decision["outcome"]) in decided
    if last_decision["candidate"] is None:  # nothing gained: then there is nothing to examine
        assert last_decision["outcome"] == "none"
        return
    why = installed.data("--home", path, "why", "--latest")
    assert isinstance(why, dict)
    assert (why["generation"], why["decision"]) == (last_decision["candidate"], last_decision["outcome"])
