"""Checkpoints that must not be loaded: refused by name before any library opens them, and nothing is left behind."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaevo.tiny import CHECKPOINT
from tests.faults.cli import metaevo, refused, tree


def settings(folder: Path, name: str = "config.json", **changed: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    table = json.loads((folder / name).read_text()) | changed
    (folder / name).write_text(json.dumps({key: value for key, value in table.items() if value is not None}))


def cut(folder: Path, name: str, size: int) -> None:
    """Keep so many bytes of a file."""
    (folder / name).write_bytes((folder / name).read_bytes()[:size])


def pickled(folder: Path, name: str) -> None:
    """Put a pickle in the place of the weights: loading it would run code."""
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"cos\nsystem\n(S'touch /tmp/hacked'\ntR.")


def another_tokenizer(folder: Path) -> None:
    """Give every token an id 500 higher: the tokenizer of a larger model."""
    table = json.loads((folder / "tokenizer.json").read_text())
    table["model"]["vocab"] = {token: id_ + 500 for token, id_ in table["model"]["vocab"].items()}
    (folder / "tokenizer.json").write_text(json.dumps(table))


def header(folder: Path, tensors: object, length: int | None = None) -> None:
    """Write a safetensors file with this header."""
    text = json.dumps(tensors).encode()
    size = (len(text) if length is None else length).to_bytes(8, "little")
    (folder / "model.safetensors").write_bytes(size + text + b"\0" * 16)


TENSOR = {"dtype": "F32", "shape": [2]}
OVERLAPPING = {"a": TENSOR | {"data_offsets": [0, 8]}, "b": TENSOR | {"data_offsets": [4, 12]}}
DAMAGES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "not there": (shutil.rmtree, ("no such folder; give a Hugging Face checkpoint",)),
    "a file": (lambda f: (shutil.rmtree(f), f.write_text("weights")), ("no such folder",)),
    "empty": (lambda f: (shutil.rmtree(f), f.mkdir()), ("config.json is missing",)),
    "a broken config": (lambda f: cut(f, "config.json", 50), ("config.json is not JSON", "restore")),
    "a config that is a list": (lambda f: (f / "config.json").write_text("[]"), ("config.json is not a JSON object",)),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ("holds no .safetensors file",)),
    "half the weights": (lambda f: cut(f, "model.safetensors", 10**6), ("model.safetensors is damaged", "do not fill")),
    "no byte of weights": (lambda f: cut(f, "model.safetensors", 0), ("model.safetensors is damaged", "restore it")),
    "a header of 2^63 bytes": (lambda f: header(f, {}, 2**63), ("is damaged (header of 9223372036854775808 bytes",)),
    "overlapping tensors": (lambda f: header(f, OVERLAPPING), ("is damaged (tensors do not fill the file)",)),
    "weights that point nowhere": (
        lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").symlink_to(f / "gone")),
        ("model.safetensors", "No such file"),
    ),
    "pickled weights": (lambda f: pickled(f, "pytorch_model.bin"), ("pytorch_model.bin is pickled", "safetensors")),
    "a pickled .pt": (lambda f: pickled(f, "model.pt"), ("model.pt is pickled and would run code when loaded",)),
    "remote code": (
        lambda f: settings(f, auto_map={"AutoModelForCausalLM": "evil.Model"}),
        ("config.json asks for remote code (auto_map); only built-in architectures are loaded",),
    ),
    "remote code of the tokenizer": (
        lambda f: settings(f, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]}),
        ("tokenizer_config.json asks for remote code",),
    ),
    "an adapter": (
        lambda f: (f / "adapter_config.json").write_text('{"base_model_name_or_path": "https://evil.example/m"}'),
        ("is an adapter on another model; merge it",),
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ("holds no tokenizer.json; save the tokenizer",)),
    "a broken tokenizer": (lambda f: cut(f, "tokenizer.json", 90), ("tokenizer.json is not JSON",)),
    "another model's tokenizer": (another_tokenizer, ("the model only 104: this is another model's tokenizer",)),
    "no chat template": (lambda f: (f / "chat_template.jinja").unlink(), ("has no chat template; add",)),
}
"""What is done to a copy of the tiny model's checkpoint, and what is said."""


@pytest.mark.parametrize("case", DAMAGES)
def test_init_refuses_a_checkpoint_and_makes_no_home(tmp_path: Path, case: str) -> None:
    damage, parts = DAMAGES[case]
    base = tmp_path / "base"
    shutil.copytree(CHECKPOINT, base)
    damage(base)
    before = tree(tmp_path) if case != "weights that point nowhere" else {}
    said = metaevo("init", "--base", base, "--environment", "sorting", home=tmp_path / "home")
    refused(said, 2, "--base", str(base), *parts)
    assert not (tmp_path / "home").exists()
    assert case == "weights that point nowhere" or tree(tmp_path) == before
    assert not os.path.exists("/tmp/hacked")


def not_a_number(folder: Path) -> None:
    """Put a NaN into the last tensor of the file."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\xc0\x7f")


LOADED: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "an unknown architecture": (lambda f: settings(f, model_type="foo"), ("is not a causal language model", "`foo`")),
    "no language model": (lambda f: settings(f, model_type="bert"), ("wants weights that are not there",)),
    "another width": (lambda f: settings(f, hidden_size=64), ("is not a causal language model",)),
    "more layers than weights": (
        lambda f: settings(f, num_hidden_layers=4),
        ("wants weights that are not there, first model.layers.3",),
    ),
    "a width in words": (lambda f: settings(f, hidden_size="many"), ("is not a causal language model", "'many'")),
    "weights that are no numbers": (not_a_number, ("no finite probability",)),
}
SOON = ("more layers than weights",)
"""What is tried in every run; each case starts an engine."""


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=() if name in SOON else pytest.mark.full) for name in LOADED]
)
def test_a_checkpoint_the_engine_cannot_load_leaves_the_home_as_it_was(tmp_path: Path, case: str) -> None:
    damage, parts = LOADED[case]
    base, home = tmp_path / "base", tmp_path / "home"
    shutil.copytree(CHECKPOINT, base)
    damage(base)
    assert metaevo("init", "--base", base, "--environment", "sorting", home=home).code == 0
    before = tree(home)
    refused(metaevo("plan", home=home), 2, "metaevo.toml: model.base", *parts)
    assert tree(home) == before
