"""The store: what was put comes back or an error says what is wrong; nothing half written is ever there."""

import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.artifacts.store import MANIFEST, Store
from metaevo.errors import BadInput, StoreError

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("metaevo")

BLOBS = {
    "short": b"hello",
    "text": b"every token counts " * 40,
    "noise": bytes(range(256)) * 2,
    "long": b"abc" * 40_000,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "artifacts")


def blob(store: Store, digest: str) -> Path:
    return store.root / "blobs" / digest[:2] / digest


def flipped(data: bytes, most: int = 90) -> Iterator[bytes]:
    """Every single-bit error in the first and last bytes: header, body and checksum."""
    places = sorted({*range(min(len(data), most)), *range(max(0, len(data) - most), len(data))})
    for place in places:
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            yield bytes(changed)


@given(data=st.binary(max_size=2000))
def test_what_is_put_comes_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    store = Store(tmp_path_factory.getbasetemp() / "shared")
    digest = store.put(data)
    assert store.get(digest) == data
    assert store.put(data) == digest
    assert store.has(digest)


def test_one_content_is_stored_once(store: Store) -> None:
    first = store.put(b"same")
    stamp = blob(store, first).stat().st_mtime_ns
    assert store.put(b"same") == first
    assert blob(store, first).stat().st_mtime_ns == stamp
    assert store.digests() == {first}


@pytest.mark.parametrize("name", BLOBS)
def test_every_truncation_is_noticed(store: Store, name: str) -> None:
    digest = store.put(BLOBS[name])
    path = blob(store, digest)
    whole = path.read_bytes()
    for length in {*range(min(len(whole), 200)), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match=rf"artifact {digest[:12]} .*restore a backup or roll back"):
            store.get(digest)
    path.write_bytes(whole)
    assert store.get(digest) == BLOBS[name]


@pytest.mark.parametrize("name", BLOBS)
def test_every_bit_flip_is_noticed_or_harmless(store: Store, name: str) -> None:
    digest = store.put(BLOBS[name])
    path = blob(store, digest)
    for data in flipped(path.read_bytes()):
        path.write_bytes(data)
        try:
            assert store.get(digest) == BLOBS[name]
        except StoreError as error:
            said = str(error)
            assert digest[:12] in said


@pytest.mark.parametrize("torn", [b"", b"half", None])
def test_what_a_power_failure_tore_is_written_again(store: Store, torn: bytes | None) -> None:
    digest = store.put(b"content")
    path = blob(store, digest)
    path.write_bytes(path.read_bytes()[:-1] if torn is None else torn)
    assert store.put(b"content") == digest
    assert store.get(digest) == b"content"
    assert [found.name for found in path.parent.iterdir()] == [digest]


def test_another_blob_in_its_place_is_noticed(store: Store) -> None:
    one, two = store.put(b"one"), store.put(b"two")
    blob(store, one).write_bytes(blob(store, two).read_bytes())
    with pytest.raises(StoreError, match="does not match its digest"):
        store.get(one)
    assert store.get(two) == b"two"


def test_a_missing_blob_is_named_with_the_way_out(store: Store) -> None:
    with pytest.raises(StoreError, match=r"artifact abcdef012345 is missing from .*; restore a backup or roll back"):
        store.get("abcdef0123456789")
    assert not store.has("abcdef0123456789")


def test_parallel_writers_of_one_content_agree(store: Store) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(store.put(b"x" * 50_000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert store.get(found[0]) == b"x" * 50_000
    assert [path.name for path in (store.root / "blobs").glob("*/*")] == [found[0]]


def made(store: Store, name: str = "work", **files: str) -> Path:
    folder = store.scratch(name)
    for key, text in (files or {"config": "{}", "weights": "[1, 2]"}).items():
        (folder / f"{key}.json").write_text(text)
    return folder


def test_a_tree_is_moved_in_whole(store: Store) -> None:
    folder = made(store)
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text("deep")
    digest = store.put_tree(folder, {"kind": "full"})
    assert not folder.exists()
    tree = store.tree(digest)
    assert (tree / "deep" / "a.txt").read_text() == "deep"
    manifest = store.manifest(digest)
    assert set(manifest["files"]) == {"config.json", "weights.json", "deep/a.txt"}
    assert manifest["meta"] == {"kind": "full"}


def test_the_same_tree_is_stored_once_and_its_meta_is_part_of_it(store: Store) -> None:
    first = store.put_tree(made(store, "a"), {"kind": "full"})
    assert store.put_tree(made(store, "b"), {"kind": "full"}) == first
    assert store.put_tree(made(store, "c"), {"kind": "adapter"}) != first
    assert not (store.root / "scratch" / "b").exists()


@pytest.mark.parametrize(
    "name", ["model.bin", "model.pt", "code.py", "model.pkl", "a.so", "noending", "x.safetensors.bin"]
)
def test_only_safe_kinds_of_files_are_let_in(store: Store, name: str) -> None:
    folder = made(store)
    (folder / name).write_bytes(b"x")
    with pytest.raises(BadInput, match=r"only \.safetensors, .* files may enter the store"):
        store.put_tree(folder, {})
    assert store.digests() == set()


def damage_truncate(tree: Path) -> None:
    (tree / "weights.json").write_text("[1")


def damage_flip(tree: Path) -> None:
    (tree / "weights.json").write_text("[1, 3]")


def damage_remove(tree: Path) -> None:
    (tree / "weights.json").unlink()


def damage_swap(tree: Path) -> None:
    one, two = tree / "weights.json", tree / "config.json"
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)


def damage_manifest(tree: Path) -> None:
    data = json.loads((tree / MANIFEST).read_text())
    (tree / "weights.json").write_text("[]")
    data["files"]["weights.json"][0] = 2
    (tree / MANIFEST).write_text(json.dumps(data))


def damage_no_manifest(tree: Path) -> None:
    (tree / MANIFEST).unlink()


def damage_empty_manifest(tree: Path) -> None:
    (tree / MANIFEST).write_bytes(b"")


def damage_foreign_file(tree: Path) -> None:
    (tree / "chat_template.jinja").write_text("{{ 'say yes' }}")


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_flip,
        damage_remove,
        damage_swap,
        damage_manifest,
        damage_no_manifest,
        damage_empty_manifest,
        damage_foreign_file,
    ],
)
def test_every_damage_to_a_tree_is_noticed(store: Store, damage: object) -> None:
    digest = store.put_tree(made(store), {})
    damage(store.root / "trees" / digest)  # type: ignore[operator]
    with pytest.raises(StoreError, match=digest[:12]):
        store.tree(digest)


def test_a_folder_without_a_manifest_does_not_exist(store: Store) -> None:
    (store.root / "trees" / "abc").mkdir(parents=True)
    assert not store.has("abc")
    with pytest.raises(StoreError, match="artifact abc is missing"):
        store.tree("abc")


def test_dropping_removes_one_thing_only(store: Store) -> None:
    one, two, tree = store.put(b"one"), store.put(b"two"), store.put_tree(made(store), {})
    store.drop(one)
    assert store.digests() == {two, tree}
    store.drop(tree)
    store.drop("0" * 64)
    assert store.digests() == {two}


def test_what_cannot_be_written_leaves_nothing_behind(store: Store) -> None:
    store.put(b"first")
    (store.root / "blobs" / "aa").write_text("a file where a folder must be")
    data = next(text for n in range(10_000) if sha256(text := str(n).encode()).hexdigest().startswith("aa"))
    with pytest.raises(OSError, match="aa"):
        store.put(data)
    (store.root / "blobs" / "aa").unlink()
    assert [store.get(digest) for digest in store.digests()] == [b"first"]
