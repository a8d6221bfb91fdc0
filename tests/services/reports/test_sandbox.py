"""`metaevo sandbox check` and `build` without a daemon, and with scripted ones: what is said, and the exit code."""

import json
import shutil
from pathlib import Path

import pytest

from sandbox.errors import Refused
from sandbox.images import LOCK, Lock, harness_digest
from sandbox.monty import Monty
from sandbox.self_check import Proof
from sandbox.types import Sandbox
from services.actions import images
from services.reports import sandbox
from tests.journeys import small
from tests.journeys.terminal import metaevo

DIGEST = "python@sha256:" + "a" * 64
AWAY = "unix:///nowhere/docker.sock"


class Daemon:
    """A daemon that answers and has runc and one image."""

    def __init__(self, address: object, *, request_s: float = 1.0) -> None:
        self.closed = False

    def info(self) -> dict[str, object]:
        return {"Runtimes": {"runc": {}}}

    def must_have(self, image: str, runtime: str) -> None:
        assert runtime == "runc"
        if image != "sha256:1234":
            raise Refused("sandbox", "no image in this daemon; build it: metaevo sandbox build")

    def close(self) -> None:
        self.closed = True


class Docker(Monty):
    """The embedded tier in containers' clothes."""

    def __init__(self, lock: Lock, *, owner: str, address: object, runtime: str) -> None:
        super().__init__(workers=1)
        assert owner.endswith("/check")


