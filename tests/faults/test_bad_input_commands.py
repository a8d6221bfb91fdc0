"""Wrong words on the command line: one line that names them and the way out, exit 2, nothing written."""

from pathlib import Path

import pytest

from tests.faults.cli import BASE, metaevo, refused, tree, written

USAGE = {
    "an unknown command": (("generatoins",), "No such command 'generatoins'", "'generations'"),
    "an unknown command of a group": (("goals", "ad"), "No such command 'ad'", "see `metaevo goals --help`"),
    "an unknown option": (("run", "--cylces", "3"), "--cylces", "--cycles"),
    "a word for a number": (("run", "--cycles", "many"), "--cycles", "integer", "see `metaevo run --help`"),
    "an option without its value": (("run", "--cycles"), "--cycles", "requires an argument"),
    "a missing argument": (("show",), "Missing argument 'generation'", "see `metaevo show --help`"),
    "a missing option": (("rollback",), "Missing option '--reason'"),
    "an argument too many": (("show", "g000000", "twice"), "unexpected extra argument", "twice"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage_errors_are_one_line(tmp_path: Path, case: str) -> None:
    words, *parts = USAGE[case]
    refused(metaevo(*words, home=tmp_path / "none"), 2, *parts)
    assert not (tmp_path / "none").exists()


VALUES = {
    "no cycles": (("run", "--cycles", "0"), "--cycles 0: want at least 1"),
    "less than no cycles": (("run", "--cycles", "-3"), "--cycles -3: want at least 1"),
    "a page of nothing": (("generations", "--last", "0"), "--last 0: want 1 to 100000"),
    "a page without end": (("generations", "--last", "1" + "0" * 30), f"--last 1{'0' * 30}: want 1 to 100000"),
    "a way back for no reason": (("rollback", "--reason", " "), "--reason: is empty; say why: it is kept and shown"),
    "no items": (("eval", "champion", "--items", "0"), "--items 0: want 1 to 4096"),
    "too many rounds": (("ask", "1+1", "--refine", "99"), "--refine 99: want 0 to 16 rounds"),
    "a fidelity of nothing": (("recipes", "run", "star", "--fidelity", "0"), "--fidelity 0.0: want more than 0"),
    "a fidelity of nan": (("recipes", "run", "star", "--fidelity", "nan"), "--fidelity nan: want more than 0"),
    "a recipe that does not exist": (("recipes", "run", "stra"), "no recipe 'stra'; did you mean 'star'?"),
    "an unknown cell": (("recipes", "run", "star", "--cells", "sorting"), "--cells 'sorting'", "environment/level"),
    "a cell that is not there": (
        ("recipes", "run", "star", "--cells", "sorting/9"),
        "--cells sorting/9: no such cell; environments: sorting",
    ),
    "a slot that does not exist": (("modules", "list", "--slot", "updates"), "'updates'", "update"),
    "a misspelt module": (("modules", "show", "update.supervised_finetun"), "did you mean 'supervised_finetune'?"),
    "a misspelt module without its slot": (("modules", "show", "supervised_finetun"), "supervised_finetune"),
    "a misspelt environment": (("environments", "check", "sortign"), "'sortign'; did you mean 'sorting'?"),
    "an adapter of a later part": (("environments", "check", "verifiers:gsm8k"), "comes with a later part"),
    "an environment file that is not there": (("environments", "check", "nowhere.py"), "no file", "nowhere.py"),
    "no tasks to audit": (("environments", "check", "sorting", "--items", "0"), "--items 0: want"),
    "a goal that is there already": (("goals", "add", "mine", "sorting"), "goals.mine: is there already"),
    "a goal that is not there": (("goals", "remove", "yours"), "goals.yours: no such goal; goals: mine"),
    "a goal nobody measures": (("goals", "add", "yours", "coding"), "what = 'coding': no environment measures it"),
    "a target of two": (("goals", "add", "yours", "sorting", "--target", "2"), "metaevo: --target 2.0: input should"),
    "a weight of nan": (("goals", "edit", "mine", "--weight", "nan"), "metaevo: --weight nan", "finite"),
}
HOME = f'{BASE}[goals.mine]\nraise = "sorting"\n'


@pytest.mark.parametrize("case", VALUES)
def test_a_wrong_value_is_refused_before_anything_is_written(tmp_path: Path, case: str) -> None:
    words, *parts = VALUES[case]
    home = written(tmp_path / "home", HOME)
    before = tree(home)
    refused(metaevo(*words, home=home), 2, *parts)
    assert tree(home) == before


NAMES = ("../../etc/passwd", "%2e%2e%2f", "g999999", "G000000", "", "g" * 300, "\u2215etc", "-rf", "g000000\n")


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_generation_that_is_none_is_refused_by_name(begun: Path, name: str) -> None:
    before = tree(begun)
    refused(metaevo("show", "--", name, home=begun), 2, "generation", "`metaevo generations` lists them")
    assert tree(begun) == before


COMMANDS = {
    "why": (("why", "g999999"), ()),
    "generations": (("generations", "--before", "g999999"), ()),
    "eval": (("eval", "g999999"), ()),
    "ask": (("ask", "1+1", "--generation", "g999999"), ()),
    "export": (("export", "../../etc/passwd"), ("out",)),
    "rollback": (("rollback", "--reason", "because", "--to", "g999999"), ()),
    "rollback to an empty variable": (("rollback", "--reason", "because", "--to", ""), ()),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_every_command_refuses_a_generation_that_is_none(tmp_path: Path, begun: Path, case: str) -> None:
    words, places = COMMANDS[case]
    before = tree(begun)
    said = metaevo(*words, *(tmp_path / place for place in places), home=begun)
    refused(said, 2, "generation", "`metaevo generations` lists them")
    assert tree(begun) == before
    assert list(tmp_path.iterdir()) == []


def test_words_that_are_no_text_are_refused(begun: Path) -> None:
    before = tree(begun)
    refused(metaevo("show", "\udcff", home=begun), 2, "generation = '\\udcff': is not UTF-8 text")
    refused(metaevo("ask", "1+\udcff", home=begun), 2, "prompt = '1+\\udcff': is not UTF-8 text")
    assert tree(begun) == before


def test_an_export_never_overwrites(tmp_path: Path, begun: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    refused(metaevo("export", "g000000", tmp_path, home=begun), 2, str(tmp_path), "is not empty; give a new folder")
    refused(metaevo("export", "g000000", tmp_path / "mine.txt", home=begun), 2, "mine.txt", "give a new folder")
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_a_rollback_that_leads_nowhere_changes_nothing(begun: Path) -> None:
    before = tree(begun)
    refused(metaevo("rollback", "--reason", "because", home=begun), 2, "g000000")
    assert tree(begun) == before
