"""The sandbox as a person sees it: every tier, what it proves on this machine, and how to get what is missing."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from metaevo.errors import BadInput
from sandbox.errors import Refused, SandboxError, Unavailable
from sandbox.types import Sandbox
from services.config.tables_machine import SandboxTable
from services.home.home import Home, default_path
from services.home.sandbox import address_of, owner_of
from services.records.sandbox import LimitCheck, Tier

if TYPE_CHECKING:
    from sandbox.address import Address
    from sandbox.daemon import Daemon
    from sandbox.images import Lock

RUNTIMES: tuple[str, ...] = get_args(SandboxTable.model_fields["runtime"].annotation)
START = "start a Docker daemon, or name one with --host or sandbox.host"
REGISTER = "install it where the daemon runs and name it among the daemon's runtimes (gVisor: runsc install)"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose daemon, and the folder of the image's lock."""

    home: Path
    address: "Address"
    image: Path


def place(home: Home | None, host: str | None, image: Path | None) -> Place:
    """Return where to look: as the home's [sandbox] says, else its defaults below the default home's folder.

    Raises:
        BadInput: The address is refused, or the configuration is wrong.
    """
    table = home.config().sandbox if home is not None and home.config_path.is_file() else SandboxTable()
    folder = home.path if home is not None else default_path().expanduser().resolve()
    if host is not None:
        table = table.model_copy(update={"host": host})
    try:
        return Place(folder, address_of(folder, table), image or folder / table.image)
    except Refused as error:
        raise BadInput("", error, "") from error


def check_tiers(home: Home | None, host: str | None = None, image: Path | None = None) -> list[Tier]:
    """Return a row for every tier: whether it may run kernels here, and each check with what was found."""
    where = place(home, host, image)
    return [_embedded(), _bubblewrap(), *(_containers(where, runtime) for runtime in RUNTIMES)]


def own_tier(home: Home) -> Tier:
    """Return the row of the home's own tier without its limits' proof: whether daemon, runtime and image are there."""
    table = home.config().sandbox
    if table.use == "monty":
        return _row("monty", [_check("embedded", True, "in this process")])
    if table.use == "bubblewrap":
        return _bubblewrap(prove=False)
    return _containers(place(home, None, None), table.runtime, prove=False)


def _embedded() -> Tier:
    from sandbox.monty import Monty

    try:
        tier = Monty()
    except Unavailable as error:
        return _row("monty", [_check("starts", False, str(error))])
    with closing(tier):
        return _row("monty", _proven(tier))


def _bubblewrap(*, prove: bool = True) -> Tier:
    """Return bubblewrap's row; its limits are proven where its program and a Python are there."""
    from sandbox.bubblewrap import Bubblewrap, identity

    try:
        checks = [_check("program", True, identity())]
        if prove:
            with closing(Bubblewrap()) as tier:
                checks += _proven(tier)
    except SandboxError as error:
        return _row("bubblewrap", [_check("program", False, error.plain)])
    return _row("bubblewrap", checks)


def _containers(where: Place, runtime: str, *, prove: bool = True) -> Tier:
    """Return a container tier's row; its limits are proven once daemon, runtime and image are there."""
    from sandbox.daemon import Daemon

    backend = "docker" if runtime == "runc" else f"docker+{runtime}"
    try:
        with closing(Daemon(where.address)) as daemon:
            checks = [_check("daemon", True, where.address.url), *_there(daemon, where, runtime)]
    except SandboxError as error:
        return _row(backend, [_check("daemon", False, f"{error.plain}; {START}")])
    if not prove or not all(check.ok for check in checks):
        return _row(backend, checks)
    return _row(backend, checks + _opened(where, runtime))


def _there(daemon: "Daemon", where: Place, runtime: str) -> list[LimitCheck]:
    """Return whether a daemon has the runtime and the image."""
    have = sorted(daemon.info().get("Runtimes") or {})
    found = runtime in have
    checks = [_check("runtime", found, runtime if found else f"the daemon has {', '.join(have)}; {REGISTER}")]
    try:
        lock = _lock(where)
        daemon.must_have(lock.image, runtime if found else have[0])
    except Refused as error:
        return [*checks, _check("image", False, error.plain)]
    return [*checks, _check("image", True, f"{lock.image} ({lock.source})")]


def _lock(where: Place) -> "Lock":
    from sandbox.images import read_lock

    lock = read_lock(where.image)
    lock.must_match()
    return lock


def _opened(where: Place, runtime: str) -> list[LimitCheck]:
    from sandbox.docker import Docker

    try:
        with Docker(_lock(where), owner=owner_of(where.home, "check"), address=where.address, runtime=runtime) as tier:
            return _proven(tier)
    except SandboxError as error:
        return [_check("starts", False, str(error))]


def _proven(tier: Sandbox) -> list[LimitCheck]:
    from sandbox.self_check import self_check

    try:
        proof = self_check(tier)
    except SandboxError as error:
        return [_check("self-check", False, str(error))]
    held = [_check(name, True, "kept") for name in proof.passed]
    return [*held, *(_check(name, False, f"not kept: {why}") for name, why in proof.failed.items())]


def _check(name: str, ok: bool, detail: str) -> LimitCheck:
    return LimitCheck(name=name, ok=ok, detail=detail)


def _row(backend: str, checks: list[LimitCheck]) -> Tier:
    return Tier(backend=backend, usable=all(check.ok for check in checks), checks=tuple(checks))