@pytest.fixture(autouse=True)
def proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every proof take no time; real ones are in tests/hostile."""

    def proof(tier: Sandbox) -> Proof:
        failed = {"memory": "reached 384"} if isinstance(tier, Docker) else {}
        return Proof(tier.tier, ("time", "network"), failed, "", 0.1)

    monkeypatch.setattr("sandbox.self_check.self_check", proof)


def locked(folder: Path, image: str = "sha256:1234") -> Path:
    folder.mkdir()
    Lock(image, harness_digest(), "l", "3.12", "debian bookworm").write(folder)
    return folder


def test_check_needs_no_home_and_names_each_tier_with_what_it_lacks() -> None:
    said = metaevo("--json", "sandbox", "check", "--host", AWAY)
    monty, bubblewrap, docker, gvisor = said.data
    assert [row["backend"] for row in said.data] == ["monty", "bubblewrap", "docker", "docker+runsc"]
    assert bubblewrap["usable"] == (shutil.which("bwrap") is not None)
    assert bubblewrap["checks"][0]["name"] == "program"
    assert all(set(row) == {"backend", "usable", "checks"} for row in said.data)
    assert monty["usable"]
    assert monty["checks"] == [{"name": name, "ok": True, "detail": "kept"} for name in ("time", "network")]
    for row in (docker, gvisor):
        assert not row["usable"]
        (check,) = row["checks"]
        assert (check["name"], check["ok"]) == ("daemon", False)
        assert check["detail"].startswith(f"{AWAY} does not answer: ")
        assert check["detail"].endswith("; start a Docker daemon, or name one with --host or sandbox.host")
    text = metaevo("sandbox", "check", "--host", AWAY).out.splitlines()
    shown = [line.split()[:2] for line in text[1:] if not line.startswith("bubblewrap")]
    assert shown == [["monty", "usable"], ["docker", "REFUSED"], ["docker+runsc", "REFUSED"]]


def test_without_one_usable_tier_it_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = sandbox._row("monty", [sandbox._check("starts", False, "no")])
    monkeypatch.setattr(sandbox, "_embedded", lambda: refused)
    monkeypatch.setattr(sandbox, "_bubblewrap", lambda: refused)
    assert "REFUSED  starts: no" in metaevo("sandbox", "check", "--host", AWAY, code=3).out


def test_runtime_image_and_limits_are_each_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.daemon.Daemon", Daemon)
    monkeypatch.setattr("sandbox.docker.Docker", Docker)
    *_, docker, gvisor = metaevo("--json", "sandbox", "check", "--image", locked(tmp_path / "image")).data
    assert {check["name"]: check["ok"] for check in docker["checks"]} == {
        **{"daemon": True, "runtime": True, "image": True},
        **{"time": True, "network": True, "memory": False},
    }
    assert docker["checks"][-1]["detail"] == "not kept: reached 384"
    assert not docker["usable"]
    found = {check["name"]: check for check in gvisor["checks"]}
    assert set(found) == {"daemon", "runtime", "image"}  # nothing is proven on what is not there
    assert found["runtime"]["detail"].startswith("the daemon has runc; install it where the daemon runs")
    for folder, why in ((tmp_path / "none", "make one: metaevo"), (locked(tmp_path / "old", "sha256:9"), "build it: ")):
        *_, docker, _ = metaevo("--json", "sandbox", "check", "--image", folder).data
        assert why in docker["checks"][-1]["detail"]


def test_check_asks_the_daemon_and_image_that_the_home_names(tmp_path: Path) -> None:
    home = small.create(
        tmp_path / "home", small.CONFIG + f'[sandbox]\nuse = "docker"\nhost = "{AWAY}"\nimage = "box"\n'
    )
    *_, docker, _ = metaevo("--json", "sandbox", "check", home=home.path).data
    assert docker["checks"][0]["detail"].startswith(AWAY)
    assert sandbox.place(home, None, None).image == home.path / "box"
    assert "tcp without TLS" in metaevo("sandbox", "check", "--host", "tcp://x:1", home=home.path, code=2).err


def test_build_names_everything_that_is_missing_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    said = metaevo("sandbox", "build", "--host", AWAY, "--image", tmp_path / "box", code=3).err
    head = "metaevo: sandbox build: needs debootstrap (or --base NAME@sha256:…), root, a daemon: "
    assert said.startswith(f"{head}{AWAY} does not answer: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "box").exists()
    wrong = metaevo("sandbox", "build", "--base", "python:3", code=2).err
    assert wrong == "metaevo: --base python:3: name it by digest: python@sha256:… (64 hex digits)\n"
    assert "needs a daemon: " in metaevo("sandbox", "build", "--host", AWAY, "--base", DIGEST, code=3).err


@pytest.mark.parametrize("base", ["", DIGEST])
def test_build_tells_the_pinned_id_and_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    def made(daemon: Daemon, folder: Path, *given: str, **more: str) -> Lock:
        assert not daemon.closed
        lock = Lock("sha256:77", harness_digest(), "l", "usr/bin/python3", " ".join([*given, *more.values()]).strip())
        lock.write(folder)
        return lock

    monkeypatch.setattr("sandbox.daemon.Daemon", Daemon)
    monkeypatch.setattr(images, "_missing", list)
    monkeypatch.setattr("sandbox.images.build_from_debian", made)
    monkeypatch.setattr("sandbox.images.from_registry", made)
    words = ["--base", base] if base else ["--suite", "trixie"]
    said = metaevo("--json", "sandbox", "build", *words, "--image", tmp_path / "box")
    assert set(said.data) == {"image", "source", "python", "harness", "lock", "host"}
    assert (said.data["image"], said.data["source"]) == ("sha256:77", base or "trixie")
    assert said.data["lock"] == str(tmp_path / "box" / LOCK)
    assert json.loads(Path(said.data["lock"]).read_text())["image"] == "sha256:77"
    assert said.err.startswith("metaevo: building on ")
    assert said.err.endswith("; this takes minutes\n")
    told = metaevo("sandbox", "build", *words, "--image", tmp_path / "box").out
    assert told.startswith("sha256:77 is in unix:///var/run/docker.sock (")
    assert told.endswith(f"pinned in {tmp_path / 'box' / LOCK}. Next: metaevo sandbox check\n")


def test_a_build_that_fails_pins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Lock:
        raise Refused("sandbox", "no Python in the image")

    monkeypatch.setattr("sandbox.daemon.Daemon", Daemon)
    monkeypatch.setattr("sandbox.images.from_registry", fails)
    said = metaevo("sandbox", "build", "--base", DIGEST, "--image", tmp_path / "box", code=3).err
    assert said.endswith("metaevo: sandbox build: no Python in the image; nothing was pinned\n")
    assert not (tmp_path / "box" / LOCK).exists()
