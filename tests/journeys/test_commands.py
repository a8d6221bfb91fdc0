"""Every command that needs no model: exit code, the keys of its JSON, and the words a person needs next."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metaevo.registry.slots import SLOTS
from services.home.home import Home
from services.operations import OPERATIONS, load
from tests.journeys import small
from tests.journeys.terminal import ROOT, metaevo, shell

GENERATION = {
    *["id", "number", "parent", "status", "created_at"],
    *["objective", "recipe", "evaluator", "scores", "verdict", "artifact"],
}
SHOWN = GENERATION | {"cells", "answer", "parts", "recipe_body", "exam", "ancestors"}
STATUS = {
    *["state", "reason", "phase", "mode", "autonomy", "cycle", "champion"],
    *["objective", "last_decision", "goals", "attention", "budgets", "cost", "next_fire_at", "heartbeat_age_s"],
}
WHY = {"generation", "weakness", "objective", "method", "gain", "kept", "against", "data", "cost", "undo", "lines"}
WHY_DECIDED = WHY | {
    "told",
    "claim",
    "seen_items",
    "parent",
    "status",
    "decision",
    "at",
    "screen",
    "protects_nothing",
    "reasons",
    "secret_seed",
    "written",
}
GOAL = {
    *["name", "raise", "direction", "weight", "why", "now", "low"],
    *["high", "n", "target", "by", "spent", "forecast", "state", "smallest_provable_gain"],
}
PROTECTED = {"what", "rule", "limit", "now", "low", "against", "state"}
COMMANDS = {
    "demo", "init", "doctor", "config check", "config show", "config schema", "run", "plan", "status", "goals list",
    "goals add", "goals edit", "goals remove", "environments list", "environments check", "generations", "show", "why",
    "rollback", "modules list", "modules show", "recipes list", "recipes show", "recipes run", "eval", "export", "ask",
    "fsck",
}  # fmt: skip


def data(home: Home, *words: object) -> Any:
    return metaevo("--json", *words, home=home.path).data


def text(home: Home, *words: object) -> str:
    return metaevo(*words, home=home.path).out


def champion(home: Home) -> str:
    return str(data(home, "status")["champion"])


def test_the_commands_are_all_there() -> None:
    load()
    assert {f"{o.group} {o.name}".strip() for o in OPERATIONS} >= COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself_and_its_options(command: str) -> None:
    said = metaevo(*command.split(), "--help").out
    operation = next(o for o in OPERATIONS if f"{o.group} {o.name}".strip() == command)
    first = (operation.call.__doc__ or "").split("\n")[0].split(":")[0]
    assert first in " ".join(said.split())
    lines = [line for line in said.splitlines() if line.startswith("  -")]
    assert all(len(line.split(None, 1)) == 2 for line in lines)
    assert {"--home", "--json"} <= set(said.split())
    assert "--no-" not in said


def test_generations_are_listed_with_what_became_of_them(evolved: Home) -> None:
    rows = data(evolved, "generations")
    assert all(set(row) == GENERATION for row in rows)
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    base, *made = rows
    assert (base["id"], base["number"], base["parent"], base["status"]) == ("g000000", 0, None, "retired")
    assert (base["objective"], base["recipe"], base["verdict"]) == (None, None, None)
    for row in made:
        assert set(row["objective"]) == {"ability", "direction", "cells", "reason", "rule"}
        assert set(row["verdict"]) == {"decision", "reasons"}
        assert all(0 <= score <= 1 for score in row["scores"].values())
        assert len(row["artifact"]) == 64
    table = text(evolved, "generations").splitlines()
    assert table[0].split() == ["id", "status", "parent", "recipe", "objective", "verdict", "mean"]
    assert len(table) == len(rows) + 1
    tree = text(evolved, "generations", "--tree").splitlines()
    assert tree[0] == "g000000  retired"
    assert tree[1].startswith("   └─ g")


def test_generations_come_a_page_at_a_time(evolved: Home) -> None:
    rows = data(evolved, "generations")
    *older, newest = rows
    assert data(evolved, "generations", "--last", 1) == [newest]
    assert data(evolved, "generations", "--before", newest["id"]) == older
    said = text(evolved, "generations", "--last", 1).splitlines()
    assert said[-1] == f"There are older ones: metaevo generations --before {newest['id']}"
    assert text(evolved, "generations").splitlines()[-1].startswith(newest["id"])
    assert data(evolved, "generations", "--before", "g000000") == []


def test_show_tells_one_generation_whole_by_id_and_by_alias(evolved: Home) -> None:
    shown = data(evolved, "show", "champion")
    assert set(shown) == SHOWN
    assert shown == data(evolved, "show", champion(evolved))
    assert (shown["ancestors"][0], shown["ancestors"][-1]) == (shown["parent"], "g000000")
    assert all(set(cell) == {"cell", "split", "mean", "low", "high", "n"} for cell in shown["cells"])
    assert all(cell["low"] <= cell["mean"] <= cell["high"] for cell in shown["cells"])
    assert {"anchor"} <= {cell["split"] for cell in shown["cells"]} <= {"anchor", "probe"}
    said = text(evolved, "show", "champion")
    for part in (
        shown["id"],
        "champion",
        f"parent {shown['parent']}",
        "objective  other",
        "verdict  promote: gain proven",
        "n",
    ):
        assert part in said
    assert f"`metaevo why {shown['id']}` explains it" in said


def test_why_explains_every_decision_in_twelve_lines(evolved: Home) -> None:
    for row in data(evolved, "generations")[1:]:
        found = data(evolved, "why", row["id"])
        assert set(found) == WHY_DECIDED
        lines = text(evolved, "why", row["id"]).splitlines()
        assert lines == found["lines"]
        assert 5 <= len(lines) <= 12
        assert lines[0].startswith(f"{row['id']} was ")
        assert f"{row['parent']}" in lines[0]
        assert all(len(line) < 400 for line in lines)
        assert lines[-1].startswith("Undo ")
    newest = data(evolved, "generations")[-1]["id"]
    assert text(evolved, "why") == text(evolved, "why", "--latest") == text(evolved, "why", newest)
    assert set(data(evolved, "why", "champion")) == WHY_DECIDED
    assert set(data(evolved, "why", "g000000")) == WHY | {"status"}
    assert text(evolved, "why", "g000000").startswith("g000000 is the base model as it was given.\n")


def test_the_undo_line_of_why_is_a_command_that_works(evolved: Home) -> None:
    undo = data(evolved, "why", "champion")["undo"]
    assert text(evolved, "why", "champion").splitlines()[-1].split(None, 1)[1] == undo
    left = champion(evolved)
    words = undo.removeprefix("metaevo ").replace('"…"', "reason").split()
    target = words[words.index("--to") + 1]
    assert metaevo(*words, home=evolved.path).out == (
        f"{target} is champion again; {left} and its descendants are quarantined\n"
    )
    assert f"{left} was promoted" in text(evolved, "why", left)
    assert "(now quarantined)" in text(evolved, "why", left)


def test_status_says_whether_it_lives_what_it_does_and_what_it_needs(evolved: Home) -> None:
    found = data(evolved, "status")
    assert set(found) == STATUS
    assert (found["state"], found["phase"], found["mode"], found["attention"]) == ("idle", None, "full", [])
    assert set(found["last_decision"]) == {"cycle", "outcome", "candidate", "why", "at"}
    assert found["cost"]["tokens"] > 0
    labels = [line.split()[0] for line in text(evolved, "status").splitlines()]
    assert labels == ["State", "Champion", "Cycle", "Objective", "Last", "Goals", "Attention"]
    with evolved.held():
        now = data(evolved, "status")
    assert (now["state"], now["reason"]) == ("running", f"process {os.getpid()}")


def test_a_home_in_which_nothing_ran_says_so_and_what_to_do(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    assert set(data(home, "status")) == STATUS
    assert "nothing has run yet; start with `metaevo run`" in text(home, "status")
    for words in (("generations",), ("show", "champion"), ("why",), ("fsck",), ("rollback", "--reason", "x")):
        said = metaevo(*words, home=home.path, code=2).err
        assert said == f"metaevo: {home.path}: nothing has run here yet; start with `metaevo run --home {home.path}`\n"


def test_a_place_without_a_home_says_how_to_make_one(tmp_path: Path) -> None:
    for words in (("status",), ("generations",), ("run",), ("rollback", "--reason", "x"), ("ask", "hello"), ("fsck",)):
        said = metaevo(*words, home=tmp_path / "none", code=2).err
        assert said == (
            f"metaevo: {tmp_path / 'none'}: no home here; create one with `metaevo init --home {tmp_path / 'none'}`\n"
        )
    assert not (tmp_path / "none").exists()


def test_goals_are_added_changed_and_removed_and_comments_stay(evolved: Home) -> None:
    before = evolved.text
    found = data(evolved, "goals", "list")
    assert set(found) == {"goals", "protected", "protects_nothing"}
    assert all(set(goal) == GOAL for goal in found["goals"])
    assert all(set(line) == PROTECTED for line in found["protected"])
    assert {line["what"] for line in found["protected"]} == {"math", "other"}
    said = metaevo("goals", "add", "sort", "sorting", "--target", 0.9, "--why", "letters", home=evolved.path).out
    assert said == f"goals.sort is in {evolved.config_path}. Next: metaevo plan\n"
    (goal,) = data(evolved, "goals", "list", "--tree")["goals"]
    assert (goal["name"], goal["raise"], goal["target"], goal["why"]) == ("sort", "sorting", 0.9, "letters")
    assert set(goal["cells"]) == {"sorting/4", "sorting/5"}
    assert 0 < goal["smallest_provable_gain"] < 0.2
    metaevo("goals", "edit", "sort", "--weight", 2, home=evolved.path)
    assert data(evolved, "goals", "list")["goals"][0]["weight"] == 2
    assert "a comment that must survive edits" in evolved.text
    metaevo("goals", "remove", "sort", home=evolved.path)
    assert evolved.config().goals == {}
    assert evolved.text.split("[goals")[0].strip() == before.strip()


def test_an_edit_that_would_be_wrong_changes_nothing(evolved: Home) -> None:
    metaevo("goals", "add", "sort", "sorting", home=evolved.path)
    before = evolved.text
    for words, said in (
        (("add", "sort", "sorting"), "goals.sort: is there already; goals: sort"),
        (("add", "paint", "painting"), "what = 'painting': no such ability or environment; "),
        (("edit", "sort", "--target", 2), "--target 2.0: "),
        (("edit", "sort"), "goals edit sort: nothing to change; give --target, --weight or --why"),
        (("edit", "soort", "--weight", 2), "goals.soort: no such goal; goals: sort"),
        (("remove", "soort"), "goals.soort: no such goal; goals: sort"),
    ):
        assert said in metaevo("goals", *words, home=evolved.path, code=2).err
        assert evolved.text == before


def test_fsck_names_what_is_damaged(evolved: Home) -> None:
    found = data(evolved, "fsck")
    assert set(found) == {"clean", "checks"}
    assert found["clean"]
    assert all(set(check) == {"name", "ok", "problems"} for check in found["checks"])
    part = data(evolved, "show", "champion")["parts"]["policy"]
    victim = evolved.path / "artifacts" / "trees" / part / "skills.json"
    victim.write_text(victim.read_text() + " ")
    said = metaevo("fsck", home=evolved.path, code=3).out
    assert "WRONG" in said
    assert champion(evolved) in said
    assert str(victim) in said


def test_config_is_checked_shown_and_described(evolved: Home) -> None:
    assert set(data(evolved, "config", "check")) == {"file", "environments", "later", "ok"}
    assert text(evolved, "config", "check") == f"{evolved.config_path} is fine: addition, extremes, sorting\n"
    shown = data(evolved, "config", "show")
    assert shown["gate"]["alpha"] == 0.05
    assert shown["search"]["trials"] == 4
    assert shown["model"]["answer"] == 24
    schema = metaevo("config", "schema").data
    assert set(schema["properties"]) >= {"model", "environments", "goals", "protect", "forbid", "budget", "gate"}


def test_modules_are_listed_and_shown_without_a_home() -> None:
    rows = metaevo("--json", "modules", "list").data
    keys = {"slot", "name", "from", "summary", "papers", "effects", "knobs"}
    assert all(set(row) == keys and row["from"] == "metaevo" and row["summary"] for row in rows)
    assert {row["slot"] for row in rows} == set(SLOTS)
    only = metaevo("--json", "modules", "list", "--slot", "update").data
    assert only == [row for row in rows if row["slot"] == "update"]
    for row in rows:
        shown = metaevo("--json", "modules", "show", f"{row['slot']}.{row['name']}").data
        assert set(shown) == keys | {"doc", "returns", "knobs", "file"}
        assert sorted(knob["name"] for knob in shown["knobs"]) == row["knobs"]
        assert "Return" in shown["returns"]
    assert "did you mean 'metric_filter'?" in metaevo("modules", "show", "metric_filtr", code=2).err
    assert "slots are tasks, solutions" in metaevo("modules", "list", "--slot", "judge", code=2).err


def test_recipes_are_listed_and_shown_without_a_home() -> None:
    rows = metaevo("--json", "recipes", "list").data
    assert {row["name"] for row in rows} >= {
        "rft", "rest_em", "star", "lmsi", "spin", "self_rewarding", "grpo", "self_refine", "self",
    }  # fmt: skip
    assert all(set(row) == {"name", "system", "arxiv", "modules", "observable", "measured"} for row in rows)
    shown = metaevo("--json", "recipes", "show", "star").data
    assert {"name", "doc", "system", "arxiv", "observable", "faithful", "stage", "consolidation", "hash"} == set(shown)
    assert "did you mean 'star'?" in metaevo("recipes", "show", "staar", code=2).err


def test_options_may_stand_before_and_after_the_verb_and_the_home_in_the_environment(evolved: Home) -> None:
    words = ("status",), ("--home", evolved.path), ("--json",)
    expected = metaevo(*words[1], *words[2], *words[0]).data["champion"]
    assert metaevo(*words[0], *words[1], *words[2]).data["champion"] == expected
    assert metaevo(*words[2], *words[0], *words[1]).data["champion"] == expected
    said = shell("status", "--json", environment={"METAEVO_HOME": str(evolved.path)})
    assert said.data["champion"] == expected
    assert said.err == ""
    before = shell("--home", evolved.path, "status", "--json", environment={"METAEVO_HOME": "/nowhere"})
    assert before.data["champion"] == expected, "a --home before the verb wins over the variable"


def test_data_goes_to_stdout_and_messages_to_stderr(evolved: Home) -> None:
    said = shell("--json", "why", "nosuch", home=evolved.path, code=2)
    assert said.out == ""
    assert said.err == "metaevo: no generation 'nosuch'; `metaevo generations` lists them\n"
    head = f"{sys.executable} -m services.cli --home {evolved.path} config schema | head -c 10"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", head], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (len(result.stdout), result.stderr) == (10, "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("metaevo go", ["goals"]),
        ("metaevo goals ", ["list", "add", "edit", "remove"]),
        ("metaevo recipes s", ["show"]),
        ("metaevo why --la", ["--latest"]),
    ],
)
def test_completion_completes(line: str, expected: list[str]) -> None:
    script = Path(sys.executable).parent / "metaevo"
    asked = {"_METAEVO_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    result = subprocess.run([script], env=os.environ | asked, capture_output=True, text=True, check=True)
    assert result.stdout.split() == expected


def test_completion_can_be_installed() -> None:
    script = Path(sys.executable).parent / "metaevo"
    for shell_name in ("bash", "zsh", "fish"):
        asked = os.environ | {"_METAEVO_COMPLETE": f"source_{shell_name}"}
        result = subprocess.run([script], env=asked, capture_output=True, text=True, check=True)
        assert "_METAEVO_COMPLETE" in result.stdout
    assert json.loads(metaevo("--json", "modules", "list").out)
