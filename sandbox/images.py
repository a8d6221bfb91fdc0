"""The image: a Python with its standard library and our harness, nothing else; the same bytes every time.

    python -m sandbox.images debian FOLDER [--suite bookworm] [--host unix:///…]
    python -m sandbox.images registry FOLDER --from python@sha256:… [--host …]

`build_from_debian` needs root and debootstrap and no registry. `from_registry` pulls one image by digest. Both end
in `write`: files sorted, times, owners and set-id bits removed, a fixed configuration. The image's id is the hash of
all that, so the id *is* the digest a lock pins, and no daemon can answer it with another image.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from sandbox.address import DEFAULT, Address
from sandbox.daemon import Daemon
from sandbox.errors import Refused, Unavailable

HARNESS = Path(__file__).parent / "harness.py"
LOCK = "sandbox.lock"
KEPT = (
    "usr/bin/python3*",
    "usr/lib/python3*",
    "usr/lib/*-linux-gnu*/*.so*",
    "usr/lib/ld-linux*",
    "usr/lib64/*",
    "lib/*-linux-gnu*/*.so*",
    "lib/ld-linux*",
    "lib64/*",
    "bin",
    "lib",
    "lib64",
    "sbin",
)
DROPPED = ("*/__pycache__*", "usr/lib/python3/dist-packages*", "*/ensurepip*", "*/lib2to3*", "*/libapt*", "*/perl*")
"""What an image of Debian keeps: the interpreter, its standard library, the shared libraries. No shell, no su."""
EMPTY = ("dev", "etc", "proc", "run", "sys", "tmp")


@dataclass(frozen=True, slots=True)
class Lock:
    """What a build pins. `image` is the id, `harness` and `layer` are SHA-256."""

    image: str
    harness: str
    layer: str
    python: str
    source: str

    def must_match(self) -> None:
        """Raise where this program's harness is another than the image's.

        Raises:
            Refused: Build the image again.
        """
        if self.harness != harness_digest():
            raise Refused(
                "sandbox", "the image holds another version's harness", "build it again: metaevo sandbox build"
            )

    def write(self, folder: Path) -> None:
        """Write the lock into a folder."""
        (folder / LOCK).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def read_lock(folder: Path) -> Lock:
    """Return a folder's lock.

    Raises:
        Refused: There is none, or it is none.
    """
    try:
        return Lock(**json.loads((folder / LOCK).read_text("utf-8")))
    except FileNotFoundError:
        raise Refused(f"{folder / LOCK}", "there is no lock of an image", "make one: metaevo sandbox build") from None
    except (OSError, ValueError, TypeError) as error:
        raise Refused(f"{folder / LOCK}", error, "make one: metaevo sandbox build") from None


def harness_digest() -> str:
    """Return the SHA-256 of this program's harness."""
    return hashlib.sha256(HARNESS.read_bytes()).hexdigest()


def _kept(name: str) -> bool:
    return any(fnmatch(name, good) for good in KEPT) and not any(fnmatch(name, bad) for bad in DROPPED)


def _plain(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o444) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, 0
    return info


def _entries(root: Path, keep: Callable[[str], bool]) -> Iterable[tuple[tarfile.TarInfo, Path]]:
    """Yield every kept file and link below a root, plain: no times, owners, set-id bits, devices or hard links."""
    for folder, names, files in os.walk(root):
        names.sort()
        for name in sorted(names + files):
            path = Path(folder, name)
            place = path.relative_to(root).as_posix()
            if path.is_symlink():
                info = _plain(place, tarfile.SYMTYPE, 0o777)
                info.linkname = os.readlink(path)
            elif path.is_file():
                info = _plain(place, mode=0o555 if path.stat().st_mode & 0o111 else 0o444)
                info.size = path.stat().st_size
            else:
                continue
            if keep(place):
                yield info, path


def layer(root: Path, into: IO[bytes], keep: Callable[[str], bool]) -> None:
    """Write the one layer: what is kept of a root, our harness, and empty mount points."""
    found = dict(sorted((info.name, (info, path)) for info, path in _entries(root, keep)))
    folders = {str(parent) for name in found for parent in Path(name).parents if str(parent) != "."}
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted({*folders, *EMPTY} - set(found)):
            tar.addfile(_plain(name, tarfile.DIRTYPE, 0o555))
        for info, path in found.values():
            if info.issym():
                tar.addfile(info)
            else:
                with path.open("rb") as file:
                    tar.addfile(info, file)
        info = _plain("harness.py")
        info.size = HARNESS.stat().st_size
        tar.addfile(info, io.BytesIO(HARNESS.read_bytes()))


