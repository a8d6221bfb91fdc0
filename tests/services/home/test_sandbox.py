"""[sandbox]: which tier runs generated kernels, looked at before anything is made; what forbids generated modules."""

import json
from pathlib import Path

import pytest

from metaevo.errors import BadInput
from sandbox.handle import embedded
from sandbox.images import harness_digest
from services.config.read import parse
from services.home.sandbox import handle_of, open_sandbox
from tests.journeys import small
from tests.journeys.terminal import metaevo

BASE = '[model]\nbase = "builtin:tiny"\n'


def image(home: Path, folder: str = "sandbox", harness: str | None = None) -> None:
    """Write an image's lock."""
    (home / folder).mkdir()
    facts = {
        "image": "sha256:1234",
        "harness": harness or harness_digest(),
        "layer": "l",
        "python": "3.12",
        "source": "s",
    }
    (home / folder / "sandbox.lock").write_text(json.dumps(facts))


def table(*lines: str) -> str:
    return BASE + "[sandbox]\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", [BASE, table('use = "monty"'), table('use = "monty"', 'runtime = "runc"')])
def test_without_a_word_it_is_the_embedded_tier_one_for_the_process(tmp_path: Path, text: str) -> None:
    with open_sandbox(tmp_path, parse(text)) as handle:
        assert handle is embedded()
        assert handle.identity.startswith("monty ")


def test_bubblewrap_needs_its_program_and_nothing_of_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"sandbox: no bwrap on this machine; install bubblewrap"):
        handle_of(tmp_path, parse(table('use = "bubblewrap"')))
    with pytest.raises(BadInput, match=r"sandbox\.host: is for containers"):
        handle_of(tmp_path, parse(table('use = "bubblewrap"', 'host = "ssh://box@x"')))
    (tmp_path / "bwrap").touch(0o755)
    assert handle_of(tmp_path, parse(table('use = "bubblewrap"'))).identity.startswith("bubblewrap python 3.")


@pytest.mark.parametrize(
    ("lines", "identity"),
    [
        ((), "docker sha256:1234"),
        (('runtime = "runsc"',), "docker+runsc sha256:1234"),
        (('host = "ssh://box@sandbox-1.internal"',), "docker sha256:1234"),
        (('host = "tcp://sandbox-1:2376"', 'tls = "certificates"'), "docker sha256:1234"),
        (('host = "unix:///var/run/docker.sock"', "allow_socket = true"), "docker sha256:1234"),
    ],
)
def test_containers_are_named_by_runtime_and_image_and_not_opened_yet(
    tmp_path: Path, lines: tuple[str, ...], identity: str
) -> None:
    image(tmp_path)
    with open_sandbox(tmp_path, parse(table('use = "docker"', *lines))) as run:
        assert run.identity == identity


def test_the_image_is_where_the_key_says(tmp_path: Path) -> None:
    image(tmp_path, "elsewhere")
    assert handle_of(tmp_path, parse(table('use = "docker"', 'image = "elsewhere"'))).identity == "docker sha256:1234"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (('use = "docker"',), r"metaevo\.toml: sandbox: .*/sandbox/sandbox\.lock: .*; make one: metaevo sandbox build"),
        (('runtime = "runsc"',), r'sandbox\.runtime: is for containers; add use = "docker", or drop it'),
        (('host = "ssh://box@x"',), r"sandbox\.host: is for containers"),
        (('image = "x"',), r"sandbox\.image: is for containers"),
        (('tls = "x"',), r"sandbox\.tls: is for containers"),
        (("allow_socket = true",), r"sandbox\.allow_socket: is for containers"),
        (('use = "docker"', 'host = "tcp://x:1"'), "tcp without TLS is open to the network; give ca, cert, key"),
        (('use = "docker"', 'host = "http://x"'), "unix://, ssh:// or tcp:// with TLS"),
    ],
)
def test_what_contradicts_is_refused_before_anything_is_made(tmp_path: Path, lines: tuple[str, ...], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        handle_of(tmp_path, parse(table(*lines)))


def test_an_image_of_another_harness_is_refused(tmp_path: Path) -> None:
    image(tmp_path, harness="older")
    with pytest.raises(BadInput, match="the image holds another version's harness; build it again"):
        handle_of(tmp_path, parse(table('use = "docker"')))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[sandbox]\nuse = "docker"\n', "metaevo.toml: sandbox: "),
        (
            '[forbid]\nmethods = ["generated:feedbak"]\n',
            "forbid.methods = 'generated:feedbak': want generated:SLOT; slots",
        ),
        ('[forbid]\nmethods = ["written:feedback"]\n', "forbid.methods = 'written:feedback': want generated:SLOT"),
    ],
)
def test_check_and_run_tell_it_in_one_line(tmp_path: Path, more: str, why: str) -> None:
    home = small.create(tmp_path / "home", small.CONFIG + more)
    for verb in (("config", "check"), ("run", "--cycles", 1)):
        assert why in metaevo(*verb, home=home.path, code=2).err
    assert not home.founded
