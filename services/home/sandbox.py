"""The sandbox of a home: from [sandbox] to the one tier that runs generated kernels and the programs of rewards.

Without a word it is the embedded interpreter; bubblewrap needs its program alone. A container tier is looked at here
(address, image) and opened with the first kernel or program, or by `require_answer` where work begins. A daemon that
is away later on is infrastructure.
The daemon's client library is imported when a container tier is opened, not before. One tier serves the whole home: its
name is part of what an environment measures.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from metaevo.errors import BadInput, SandboxUnavailable
from sandbox.errors import SandboxError
from sandbox.handle import SandboxHandle, embedded
from sandbox.self_check import Proven
from sandbox.types import Sandbox
from services.config.tables import Config
from services.config.tables_machine import SandboxTable

if TYPE_CHECKING:
    from sandbox.address import Address
    from sandbox.images import Lock

PLACE = "metaevo.toml: sandbox"
OF_CONTAINERS = ("runtime", "host", "image", "tls", "allow_socket")
AWAY = 'see `metaevo sandbox check`, or use = "monty"'


def require_answer(handle: SandboxHandle) -> None:
    """Open and prove containers now, so that work does not begin without them; the embedded tier is always there.

    Raises:
        SandboxUnavailable: The daemon does not answer, lacks the image or the runtime, or does not keep a limit.
    """
    if handle is embedded():
        return
    try:
        tier = handle.tier()
        if isinstance(tier, Proven):
            tier.must_hold()
    except SandboxError as error:
        raise SandboxUnavailable(f"{PLACE}: {error.plain}; {AWAY}") from error


@contextmanager
def open_sandbox(home: Path, config: Config, *, by: str = "") -> Iterator[SandboxHandle]:
    """Yield where the home's generated kernels and programs run; its containers are gone with the block.

    Who does not hold the home says ``by`` what name it works: its containers are no other process's then.

    Raises:
        BadInput: Like `handle_of`.
    """
    made = handle_of(home, config, by=by)
    try:
        yield made
    finally:
        if made is not embedded():  # the embedded tier is the process's, and proven once
            made.close()


def handle_of(home: Path, config: Config, *, by: str = "") -> SandboxHandle:
    """Return where the home's generated kernels and programs run; nothing is opened yet.

    Raises:
        BadInput: A key contradicts the tier, an address is refused, or there is no image.
    """
    table = config.sandbox
    if table.use != "docker":
        given = [key for key in OF_CONTAINERS if getattr(table, key) != SandboxTable.model_fields[key].default]
        if given:
            raise BadInput(f"{PLACE}.{given[0]}", "is for containers", 'add use = "docker", or drop it')
        return embedded() if table.use == "monty" else _bubblewrap()
    from sandbox.images import read_lock

    try:
        address, lock = address_of(home, table), read_lock(home / table.image)
        lock.must_match()
    except SandboxError as error:
        raise BadInput(PLACE, error, "") from error
    tier = "docker" if table.runtime == "runc" else f"docker+{table.runtime}"
    owner = owner_of(home, by)
    return SandboxHandle(f"{tier} {lock.image}", lambda: _containers(owner, table.runtime, address, lock))


def _bubblewrap() -> SandboxHandle:
    from sandbox.bubblewrap import Bubblewrap, identity

    try:
        return SandboxHandle(identity(), lambda: Proven(Bubblewrap()))
    except SandboxError as error:
        raise BadInput(PLACE, error, "") from error


def owner_of(home: Path, by: str = "") -> str:
    """Return the label of a home's containers."""
    digest = hashlib.blake2b(str(home).encode(), digest_size=6).hexdigest()
    return f"{digest}/{by}" if by else digest


def address_of(home: Path, table: SandboxTable) -> "Address":
    """Return where the daemon is.

    Raises:
        Refused: By `sandbox.address`.
    """
    from sandbox.address import Address, Tls, of_environment

    url, tls = (table.host, None) if table.host else of_environment(os.environ)
    if table.tls is not None:
        folder = home / table.tls
        tls = Tls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    return Address(url, tls, table.allow_socket)


def _containers(owner: str, runtime: str, address: "Address", lock: "Lock") -> Sandbox:
    from sandbox.docker import Docker

    return Proven(Docker(lock, owner=owner, address=address, runtime=runtime))
