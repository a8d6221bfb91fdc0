"""Every command that starts an engine, with the built-in model: exit code, the keys of its JSON, what it says next."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from services.home.home import Home
from tests.journeys import small
from tests.journeys.terminal import ROOT, metaevo

LEVELS = "levels = [3, 5]"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as `init` makes it."""
    path = tmp_path_factory.mktemp("made") / "home"
    words = ["--environment", "sorting", "--environment", "extremes", "--goal", "sorting", "--seed", 3]
    said = metaevo("init", *words, home=path)
    assert said.out == f"{path} is ready: sorting, extremes. Next: metaevo plan --home {path}\n"
    return path


@pytest.fixture(scope="module")
def founded(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The same with few levels and items, after its first command that needed the model."""
    home = Home(shutil.copytree(made, tmp_path_factory.mktemp("founded") / "home"))
    for name in ("sorting", "extremes"):
        assert f"[environments.{name}]\n" in home.text
        home.config_path.write_text(home.text.replace(f"[environments.{name}]\n", f"[environments.{name}]\n{LEVELS}\n"))
    home.config_path.write_text(home.text + "\n[diagnosis]\nitems = 16\nsamples = 2\n")
    metaevo("eval", "champion", "--items", 1, home=home.path)
    return home


def ledger(home: Home) -> list[str]:
    """Return everything the ledger holds."""
    with sqlite3.connect(home.path / "metaevo.db") as db:
        return list(db.iterdump())


def test_init_writes_a_home_that_says_what_it_is(made: Path) -> None:
    config = Home(made).config()
    assert (config.model.base, config.seed, config.mode) == ("builtin:tiny", 3, "full")
    assert {path.name for path in made.iterdir()} >= {"metaevo.toml", "artifacts", "environments", "modules", "recipes"}
    assert "`metaevo config show` prints the defaults of what is not said" in Home(made).text
    again = metaevo("init", home=made, code=2).err
    assert again == (f"metaevo: {made}/metaevo.toml: there is a home here already; edit it, or choose another --home\n")


WRONG = {
    "no such base": (("--base", "/nowhere", "--environment", "sorting"), "--base '/nowhere': no such folder"),
    "no such environment": (("--environment", "sortin"), "did you mean 'sorting'?"),
    "no such file": (("--environment", "mine.py"), "mine.py: no such file"),
    "no such goal": (
        ("--environment", "sorting", "--goal", "paint"),
        "--goal 'paint': no such ability or environment",
    ),
    "a strange answer length": (("--answer", 0), "model.answer = 0"),
}


@pytest.mark.parametrize("what", WRONG)
def test_init_refuses_what_is_wrong_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    words, said = WRONG[what]
    error = metaevo("init", *words, home=tmp_path / "home", code=2).err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_doctor_looks_at_the_machine_and_the_home(made: Path, tmp_path: Path) -> None:
    found = metaevo("--json", "doctor", home=made).data
    assert set(found) == {"healthy", "checks"}
    assert all(set(row) == {"name", "state", "found", "fix"} for row in found["checks"])
    rows = {row["name"]: row for row in found["checks"]}
    assert {"python", "torch", "trl", "engine", "graders", "disk", "home"} <= set(rows)
    assert rows["home"]["found"] == str(made)
    assert "torch" in rows["engine"]["found"]
    assert found["healthy"]
    broken = Home(shutil.copytree(made, tmp_path / "broken"))
    broken.config_path.write_text(broken.text.replace("[model]", "[modell]"))
    said = metaevo("doctor", home=broken.path, code=3).out
    (line,) = [line for line in said.splitlines() if line.startswith("home")]
    assert "fail" in line
    assert "modell: unknown key, did you mean model?" in line


def test_environments_check_prints_audit_splits_score_and_what_could_be_proven(founded: Home) -> None:
    found = metaevo("--json", "environments", "check", "sorting", "--items", 8, home=founded.path).data
    assert set(found) == {"environment", "ability", "usable", "findings", "cells", "isolation", "model"}
    assert set(found["model"]) >= {"generation", "mean", "low", "high", "n"}
    assert all({"level", "texts", "splits", "constant", "provable"} <= set(cell) for cell in found["cells"])
    said = metaevo("environments", "check", "sorting", "--items", 8, home=founded.path).out
    for part in ("sorting (other): usable", "its own answers pass", "endless", "provable", "g000000 scores 0."):
        assert part in said


def test_plan_says_what_comes_and_writes_nothing(founded: Home) -> None:
    before = ledger(founded)
    found = metaevo("--json", "plan", home=founded.path).data
    assert set(found) == {
        *("cycle", "champion", "objective", "weaknesses", "smallest_provable_gain"),
        *("parked", "search", "first_recipes", "exam", "forecast_s", "ungraded"),
    }
    assert (found["cycle"], found["champion"], found["forecast_s"]) == (1, "g000000", None)
    assert {cell.split("/")[0] for cell in found["objective"]["cells"]} == {"sorting"}
    assert found["objective"]["reason"]
    assert found["weaknesses"][0].keys() == {"where", "name", "share"}
    assert ledger(founded) == before
    labels = [line.split()[0] for line in metaevo("plan", home=founded.path).out.splitlines()]
    assert labels[:6] == ["Next", "Objective", "Search", "Exam", "Provable", "Forecast"]


def test_eval_measures_and_records_nothing(founded: Home) -> None:
    before = ledger(founded)
    found = metaevo("--json", "eval", "champion", "--items", 4, home=founded.path).data
    assert set(found) == {"generation", "abilities", "cells"}
    assert set(found["abilities"]["other"]) == {"mean", "low", "high", "n"}
    assert len(found["cells"]) == 4
    assert ledger(founded) == before
    assert "--items 0: want 1 to 4096" in metaevo("eval", "champion", "--items", 0, home=founded.path, code=2).err
    assert "no generation 'g000007'" in metaevo("eval", "g000007", home=founded.path, code=2).err


def test_ask_prints_the_answer_alone_and_can_refine_it(founded: Home) -> None:
    assert metaevo("ask", "srt dcba", home=founded.path).out == "abcd\n"
    found = metaevo("--json", "ask", "srt dcba", "--refine", 2, home=founded.path).data
    assert set(found) == {"generation", "answer", "tokens", "turns"}
    assert found["generation"] == "g000000"
    assert len(found["turns"]) >= 1
    assert "--refine 17: want 0 to 16 rounds" in metaevo("ask", "x", "--refine", 17, home=founded.path, code=2).err


PLAIN = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, prompt = sys.argv[1:]
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
made = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True,
                                     return_tensors="pt", return_dict=True)
out = model.generate(**made, max_new_tokens=24, do_sample=False)
print(tokenizer.decode(out[0, made["input_ids"].shape[1]:], skip_special_tokens=True))
"""


def test_an_export_is_a_plain_checkpoint_that_answers_alike(founded: Home, tmp_path: Path) -> None:
    prompt = "srt gfedcb"
    asked = metaevo("--json", "ask", prompt, home=founded.path).data["answer"]
    found = metaevo("--json", "export", "champion", tmp_path / "out", home=founded.path).data
    assert set(found) == {"generation", "folder", "files", "serve"}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(found["files"])
    assert all(len(digest) == 64 for digest in found["files"].values())
    assert "g000000" in (tmp_path / "out" / "README.md").read_text()
    plain = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLAIN, tmp_path / "out", prompt],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain.stdout.strip() == asked.strip()
    again = metaevo("export", "champion", tmp_path / "out", home=founded.path, code=2).err
    assert again == f"metaevo: {tmp_path / 'out'}: is not empty; give a new folder\n"


