"""The sandbox of a home: from [sandbox] to the tier that runs generated kernels.

Without a word it is the embedded interpreter. A container tier is looked at here (address, image), and opened and
proven before its first kernel; a daemon that does not answer then is infrastructure, never a kernel's failure.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from metaevo.effects import Run
from metaevo.errors import BadInput
from metaevo.line.kernels import TierRun, embedded
from sandbox.errors import SandboxError
from services.settings import Config
from services.settings_machine import SandboxTable

if TYPE_CHECKING:
    from sandbox.address import Address
    from sandbox.images import Lock
    from sandbox.types import Sandbox

PLACE = "metaevo.toml: sandbox"
OF_CONTAINERS = ("runtime", "host", "image", "tls", "allow_socket")


@contextmanager
def sandboxed(home: Path, config: Config) -> Iterator[Run]:
    """Yield where the home's generated kernels run; its containers are gone with the block.

    Raises:
        BadInput: Like `run_of`.
    """
    made = run_of(home, config)
    try:
        yield made
    finally:
        if made is not embedded():  # the embedded tier is the process's, and proven once
            made.close()


def run_of(home: Path, config: Config) -> TierRun:
    """Return where the home's generated kernels run; nothing is opened yet.

    Raises:
        BadInput: A key contradicts the tier, an address is refused, or there is no image.
    """
    table = config.sandbox
    if table.use == "monty":
        given = [key for key in OF_CONTAINERS if getattr(table, key) != SandboxTable.model_fields[key].default]
        if given:
            raise BadInput(f'{PLACE}.{given[0]}: is for containers; add use = "docker", or drop it')
        return embedded()
    from sandbox.images import read_lock

    try:
        address, lock = _address(home, table), read_lock(_image(home, table))
        lock.must_match()
    except SandboxError as error:
        raise BadInput(f"{PLACE}: {error}") from error
    tier = "docker" if table.runtime == "runc" else f"docker+{table.runtime}"
    return TierRun(f"{tier} {lock.image}", lambda: _containers(home, table.runtime, address, lock))


def _image(home: Path, table: SandboxTable) -> Path:
    return home / table.image


def _address(home: Path, table: SandboxTable) -> "Address":
    from sandbox.address import DEFAULT, Address, Tls

    tls = None
    if table.tls is not None:
        folder = home / table.tls
        tls = Tls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    return Address(table.host or DEFAULT, tls, table.allow_socket)


def _containers(home: Path, runtime: str, address: "Address", lock: "Lock") -> "Sandbox":
    from sandbox.docker import Docker
    from sandbox.self_check import Proven

    owner = hashlib.blake2b(str(home).encode(), digest_size=6).hexdigest()
    return Proven(Docker(lock, owner=owner, address=address, runtime=runtime))
