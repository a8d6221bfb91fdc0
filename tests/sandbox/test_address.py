"""Addresses: what is open to the network, or owns the machine outside, is refused before anything is sent."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sandbox.address import Address, Tls, of_environment, outside, reachable, ssh_command
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


def test_dockers_own_variables_name_the_daemon_where_nothing_else_does() -> None:
    assert of_environment({}) == ("unix:///var/run/docker.sock", None)
    assert of_environment({"DOCKER_HOST": "unix:///run/user/7/docker.sock", "DOCKER_CERT_PATH": "/c"})[1] is None
    url, tls = of_environment({"DOCKER_HOST": "tcp://box:2376", "DOCKER_CERT_PATH": "/c"})
    assert (url, tls) == ("tcp://box:2376", Tls(Path("/c/ca.pem"), Path("/c/cert.pem"), Path("/c/key.pem")))


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_socket_that_is_not_for_this_user_is_told_as_such() -> None:
    # in /tmp itself: another folder for temporary files may be closed to other users
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as server:
        path = Path(folder, "docker.sock")
        server.bind(str(path))
        path.chmod(0o660)
        path.parent.chmod(0o755)
        address = Address(f"unix://{path}")
        address.must_be_open()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                address.must_be_open()
            except Refused as error:
                os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.close(write)  # else a child that says nothing would be waited for without end
        said = os.read(read, 1000).decode()
        os.waitpid(pid, 0)
        os.close(read)
    way_out = "add the user to the socket's group (root): usermod -aG, then log in again"
    assert said == f"sandbox: {address.url} is there, and this user may not use it; {way_out}"