def test_a_recipe_can_be_run_alone_and_what_it_makes_is_not_served(founded: Home) -> None:
    words = ("recipes", "run", "rft", "--cells", "sorting/5", "--fidelity", 0.1)
    found = metaevo("--json", *words, home=founded.path).data
    assert set(found) == {
        *("recipe", "objective", "generation", "score", "constraints", "tokens", "counts", "failure"),
    }
    assert (found["recipe"], found["objective"], found["failure"]) == ("rft", ["sorting/5"], None)
    rows = metaevo("--json", "generations", home=founded.path).data
    assert [row["id"] for row in rows] == ["g000000"]
    assert metaevo("--json", "show", found["generation"], home=founded.path).data["status"] == "intermediate"
    said = metaevo(*words, home=founded.path).out
    assert f"rft on sorting/5: {found['generation'][:3]}" in said
    assert "It is not served; `metaevo eval g0" in said
    for wrong, why in (("sorting/99", "no such cell"), ("sorting", "a cell is written environment/level")):
        assert why in metaevo("recipes", "run", "rft", "--cells", wrong, home=founded.path, code=2).err


def test_run_ends_with_what_was_decided_and_what_to_do_next(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home", 'mode = "observe"\n' + small.CONFIG)
    said = metaevo("run", "--cycles", 1, home=home.path)
    head, columns, row, follow = said.out.splitlines()
    assert head == "1 cycle, champion g000000"
    assert columns.split() == ["cycle", "outcome", "candidate", "objective", "why"]
    assert row.split(None, 4)[4] == "converged: mode is observe, nothing is trained"
    assert follow == f"Next: metaevo plan --home {home.path}"
    assert "cycle 1  diagnose  measuring g000000" in said.err
    found = metaevo("--json", "run", "--cycles", 1, home=home.path).data
    assert set(found) == {"home", "decided", "champion", "cycles", "wall_s", "tokens"}
    assert set(found["decided"][0]) == {"cycle", "outcome", "candidate", "objective", "why"}
    assert found["cycles"] == 2


def interrupt(home: Home, *words: str, phase: str) -> None:
    """Interrupt a command once a phase began: it says so in one line, with an exit code of its own."""
    hears = ["env", "--default-signal=INT"]  # a shell's background job ignores interrupts, and so does what it starts
    command = [*hears, sys.executable, "-m", "services.cli", *words, "--home", str(home.path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if phase in line:
            break
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=600)  # the trials that run come to their end
    assert (process.returncode, out) == (130, "")
    assert said.splitlines()[-1] == ("metaevo: interrupted; what was finished is kept, run the command again to go on")


def test_an_interrupted_run_says_so_and_its_home_is_whole(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    interrupt(home, "run", "--cycles", "1", phase="diagnose")
    found = metaevo("--json", "status", home=home.path).data
    assert (found["state"], found["cycle"], found["champion"]) == ("idle", 1, "g000000")
    assert metaevo("--json", "fsck", home=home.path).data["clean"]
