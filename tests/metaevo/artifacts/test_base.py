"""The base checkpoint, looked at before any library loads it: every fault is one line with place and way out."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaevo.artifacts.base import inspect, refer, verified_base
from metaevo.artifacts.store import Store
from metaevo.errors import BadInput, StoreError
from metaevo.tiny import CHECKPOINT

Damage = Callable[[Path], None]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, folder)
    return folder


def without(*names: str) -> Damage:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def text(name: str, content: str | bytes) -> Damage:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def changed(name: str, **more: Any) -> Damage:
    def edit(folder: Path) -> None:
        table = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(table | more))

    return edit


def tensors(header: Any, data: bytes = b"", length: int | None = None) -> Damage:
    """Write model.safetensors with this header; ``length`` is what the file says of the header's length."""
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    return text("model.safetensors", struct.pack("<Q", len(body) if length is None else length) + body + data)


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def entry(start: Any, end: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [1], "data_offsets": [start, end]}


def foreign_tokenizer(folder: Path) -> None:
    table = json.loads((folder / "tokenizer.json").read_text())
    table["model"]["vocab"]["other"] = 50_000
    (folder / "tokenizer.json").write_text(json.dumps(table))


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    table = json.loads((folder / "tokenizer_config.json").read_text())
    table.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(table))


def a_shard_short(folder: Path) -> None:
    shards = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))


FAULTS: dict[str, tuple[Damage, str]] = {
    "no config": (without("config.json"), r"config\.json is missing; give a complete Hugging Face checkpoint"),
    "no weights": (without("model.safetensors"), r"holds no \.safetensors file; give a complete checkpoint"),
    "no tokenizer": (without("tokenizer.json"), r"holds no tokenizer\.json; save the tokenizer beside the model"),
    "no tokenizer config": (without("tokenizer_config.json"), r"tokenizer_config\.json is missing"),
    "no chat template": (no_template, r"has no chat template; add chat_template\.jinja or give a chat model"),
    "pickled": (pickled, r"pytorch_model\.bin is pickled and would run code.*; save it as safetensors"),
    "auto_map": (
        changed("config.json", auto_map={"AutoModel": "m.M"}),
        r"config\.json asks for remote code \(auto_map\)",
    ),
    "tokenizer auto_map": (
        changed("tokenizer_config.json", auto_map={}),
        r"tokenizer_config\.json asks for remote code",
    ),
    "nested auto_map": (
        changed("config.json", text_config={"auto_map": {"AutoModel": "m.M"}}),
        "asks for remote code",
    ),
    "config no JSON": (text("config.json", "{"), r"config\.json is not JSON .*; restore the file"),
    "config binary": (text("config.json", b"\xff\xfe"), r"config\.json is not JSON"),
    "config a list": (text("config.json", "[1, 2]"), r"config\.json"),
    "config nested": (text("config.json", "[" * 50_000), r"config\.json"),
    "foreign tokenizer": (foreign_tokenizer, r"has token 50000, the model only \d+: this is another model's tokenizer"),
    "tokenizer null": (text("tokenizer.json", '{"model": null}'), r"tokenizer\.json"),
    "tokenizer ids": (text("tokenizer.json", '{"model": {"vocab": {"a": "x"}}}'), r"tokenizer\.json"),
    "tokenizer added": (text("tokenizer.json", '{"added_tokens": [{}]}'), r"tokenizer\.json"),
    "vocab_size": (changed("config.json", vocab_size="big"), r"config\.json|vocab_size"),
    "empty weights": (text("model.safetensors", b""), r"is damaged \(header of 0 bytes in a file of 0\); restore it"),
    "short weights": (text("model.safetensors", b"\x01\x00"), r"is damaged \(header of 1 bytes in a file of 2\)"),
    "header 2^63": (tensors({}, length=2**63), r"is damaged \(header of 9223372036854775808 bytes"),
    "header 2^64-1": (tensors({}, length=2**64 - 1), r"is damaged \(header of 18446744073709551615 bytes"),
    "header too long": (tensors({}, length=3), r"is damaged \(header of 3 bytes in a file of 10\)"),
    "header no JSON": (tensors(b"not json"), r"is damaged \(unreadable header\); restore it"),
    "header a list": (tensors([1]), r"is damaged \(unreadable header\)"),
    "header nested": (tensors(b'{"a":' * 20_000), "damaged"),
    "header without offsets": (tensors({"a": {"dtype": "F32"}}), r"is damaged \(unreadable header\)"),
    "no tensor": (tensors({}), r"is damaged \(tensors do not fill the file\); restore it"),
    "overlapping": (tensors({"a": entry(0, 4), "b": entry(2, 6)}, b"x" * 6), r"tensors do not fill the file"),
    "a hole": (tensors({"a": entry(0, 4), "b": entry(6, 8)}, b"x" * 8), r"tensors do not fill the file"),
    "not from 0": (tensors({"a": entry(4, 8)}, b"x" * 8), r"tensors do not fill the file"),
    "beyond the end": (tensors({"a": entry(0, 2**40)}, b"x" * 8), r"tensors do not fill the file"),
    "trailing bytes": (tensors({"a": entry(0, 4)}, b"x" * 8), r"tensors do not fill the file"),
    "backwards": (tensors({"a": entry(4, 0)}, b"x" * 4), r"tensors do not fill the file"),
    "offsets empty": (tensors({"a": {"data_offsets": []}}), "damaged"),
    "offsets a number": (tensors({"a": {"data_offsets": 5}}), "damaged"),
    "offsets null": (tensors({"a": {"data_offsets": None}}), "damaged"),
    "offsets mixed": (tensors({"a": entry(0, "x"), "b": entry(0, 1)}), "damaged"),
    "a shard short": (
        a_shard_short,
        "model-00002",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), [pytest.param(*fault, id=name) for name, fault in FAULTS.items()])
