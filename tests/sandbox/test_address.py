"""Addresses: what is open to the network, or owns the machine outside, is refused before anything is sent."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.address import Address, Tls, outside, reachable, ssh_command
from sandbox.errors import Refused, Unavailable

TLS = Tls(Path("ca"), Path("cert"), Path("key"))


@pytest.mark.parametrize(
    "url", ["tcp://10.0.0.1:2375", "http://x", "ssh://", "ssh://-oProxyCommand=x", "npipe:////./p"]
)
def test_what_is_open_or_unknown_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="host"):
        Address(url)


def test_tcp_with_tls_and_ssh_are_taken() -> None:
    assert Address("tcp://10.0.0.1:2376", TLS).scheme == "tcp"
    assert Address("ssh://sandbox@box.internal").scheme == "ssh"


def test_ssh_forwards_a_socket_with_the_users_own_configuration() -> None:
    words = ssh_command("ssh://me@box:2222/run/docker.sock", Path("/tmp/l"))
    assert words[0] == "ssh"
    assert words[-2:] == ["--", "box"]
    assert words[words.index("-p") + 1] == "2222"
    assert words[words.index("-l") + 1] == "me"
    assert words[words.index("-L") + 1] == "/tmp/l:/run/docker.sock"
    assert ssh_command("ssh://box", Path("/l"))[-3] == "/l:/var/run/docker.sock"


def test_a_host_that_ssh_does_not_reach_is_infrastructure() -> None:
    if not any(Path(folder, "ssh").exists() for folder in os.environ["PATH"].split(":")):
        pytest.skip("ssh: not installed")
    with pytest.raises(Unavailable, match="ssh ended"), reachable(Address("ssh://nobody@127.0.0.1:1")):
        pass


def test_a_socket_of_the_machine_outside_is_known_by_its_listener(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        assert not outside(str(tmp_path / "s"))
        assert not outside(str(tmp_path / "nobody"))
        if os.geteuid() != 0:
            pytest.skip("a pid namespace needs root")
        code = f"from sandbox.address import outside; print(outside({str(tmp_path / 's')!r}))"
        words = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
        said = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True).stdout
        assert said.strip() == "True"
