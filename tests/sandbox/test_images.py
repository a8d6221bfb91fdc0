"""The image: the same bytes for the same files, nothing of the build machine in it, named by digest."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from sandbox.errors import Refused
from sandbox.images import HARNESS, Lock, _kept, archive, find_python, from_registry, harness_digest, layer, read_lock


def root(folder: Path) -> Path:
    """A small root as debootstrap makes it: a python, a library, a shell, a set-id program, a device's place."""
    for place in ("usr/bin/python3.11", "usr/lib/python3.11/json.py", "usr/lib/x86_64-linux-gnu/libc.so.6", "bin/sh",
                  "usr/bin/su", "etc/shadow", "usr/lib/python3.11/__pycache__/json.pyc"):  # fmt: skip
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(place)
    (folder / "usr/bin/python3.11").chmod(0o4755)
    (folder / "usr/bin/python3").symlink_to("python3.11")
    return folder


def packed(folder: Path) -> tuple[bytes, dict[str, tarfile.TarInfo]]:
    into = io.BytesIO()
    layer(folder, into, _kept)
    with tarfile.open(fileobj=io.BytesIO(into.getvalue())) as tar:
        return into.getvalue(), {info.name: info for info in tar}


def test_the_same_files_give_the_same_bytes_whenever_and_by_whomever(tmp_path: Path) -> None:
    one, two = root(tmp_path / "one"), root(tmp_path / "two")
    for path in two.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert packed(one)[0] == packed(two)[0]


def test_only_python_its_libraries_and_the_harness_are_inside(tmp_path: Path) -> None:
    _, found = packed(root(tmp_path))
    files = {name for name, info in found.items() if not info.isdir()}
    assert files == {
        "harness.py", "usr/bin/python3", "usr/bin/python3.11", "usr/lib/python3.11/json.py",
        "usr/lib/x86_64-linux-gnu/libc.so.6",
    }  # fmt: skip
    assert all(not info.mode & 0o6222 for info in found.values() if not info.issym())
    assert all((info.uid, info.gid, info.mtime) == (0, 0, 0) for info in found.values())


def test_the_id_is_the_hash_of_the_configuration_that_names_the_layer(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(packed(root(tmp_path / "root"))[0])
    image, digest = archive(tmp_path / "layer", "x86_64", tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())
        config = json.loads(tar.extractfile(manifest[0]["Config"]).read())
    assert image.removeprefix("sha256:") + ".json" == manifest[0]["Config"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
    assert config["config"] == {}


def test_a_lock_of_another_harness_is_refused(tmp_path: Path) -> None:
    lock = Lock("sha256:a", harness_digest(), "b", "/usr/bin/python3", "debian")
    lock.write(tmp_path)
    assert read_lock(tmp_path) == lock
    lock.must_match()
    with pytest.raises(Refused, match="build it again"):
        Lock("sha256:a", "0" * 64, "b", "/usr/bin/python3", "debian").must_match()
    assert HARNESS.name == "harness.py"


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"image": 1}'])
def test_a_folder_without_a_lock_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "sandbox.lock").write_text(text)
    with pytest.raises(Refused, match="metaevo sandbox build"):
        read_lock(tmp_path)


@pytest.mark.parametrize("name", ["python:3.12-slim", "python", "python@sha256:abc"])
def test_a_registrys_image_is_named_by_digest(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="digest"):
        from_registry(None, tmp_path, name)


def test_a_root_without_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no python3"):
        find_python(tmp_path)
