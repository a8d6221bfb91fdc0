"""A content-addressed store in a folder: blobs by sha256, and directories by the sha256 of their manifest.

Publishing order (Pillai et al. 2014, "All file systems are not created equal"): write aside on the same file
system, fsync the files, fsync the folder, rename, fsync the parent. A directory without a valid manifest does
not exist. Only safetensors, JSON and plain text are let in; nothing here is ever unpickled.

A blob is named before it is forced to disk: name and content then cost one commit of the file system's journal instead
of two. What a power failure tears there, nothing refers to yet, and its own digest tells: it is written again.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from metaevo.errors import BadInput, StoreError, writing
from objectives.types import JsonValue

ALLOWED = (".safetensors", ".json", ".jinja", ".txt", ".model", ".toml", ".md")
MANIFEST = "manifest.json"
WAY_OUT = "restore a backup or roll back"


@dataclass(frozen=True, slots=True)
class Store:
    """Blobs in ``root/blobs``, directories in ``root/trees``, both named by their digest."""

    root: Path

    def put(self, data: bytes) -> str:
        """Store compressed bytes durably; return the sha256 of the plain ones.

        Raises:
            Unwritable: The disk is full, read-only or broken.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._blob(digest)
        if not self._whole(digest):
            with writing(self.root):
                path.parent.mkdir(parents=True, exist_ok=True)
                aside = path.with_name(f".{digest}.{secrets.token_hex(4)}")
                write_synced(aside, zstandard.ZstdCompressor(level=3).compress(data), final=path)
                sync(path.parent)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest.

        Raises:
            StoreError: They are missing or do not match.
        """
        path = self._blob(digest)
        try:
            data = zstandard.ZstdDecompressor().decompress(path.read_bytes(), allow_extra_data=False)
        except FileNotFoundError as error:
            raise StoreError(f"artifact {digest[:12]} is missing from {self.root}; {WAY_OUT}") from error
        except (zstandard.ZstdError, MemoryError) as error:  # a flipped bit may say that the content has exabytes
            raise StoreError(f"artifact {digest[:12]} is damaged ({path}); {WAY_OUT}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"artifact {digest[:12]} does not match its digest ({path}); {WAY_OUT}")
        return data

    def _whole(self, digest: str) -> bool:
        try:
            self.get(digest)
        except StoreError:
            return False
        return True

    def has(self, digest: str) -> bool:
        """Return whether a blob or tree of that digest is here (unverified)."""
        return self._blob(digest).exists() or (self._tree(digest) / MANIFEST).exists()

    def put_tree(self, source: Path, meta: Mapping[str, JsonValue]) -> str:
        """Move a finished folder into the store; return the digest of its manifest.

        Raises:
            BadInput: A file is of a kind that is never let in.
            Unwritable: The disk is full, read-only or broken.
        """
        files = {p.relative_to(source).as_posix(): file_digest(p) for p in sorted(source.rglob("*")) if p.is_file()}
        files.pop(MANIFEST, None)
        for name in files:
            if not name.endswith(ALLOWED):
                said = f"only {', '.join(ALLOWED)} files may enter the store"
                raise BadInput(source / name, said, "take it out of the folder")
        manifest = json.dumps({"files": files, "meta": dict(meta)}, sort_keys=True).encode()
        digest = hashlib.sha256(manifest).hexdigest()
        target = self._tree(digest)
        if target.exists():
            shutil.rmtree(source)
            return digest
        with writing(self.root):
            for name in files:
                sync(source / name)
            write_synced(source / MANIFEST, manifest)
            sync(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            sync(target.parent)
        return digest

    def tree(self, digest: str, *, verify: bool = True) -> Path:
        """Return the folder of a tree, every file checked against the manifest unless told otherwise.

        Raises:
            StoreError: The manifest or a file is missing or does not match, or there is a file it does not name.
        """
        folder = self._tree(digest)
        manifest = self.manifest(digest)
        if verify:
            for name, (size, sha) in manifest["files"].items():
                if file_digest(folder / name, missing_ok=True) != [size, sha]:
                    raise StoreError(f"artifact {digest[:12]}: {folder / name} is missing or changed; roll back")
            present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
            foreign = sorted(present - {MANIFEST, *manifest["files"]})
            if foreign:
                raise StoreError(f"artifact {digest[:12]}: {folder / foreign[0]} does not belong to it; remove it")
        return folder

    def manifest(self, digest: str) -> dict[str, Any]:
        """Return a tree's manifest: ``files`` (name to size and sha256) and ``meta``.

        Raises:
            StoreError: It is missing or does not match its digest.
        """
        path = self._tree(digest) / MANIFEST
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise StoreError(f"artifact {digest[:12]} is missing from {self.root}; {WAY_OUT}") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"artifact {digest[:12]}: {path} does not match its digest; roll back")
        return dict(json.loads(data))

    def scratch(self, name: str) -> Path:
        """Return a working folder on the store's file system, made if need be."""
        folder = self.root / "scratch" / name
        with writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def drop(self, digest: str) -> None:
        """Remove a blob or tree; the caller knows that nothing refers to it."""
        self._blob(digest).unlink(missing_ok=True)
        shutil.rmtree(self._tree(digest), ignore_errors=True)

    def digests(self) -> set[str]:
        """Return the digest of everything stored."""
        blobs = {path.name for path in (self.root / "blobs").glob("*/[0-9a-f]*")}
        return blobs | {path.name for path in (self.root / "trees").glob("[0-9a-f]*")}

    def damaged(self) -> Iterator[str]:
        """Read every blob and tree whole, referred to or not; yield what does not match the digest in its name."""
        for path in sorted((self.root / "blobs").glob("*/[!.]*")):
            if path != self._blob(path.name):
                yield f"{path} is no artifact; remove it"
                continue
            try:
                self.get(path.name)
            except (StoreError, OSError) as error:
                yield str(error)
        for path in sorted((self.root / "trees").glob("[!.]*")):
            try:
                self.tree(path.name)
            except (StoreError, OSError) as error:
                yield str(error)

    def _blob(self, digest: str) -> Path:
        return self.root / "blobs" / digest[:2] / digest

    def _tree(self, digest: str) -> Path:
        return self.root / "trees" / digest


def write_synced(path: Path, data: bytes, *, final: Path | None = None) -> None:
    """Write a file, name it ``final`` where that is given, and force it to disk.

    One that cannot be written whole is not left behind.
    """
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            if final is not None:
                path.rename(final)
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Force a file or folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path, *, missing_ok: bool = False) -> list[Any]:
    """Return [size in bytes, sha256] of a file; [] where it is missing and may be."""
    if missing_ok and not path.is_file():
        return []
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]
