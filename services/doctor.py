"""Look at the machine and the home; every line says ok, warn or fail, and what to do."""

import importlib.metadata
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from metaevo.engines.client import EngineClient
from metaevo.engines.grader import GraderPool
from metaevo.errors import MetaevoError
from metaevo.evolution.bootstrap import scheme_of
from objectives.finder import Source
from objectives.splits import NEWEST, Scheme
from services.home.home import LEAST_FREE, Home
from services.home.preflight import NVIDIA
from services.records.health import Doctor, MachineCheck

PACKAGES = ("torch", "transformers", "trl", "peft", "optuna", "sqlmodel", "docker", "apscheduler", "prometheus-client")
State = Literal["ok", "warn", "fail"]


def check_machine(home: Home | None) -> Doctor:
    """Return every check; ``healthy`` is false where one failed."""
    checks = (*_python(), *_packages(), *_gpu(), *_engine(), *_graders(), *_disk(home), *_home(home))
    return Doctor(healthy=all(check.state != "fail" for check in checks), checks=checks)


def _found(name: str, state: State, found: str, fix: str) -> MachineCheck:
    return MachineCheck(name=name, state=state, found=found, fix=fix)


def _python() -> Iterator[MachineCheck]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield _found("python", "ok" if sys.version_info >= (3, 11) else "fail", version, "use Python 3.11 or newer")
    old = sqlite3.sqlite_version_info < (3, 51, 3)
    yield _found("sqlite", "ok", f"{sqlite3.sqlite_version}{' (one writer: safe)' if old else ''}", "")


def _packages() -> Iterator[MachineCheck]:
    for name in PACKAGES:
        try:
            yield _found(name, "ok", importlib.metadata.version(name), "")
        except importlib.metadata.PackageNotFoundError:
            yield _found(name, "fail", "not installed", f"pip install {name}")


def _gpu() -> Iterator[MachineCheck]:
    found = "an NVIDIA device; used where training.gpus = 1" if NVIDIA.exists() else "none, the processor computes"
    yield _found("gpu", "ok", found, "")


def _engine() -> Iterator[MachineCheck]:
    import tempfile

    from metaevo.artifacts.store import Store

    with tempfile.TemporaryDirectory() as folder:
        engine = EngineClient(Store(Path(folder)))
        try:
            yield _found("engine", "ok", engine.identity, "")
        except MetaevoError as error:
            yield _found("engine", "fail", str(error), "reinstall torch, transformers and trl")
        finally:
            engine.close()


def _graders() -> Iterator[MachineCheck]:
    pool = GraderPool([Source("addition", "addition", ".")], workers=1)
    try:
        pool.describe()
        closed = pool.closed_doors
        state: State = "ok" if closed.get("network") else "warn"
        found = ", ".join(name for name, fine in closed.items() if fine)
        yield _found(
            "graders", state, f"closed: {found}", "" if state == "ok" else "allow user namespaces, or run as root"
        )
    except MetaevoError as error:
        yield _found("graders", "fail", str(error), "reinstall metaevo")
    finally:
        pool.close()


def _disk(home: Home | None) -> Iterator[MachineCheck]:
    place = home.path if home is not None and home.path.is_dir() else Path.cwd()
    free = shutil.disk_usage(place).free
    state: State = "ok" if free > 10 * LEAST_FREE else "warn" if free > LEAST_FREE else "fail"
    yield _found("disk", state, f"{free // 2**20} MiB free at {place}", "" if state == "ok" else "make room")


def _home(home: Home | None) -> Iterator[MachineCheck]:
    if home is None or not home.config_path.is_file():
        yield _found("home", "ok", "none", "create one with `metaevo init`, or try `metaevo demo`")
        return
    try:
        home.config()
        yield _found("home", "ok", str(home.path), "")
        yield _sandbox(home)
        if home.founded:
            ledger = home.ledger()
            try:
                found, scheme = ledger.check(), scheme_of(ledger)
            finally:
                ledger.close()
            yield _found(
                "ledger", "ok" if found == "ok" else "fail", found, "" if found == "ok" else "restore a backup"
            )
            yield _splits(scheme)
    except MetaevoError as error:
        yield _found("home", "fail", str(error), "fix the configuration")


def _splits(scheme: Scheme) -> MachineCheck:
    """Say by which scheme the home's texts are split; the first one lets two environments disagree about a text."""
    if scheme is NEWEST:
        return _found("splits", "ok", "by the text alone, a seed an item", "")
    found = "by the environment's name and the text, one seed a stream: the scheme this home was begun with"
    return _found("splits", "warn", found, "metaevo audit splits --reason … moves it")


def _sandbox(home: Home) -> MachineCheck:
    from services.reports.sandbox import own_tier

    row = own_tier(home)
    wrong = [f"{check.name}: {check.detail}" for check in row.checks if not check.ok]
    if wrong:
        way_out = 'see metaevo sandbox check, or use = "monty"'
        return _found("sandbox", "fail", f"{row.backend}: {'; '.join(wrong)}", way_out)
    return _found("sandbox", "ok", f"{row.backend}: {'; '.join(check.detail for check in row.checks)}", "")
