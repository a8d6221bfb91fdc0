"""The stranger's path: his model, environment, goal and protected line end in a decision. No package is edited."""

import filecmp
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.terminal import ROOT, Said, shell
from tests.stranger.model import write_rows

DONE = {"promote": "was promoted", "hold": "was held", "reject": "was rejected"}
STATUS = {"promote": "champion", "hold": "held", "reject": "rejected"}
Packages = dict[Path, int]


def packages() -> Packages:
    """Return every file that ships, bytecode aside, with when it was last written."""
    files = [path for name in ("metaevo", "sandbox", "objectives", "services") for path in (ROOT / name).rglob("*.*")]
    return {path: path.stat().st_mtime_ns for path in files if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def shipped() -> Packages:
    found = packages()
    assert ROOT / "metaevo" / "evolution" / "loop.py" in found
    return found


class Stranger:
    """A person with a checkpoint and one Python file, in a folder of his own. He types commands, nothing else."""

    def __init__(self, desk: Path, model: Path) -> None:
        self.desk, self.home, self.model = desk, desk / "home", model
        shutil.copy2(ROOT / "deploy" / "examples" / "invoices.py", desk / "invoices.py")
        write_rows(desk / "invoices.jsonl")

    def types(self, *words: object, code: int = 0) -> Said:
        return shell(*words, home=self.home, code=code, cwd=self.desk)

    def asks(self, *words: object, code: int = 0) -> Any:
        return self.types("--json", *words, code=code).data


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, stranger_model: Path, shipped: Packages) -> Stranger:
    del shipped  # looked at before he begins
    made = Stranger(tmp_path_factory.mktemp("desk"), stranger_model)
    made.types("init", "--base", stranger_model, "--environment", "invoices.py", "--goal", "invoices", "--seed", 7)
    return made


@pytest.fixture(scope="module")
def decided(stranger: Stranger) -> Any:
    return stranger.asks("run", "--cycles", 1)


def test_init_writes_one_goal_and_the_margin_its_rows_decide_and_copies_the_environment(stranger: Stranger) -> None:
    config = tomllib.loads((stranger.home / "metaevo.toml").read_text())
    assert [goal["raise"] for goal in config["goals"].values()] == ["invoices"]
    assert config["protect"].pop("*") == {"margin": 0.03}
    ((ability, line),) = config["protect"].items()
    assert ability == "instruction_following"
    assert 0.1 < line["margin"] < 0.3, "about 40 gate rows decide no smaller loss"
    assert config["model"]["base"] == str(stranger.model)
    example = ROOT / "deploy" / "examples" / "invoices.py"
    assert filecmp.cmp(stranger.home / "environments" / "invoices.py", example, shallow=False)
    assert len((stranger.home / "environments" / "invoices.jsonl").read_text().splitlines()) == 400


def test_the_audit_finds_the_environment_usable_and_says_what_it_can_prove(stranger: Stranger) -> None:
    found = stranger.asks("environments", "check", "invoices")
    assert found["usable"]
    assert [finding["name"] for finding in found["findings"] if not finding["ok"]] == []
    (cell,) = found["cells"]
    assert cell["texts"] == 400
    assert sum(cell["splits"].values()) == 400
    assert 0 < cell["provable"] < 0.5
    assert found["model"]["generation"] == "g000000"
    assert found["model"]["low"] < found["model"]["mean"] < found["model"]["high"]


@pytest.mark.full
def test_nothing_inside_the_packages_was_touched(shipped: Packages, stranger: Stranger, decided: Any) -> None:
    assert decided["decided"]
    assert packages() == shipped


@pytest.mark.full
def test_one_cycle_ends_in_a_decided_generation(stranger: Stranger, decided: Any) -> None:
    (cycle,) = decided["decided"]
    assert cycle["outcome"] in DONE, cycle["why"]
    assert cycle["objective"] == ["invoices/1"]
    rows = {row["id"]: row for row in stranger.asks("generations")}
    candidate = rows[cycle["candidate"]]
    assert candidate["status"] == STATUS[cycle["outcome"]]
    assert candidate["parent"] == "g000000"
    assert candidate["verdict"]["decision"] == cycle["outcome"]
    assert decided["champion"] == (cycle["candidate"] if cycle["outcome"] == "promote" else "g000000")
    assert sum(row["status"] == "champion" for row in rows.values()) == 1


@pytest.mark.full
def test_why_and_show_explain_the_decision_with_the_same_numbers(stranger: Stranger, decided: Any) -> None:
    (cycle,) = decided["decided"]
    text = stranger.types("why", "--latest").out.splitlines()
    assert len(text) <= 12
    assert text[0].startswith(f"{cycle['candidate']} {DONE[cycle['outcome']]}")
    assert {line.split()[0] for line in text[1:]} >= {"Weakness", "Objective", "Method", "Gain", "Cost", "Undo"}
    why, shown = stranger.asks("why", cycle["candidate"]), stranger.asks("show", cycle["candidate"])
    assert why["lines"] == text
    exam = shown["exam"]["exam"]
    assert why["gain"] == exam.get("gain")
    assert why["screen"] == exam.get("screen")
    assert shown["verdict"]["reasons"] == why["reasons"]
    number = (why["gain"] or why["screen"])["n"]
    assert f"{number} " in next(line for line in text if line.startswith("Gain"))
    if why["data"] is not None:  # an online update trains on its own samples: there are no rows to name
        assert any(line.startswith("Data") for line in text)
        assert why["data"]["exam_items"] == 0
    assert {cell["cell"] for cell in shown["cells"]} == {"invoices/1"}


@pytest.mark.full
def test_the_way_back_that_why_names_is_open(stranger: Stranger, decided: Any) -> None:
    (cycle,) = decided["decided"]
    undo = stranger.asks("why", cycle["candidate"])["undo"]
    if cycle["outcome"] == "promote":
        assert undo == 'metaevo rollback --to g000000 --reason "…"'
    else:
        assert undo is None
    assert stranger.asks("fsck")["clean"]
    assert stranger.asks("status")["champion"] == decided["champion"]