def archive(layer_file: Path, machine: str, into: Path) -> tuple[str, str]:
    """Write an archive that `docker load` takes; return (image id, digest of the layer)."""
    with layer_file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "metaevo sandbox build"}],
    }
    body = json.dumps(config, sort_keys=True).encode()
    image = hashlib.sha256(body).hexdigest()
    manifest = json.dumps([{"Config": f"{image}.json", "RepoTags": None, "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(into, "w") as tar:
        for name, data in ((f"{image}.json", body), ("manifest.json", manifest)):
            info = _plain(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        info = _plain(f"{digest}/layer.tar")
        info.size = layer_file.stat().st_size
        with layer_file.open("rb") as file:
            tar.addfile(info, file)
    return f"sha256:{image}", digest


def write(root: Path, daemon: Daemon, folder: Path, source: str, keep: Callable[[str], bool] = _kept) -> Lock:
    """Make the image of a root, load it into the daemon, and write its lock.

    Raises:
        Refused: There is no Python in that root.
        Unavailable: The daemon did not take it, or gave it another id.
    """
    python = find_python(root)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="metaevo-image-") as work:
        tar, loaded = Path(work, "layer.tar"), Path(work, "image.tar")
        with tar.open("wb") as into:
            layer(root, into, keep)
        image, digest = archive(tar, os.uname().machine, loaded)
        with loaded.open("rb") as file:
            list(daemon.ask("load", daemon.client.load_image, file))
    daemon.ask(f"the daemon did not take image {image}", daemon.client.inspect_image, image)
    lock = Lock(image, harness_digest(), digest, python, source)
    lock.write(folder)
    return lock


def find_python(root: Path) -> str:
    """Return the path of the interpreter inside a root."""
    for place in ("usr/local/bin/python3", "usr/bin/python3"):
        if (root / place).is_symlink() or (root / place).exists():
            return f"/{place}"
    raise Refused(root, "no python3 in /usr/local/bin or /usr/bin", "take an image with Python")


def build_from_debian(daemon: Daemon, folder: Path, *, suite: str = "bookworm", mirror: str = "") -> Lock:
    """Build with debootstrap: minbase and python3 with its full standard library. Needs root.

    Raises:
        Refused: No debootstrap, or no root.
        Unavailable: debootstrap failed; the end of its words is in the message.
    """
    program = shutil.which("debootstrap")
    if program is None or os.geteuid() != 0:
        raise Refused("sandbox build", "needs debootstrap and root", "install it, or give a registry's image by digest")
    with tempfile.TemporaryDirectory(prefix="metaevo-root-") as work:
        root = Path(work, "root")
        command = [program, "--variant=minbase", "--include=python3", suite, str(root), *([mirror] if mirror else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable("sandbox build", f"debootstrap: {(done.stdout + done.stderr).strip()[-300:]}")
        return write(root, daemon, folder, f"debian {suite}")


def from_registry(daemon: Daemon, folder: Path, reference: str) -> Lock:
    """Build on a registry's image, named by digest: its files, our harness, no set-id bits.

    Raises:
        Refused: No digest in the name, or no Python in the image.
        Unavailable: The daemon could not pull it.
    """
    name, mark, digest = reference.partition("@sha256:")
    if not mark or len(digest) != 64:
        raise Refused("sandbox build", f"{reference}: name it by digest: {name.split(':')[0]}@sha256:…")
    daemon.ask(f"pull {reference}", daemon.client.pull, name, tag=f"sha256:{digest}")
    made = daemon.ask("create", daemon.client.create_container, reference, ["none"])["Id"]
    try:
        with tempfile.TemporaryDirectory(prefix="metaevo-root-") as work:
            root, tar = Path(work, "root"), Path(work, "root.tar")
            with tar.open("wb") as into:
                for part in daemon.ask("export", daemon.client.export, made):
                    into.write(part)
            with tarfile.open(tar) as packed:
                packed.extractall(root, filter=_safe)
            return write(root, daemon, folder, reference, lambda _: True)
    finally:
        daemon.remove(made)


def _safe(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    """Keep files, folders and links that stay inside; an image's devices and pipes are left out."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    if member.issym():
        return member  # copied as a link, never followed here
    return tarfile.data_filter(member, path)


def main(words: list[str] | None = None) -> int:
    """Build from the command line; print the lock."""
    parser = argparse.ArgumentParser(prog="sandbox.images")
    parser.add_argument("kind", choices=("debian", "registry"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default=DEFAULT)
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--mirror", default="")
    parser.add_argument("--from", dest="reference", default="")
    said = parser.parse_args(words)
    daemon = Daemon(Address(said.host), request_s=300.0)
    try:
        if said.kind == "debian":
            lock = build_from_debian(daemon, said.folder, suite=said.suite, mirror=said.mirror)
        else:
            lock = from_registry(daemon, said.folder, said.reference)
    finally:
        daemon.close()
    sys.stdout.write(json.dumps(asdict(lock)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