def test_every_fault_is_one_line_with_place_and_way_out(checkpoint: Path, damage: Damage, sentence: str) -> None:
    damage(checkpoint)
    with pytest.raises(BadInput, match=sentence) as caught:
        inspect(checkpoint)
    said = str(caught.value)
    assert said.startswith("model.base")
    assert str(checkpoint) in said
    assert "\n" not in said


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model\.base = '.*/nowhere': no such folder; give a Hugging Face checkpoint"):
        inspect(tmp_path / "nowhere")


def test_the_built_in_base_passes_with_every_file_hashed(checkpoint: Path) -> None:
    files = inspect(checkpoint)
    assert set(files) == {path.name for path in CHECKPOINT.iterdir()}
    assert all(size == (checkpoint / name).stat().st_size and len(sha) == 64 for name, (size, sha) in files.items())


def test_the_place_in_the_message_is_the_caller_s(checkpoint: Path) -> None:
    (checkpoint / "config.json").unlink()
    with pytest.raises(BadInput, match=r"^--base: "):
        inspect(checkpoint, "--base")


def test_metadata_in_a_header_is_no_tensor(checkpoint: Path) -> None:
    tensors({"__metadata__": {"format": "pt"}, "a": entry(0, 4)}, b"xxxx")(checkpoint)
    assert "model.safetensors" in inspect(checkpoint)


def test_inspecting_imports_no_model_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from metaevo.artifacts.base import inspect; from metaevo.tiny import CHECKPOINT;"
        "inspect(CHECKPOINT); print(sorted({'torch', 'transformers', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_reference_holds_as_long_as_the_files_do(checkpoint: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "artifacts")
    tree = store.tree(refer(store, checkpoint))
    assert verified_base(tree) == checkpoint
    assert verified_base(tree) == checkpoint
    weights = checkpoint / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"model\.safetensors is missing or changed since `init`; put it back"):
        verified_base(tree)
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    assert verified_base(tree) == checkpoint


@pytest.mark.parametrize("name", ["config.json", "chat_template.jinja", "tokenizer.json", "model.safetensors"])
def test_a_reference_notices_every_missing_file(checkpoint: Path, tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "artifacts")
    tree = store.tree(refer(store, checkpoint))
    (checkpoint / name).unlink()
    with pytest.raises(StoreError, match=name):
        verified_base(tree)


def test_a_reference_to_a_damaged_checkpoint_is_never_made(checkpoint: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "artifacts")
    (checkpoint / "config.json").unlink()
    with pytest.raises(BadInput, match="config"):
        refer(store, checkpoint)
    assert store.digests() == set()


def test_the_built_in_base_of_another_installation_is_where_it_is_now(checkpoint: Path, tmp_path: Path) -> None:
    """A home outlives the environment it was made in; what is referred to is the files, by their hashes."""
    elsewhere = shutil.copytree(CHECKPOINT, tmp_path / "elsewhere")
    store = Store(tmp_path / "store")
    mine, other = store.tree(refer(store, elsewhere)), store.tree(refer(store, checkpoint))
    assert verified_base(mine) == elsewhere
    shutil.rmtree(elsewhere)
    assert verified_base(mine) == CHECKPOINT
    (checkpoint / "config.json").write_text((checkpoint / "config.json").read_text() + " ")
    changed = store.tree(refer(store, checkpoint))
    shutil.rmtree(checkpoint)
    assert verified_base(other) == CHECKPOINT
    with pytest.raises(StoreError, match="is missing or changed"):
        verified_base(changed)
