"""A daemon behind mutual TLS: kernels run through it, and nobody without the client's certificate gets in."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.address import Address, Tls
from sandbox.daemon import Daemon
from sandbox.docker import Docker
from sandbox.errors import Unavailable
from sandbox.images import read_lock
from sandbox.types import Kernel, Shape, Verdict
from tests.hostile import tiers

pytestmark = [*tiers.ALONE, pytest.mark.timeout(300)]


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> None:
    """Make a CA, a server's certificate for localhost and a client's."""
    fresh = ("req", "-newkey", "rsa:2048", "-nodes", "-subj")
    openssl(folder, *fresh, "/CN=ca", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    signed = ("x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    for name in ("server", "client"):
        openssl(folder, *fresh, "/CN=localhost", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(folder, *signed, "-in", f"{name}.csr", "-out", f"{name}.pem")


def pump(a: socket.socket, b: socket.socket) -> None:
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    finally:
        for end in (a, b):
            end.close()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A port that asks for a certificate before it passes anything to the test daemon."""
    tiers.need("docker")
    certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # so that a refusal is seen in the handshake
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                near = server.accept()[0]
            except OSError:
                return
            try:
                near = context.wrap_socket(near, server_side=True)
            except OSError:
                near.close()
                continue
            far = socket.socket(socket.AF_UNIX)
            far.connect(tiers.url().removeprefix("unix://"))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def test_kernels_run_on_a_daemon_behind_tls(port: int, tmp_path: Path) -> None:

    tls = Tls(tmp_path / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key")
    lock = read_lock(tiers.image())
    with Docker(lock, owner="tls", address=Address(f"tcp://localhost:{port}", tls), request_s=60) as docker:
        kernel = Kernel("def act(n):\n    while n < 0:\n        pass\n    return n * 2\n", "act", Shape.NUMBER)
        assert docker.run(kernel, [[4], [5]], wall_s=20).values == (8, 10)
        assert docker.run(kernel, [[-1]]).verdict is Verdict.TIMEOUT


def test_nobody_without_the_right_certificate_gets_in(port: int, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    certificates(other)
    with pytest.raises(Unavailable):
        Daemon(Address(f"tcp://localhost:{port}", Tls(tmp_path / "ca.pem", other / "client.pem", other / "client.key")))
    with pytest.raises(Unavailable):
        Daemon(
            Address(f"tcp://localhost:{port}", Tls(other / "ca.pem", tmp_path / "client.pem", tmp_path / "client.key"))
        )
