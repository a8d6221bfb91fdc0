"""Where the daemon is: `unix:///path`, `ssh://user@host[:port][/path]` or `tcp://host:port` with TLS.

Plain tcp is refused: whoever reaches such a port is root on that machine. The host's own docker.sock inside a
container is refused too unless allowed by name: a process there that is taken over would own the host.
An ssh address becomes a local socket forwarded by the `ssh` program with the user's own configuration and keys.
"""

import contextlib
import grp
import os
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sandbox.errors import Refused, Unavailable

DEFAULT = "unix:///var/run/docker.sock"
SOCKET = "/var/run/docker.sock"
MARKS = ("/.dockerenv", "/run/.containerenv")
TUNNEL_S = 20.0


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a mutual TLS connection."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Address:
    """One daemon's address, checked."""

    url: str
    tls: Tls | None = None
    allow_socket: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("unix", "ssh", "tcp"):
            raise Refused("[sandbox] host", "", "unix://, ssh:// or tcp:// with TLS", given=repr(self.url))
        if parts.scheme == "tcp" and self.tls is None:
            raise Refused(
                "[sandbox] host", "tcp without TLS is open to the network", "give ca, cert, key", given=repr(self.url)
            )
        if parts.scheme != "unix" and not parts.hostname:
            raise Refused("[sandbox] host", "no host name", given=repr(self.url))
        if parts.scheme == "ssh" and (parts.hostname or "").startswith("-"):
            raise Refused("[sandbox] host", "a host name does not start with a dash", given=repr(self.url))

    def must_be_ours(self) -> None:
        """Raise where the socket is that of the machine outside of the container we are in.

        Raises:
            Refused: It is, and it was not allowed by name.
        """
        if self.scheme == "unix" and not self.allow_socket and outside(urlsplit(self.url).path):
            raise Refused(
                "[sandbox] host",
                "a docker socket inside a container owns the machine outside",
                "use ssh:// or tcp:// with TLS, or allow it by name",
                given=repr(self.url),
            )

    def must_be_open(self) -> None:
        """Raise where the socket is there and not for this user.

        Raises:
            Refused: The daemon is there; it need not be started.
        """
        path = urlsplit(self.url).path
        if self.scheme == "unix" and os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
            raise Refused(
                "sandbox",
                f"{self.url} is there, and this user may not use it",
                f"add the user to the socket's group ({_group(path)}): usermod -aG, then log in again",
            )

    @property
    def scheme(self) -> str:
        """Return unix, ssh or tcp."""
        return urlsplit(self.url).scheme


def of_environment(asked: Mapping[str, str]) -> tuple[str, Tls | None]:
    """Return where docker's own variables say that the daemon is, else the machine's own socket.

    DOCKER_HOST, and for tcp DOCKER_CERT_PATH with ca.pem, cert.pem and key.pem.
    """
    url, folder = asked.get("DOCKER_HOST", ""), asked.get("DOCKER_CERT_PATH", "")
    if not url:
        return DEFAULT, None
    tls = Tls(*(Path(folder, f"{name}.pem") for name in ("ca", "cert", "key"))) if folder else None
    return url, tls if url.startswith("tcp:") else None


def _group(path: str) -> str:
    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except KeyError:
        return "docker"


def outside(path: str, marks: tuple[str, ...] = MARKS) -> bool:
    """Return whether whoever listens on a socket does so from outside of the container that this process is in.

    The kernel names the listener: process 0 where it lives in no pid namespace of ours. Where the pid namespace is
    shared, an engine's mark and another mount namespace say the same. A socket that nobody answers is not outside.
    """
    with socket.socket(socket.AF_UNIX) as ours:
        try:
            ours.connect(path)
        except OSError:
            return False
        pid, _, _ = struct.unpack("3i", ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if pid == 0:
        return True
    try:
        other = os.stat(f"/proc/{pid}/ns/mnt").st_ino != os.stat("/proc/self/ns/mnt").st_ino
    except OSError:
        return False
    return other and any(Path(mark).exists() for mark in marks)


def ssh_command(url: str, local: Path) -> list[str]:
    """Return the command that forwards the far socket to a local one."""
    parts = urlsplit(url)
    port = ["-p", str(parts.port)] if parts.port else []
    user = ["-l", parts.username] if parts.username else []
    options = ["-N", "-T", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15"]
    far = parts.path if parts.path not in ("", "/") else SOCKET
    return ["ssh", *options, *port, *user, "-L", f"{local}:{far}", "--", parts.hostname or ""]


@contextlib.contextmanager
def reachable(address: Address) -> Iterator[str]:
    """Yield a URL that the client library can use, for as long as the block lasts.

    Raises:
        Unavailable: ssh did not open the way in time; its own words are in the message.
    """
    if address.scheme != "ssh":
        yield address.url
        return
    with tempfile.TemporaryDirectory(prefix="metaevo-ssh-") as folder:
        local = Path(folder) / "docker.sock"
        process = subprocess.Popen(
            ssh_command(address.url, local), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _wait(process, local, address.url)
            yield f"unix://{local}"
        finally:
            process.terminate()
            process.wait()
            if process.stderr:
                process.stderr.close()


def _wait(process: "subprocess.Popen[bytes]", local: Path, url: str) -> None:
    until = time.monotonic() + TUNNEL_S
    while not local.exists():
        if process.poll() is not None:
            said = process.stderr.read(500).decode("utf-8", "replace").strip() if process.stderr else ""
            raise Unavailable("sandbox", f"{url}: ssh ended with {process.returncode}: {said}")
        if time.monotonic() > until:
            raise Unavailable("sandbox", f"{url}: ssh opened no way within {TUNNEL_S:.0f} s")
        time.sleep(0.02)
