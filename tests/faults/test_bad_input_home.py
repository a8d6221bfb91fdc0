"""Homes that cannot be used: unwritable, full, held by another process, damaged. One line, and nothing half-written."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.cli import BASE, ROOT, metaevo, refused, tree, written
from tests.faults.places import read_only, small_disk


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    with read_only(written(tmp_path / "outer", "")) as outer:
        said = metaevo("init", "--environment", "sorting", home=outer / "home")
        refused(said, 2, "--home", str(outer / "home"), "Read-only file system", "choose another place")
    assert tree(tmp_path / "outer") == {"metaevo.toml": tree(tmp_path / "outer")["metaevo.toml"]}


def test_init_where_a_file_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "home"):
        refused(metaevo("init", "--environment", "sorting", home=place), 2, str(place), "choose another")
    assert (tmp_path / "file").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_init_never_overwrites_a_home(tmp_path: Path) -> None:
    home = written(tmp_path / "home")
    before = tree(home)
    said = metaevo("init", "--environment", "sorting", home=home)
    refused(said, 2, "there is a home here already", "choose another --home")
    assert tree(home) == before


@pytest.mark.parametrize("words", [("run",), ("plan",), ("rollback", "--reason", "because")], ids=" ".join)
def test_a_read_only_home_is_refused_by_commands_that_write(
    tmp_path: Path, begun: Path, words: tuple[str, ...]
) -> None:
    home = Path(shutil.copytree(begun, tmp_path / "home"))
    before = tree(home)
    with read_only(home):
        refused(metaevo(*words, home=home), 3, str(home), "Read-only file system")
    assert tree(home) == before


@pytest.mark.parametrize("words", [("status",), ("generations",), ("show", "g000000"), ("fsck",)], ids=" ".join)
def test_a_read_only_home_can_be_read(tmp_path: Path, begun: Path, words: tuple[str, ...]) -> None:
    home = Path(shutil.copytree(begun, tmp_path / "home"))
    for name in ("metaevo.db-wal", "metaevo.db-shm"):
        (home / name).unlink(missing_ok=True)
    with read_only(home):
        said = metaevo(*words, home=home)
    assert (said.code, said.err) == (0, ""), said.err


def test_a_full_disk_is_noticed_before_anything_begins(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=20) as disk:
        home = written(disk / "home")
        before = tree(home)
        refused(metaevo("run", home=home), 3, str(home), "MiB free, 64 needed; make room")
        assert tree(home) == before


def test_a_disk_without_a_byte_left_makes_no_home(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=1) as disk:
        with suppress(OSError):
            (disk / "filler").write_bytes(b"\0" * 2**20)
        said = metaevo("init", "--environment", "sorting", home=disk / "home")
        refused(said, 2, str(disk / "home"), "No space left on device", "choose another place")
        assert not (disk / "home").exists()


@pytest.mark.parametrize("words", [("run",), ("plan",), ("rollback", "--reason", "because")], ids=" ".join)
def test_a_second_process_on_one_home_is_told_who_holds_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    home = written(tmp_path / "home")
    hold = "import sys, time; from pathlib import Path; from services.home.home import Home\n"
    hold += "with Home(Path(sys.argv[1])).held(): print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(home)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        before = tree(home)
        said = metaevo(*words, home=home)
        refused(said, 3, str(home), f"held by process {holder.pid}", "wait for it, or stop it")
        assert tree(home) == before
        holder.stdin.close()
        assert holder.wait(30) == 0


def test_a_lock_left_by_a_dead_process_is_no_lock(tmp_path: Path, begun: Path) -> None:
    home = Path(shutil.copytree(begun, tmp_path / "home"))
    (home / "lock").write_text(f"{os.getpid()}\n")
    said = metaevo("rollback", "--reason", "because", home=home)
    assert "held by process" not in said.err
    with (home / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def ledger(home: Path, sql: str) -> None:
    """Change the ledger behind metaevo's back."""
    with sqlite3.connect(home / "metaevo.db") as database:
        database.execute(sql)
    database.close()


def no_ledger(home: Path) -> None:
    """Put a text where the ledger was."""
    for name in ("metaevo.db-wal", "metaevo.db-shm"):
        (home / name).unlink(missing_ok=True)
    (home / "metaevo.db").write_text("this is not a ledger" * 100)


DAMAGED = {
    "no ledger": (no_ledger, ("metaevo.db", "cannot be opened as a ledger")),
    "a newer ledger": (
        lambda home: ledger(home, "update meta set value = '99' where key = 'schema'"),
        ("metaevo.db", "schema 99, this metaevo knows", "use the metaevo that wrote this home"),
    ),
    "a ledger without a version": (
        lambda home: ledger(home, "delete from meta where key = 'schema'"),
        ("metaevo.db", "schema None"),
    ),
}


@pytest.mark.parametrize("command", [("status",), ("run",)], ids=" ".join)
@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_ledger_is_refused_and_left_alone(
    tmp_path: Path, begun: Path, case: str, command: tuple[str, ...]
) -> None:
    home = Path(shutil.copytree(begun, tmp_path / "home"))
    damage, parts = DAMAGED[case]
    damage(home)
    before = (home / "metaevo.db").read_bytes()
    refused(metaevo(*command, home=home), 2, *parts)
    assert (home / "metaevo.db").read_bytes() == before


def test_a_damaged_artifact_is_found_by_fsck_and_named_by_whoever_needs_it(tmp_path: Path, begun: Path) -> None:
    home = Path(shutil.copytree(begun, tmp_path / "home"))
    base = next((home / "artifacts" / "trees").glob("*/base.json"))
    base.write_bytes(base.read_bytes()[:-10])
    said = metaevo("fsck", "--json", home=home)
    assert (said.code, '"clean": false' in said.out, "base.json is missing or changed" in said.out) == (3, True, True)
    refused(metaevo("plan", home=home), 1, "base.json is missing or changed", "roll back")


def test_another_base_than_the_one_the_home_began_with_is_refused(tmp_path: Path, begun: Path) -> None:
    home = Path(shutil.copytree(begun, tmp_path / "home"))
    other = Path(shutil.copytree(ROOT / "metaevo" / "tiny" / "checkpoint", tmp_path / "other"))
    (other / "generation_config.json").write_text("{}")
    text = (home / "metaevo.toml").read_text()
    (home / "metaevo.toml").write_text(text.replace("builtin:tiny", str(other)))
    refused(metaevo("plan", home=home), 2, "metaevo.toml: model.base", str(other), "this home began with")


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    home = written(tmp_path / "home")
    (home / "metaevo.toml").write_bytes(BASE.encode() + b"# \xff\xfe\n")
    refused(metaevo("run", home=home), 2, "metaevo.toml", "cannot be read")
    (home / "metaevo.toml").unlink()
    (home / "metaevo.toml").mkdir()
    refused(metaevo("run", home=home), 2, "metaevo.toml", "cannot be read")
