"""Tiers opened once for all hostile programs, and the canaries that they must not touch."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.types import Limits, Sandbox
from tests.hostile import tiers
from tests.hostile.program import CANARY


@pytest.fixture(scope="session")
def listener() -> Iterator[tuple[str, str]]:
    """A port and an abstract name on which this process listens: reachable from the host, not from inside."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        name = f"metaevo-hostile-{tcp.getsockname()[1]}"
        unix.bind("\0" + name)
        unix.listen()
        for server in (tcp, unix):
            threading.Thread(target=_accept, args=(server,), daemon=True).start()
        yield str(tcp.getsockname()[1]), name


def _accept(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


@pytest.fixture
def given(tmp_path: Path, listener: tuple[str, str]) -> dict[str, str]:
    """What a program is told: where the canaries are."""
    canaries, folder = tmp_path / "canaries", tmp_path / "folder"
    for made in (canaries, folder):
        made.mkdir()
    (canaries / "answers").write_text(CANARY)
    (canaries / "promotions").write_text("none\n")
    (folder / "log").write_text("a log\n")
    return {
        "word": CANARY,
        "file": str(canaries / "answers"),
        "canaries": str(canaries),
        "folder": str(folder),
        "port": listener[0],
        "abstract": listener[1],
        "socket": str(canaries / "answers"),
    }


@pytest.fixture(scope="session", params=tiers.ALL)
def tier(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each tier that may run kernels."""
    tiers.need(request.param)
    sandbox = tiers.open_tier(request.param, Limits(wall_s=1.0), owner=f"hostile-{request.param}", standby=2)
    yield sandbox
    sandbox.close()
