"""The base checkpoint: looked at before any library loads it, referred to by the hash of every file.

Only safetensors and JSON are accepted: no pickles, no `auto_map` (remote code), no sharded weights with holes.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metaevo.artifacts.store import Store, file_digest
from metaevo.errors import BadInput, StoreError

REFERENCE = "base.json"
KEEP = (".safetensors", ".json", ".jinja", ".txt", ".model")


def inspect(folder: Path, place: str = "model.base") -> dict[str, list[Any]]:
    """Return the files a checkpoint consists of, with size and sha256.

    Raises:
        BadInput: It is missing, incomplete, damaged, pickled, or wants to run code of its own.
    """
    if not folder.is_dir():
        raise BadInput(
            place, "no such folder", "give a Hugging Face checkpoint with safetensors", given=repr(str(folder))
        )
    try:
        return _inspected(folder, place)
    except OSError as error:
        raise BadInput(place, f"{error.filename}: {error.strerror}", "give a complete checkpoint") from error


def _inspected(folder: Path, place: str) -> dict[str, list[Any]]:
    if (folder / "adapter_config.json").is_file():
        raise BadInput(
            place, f"{folder} is an adapter on another model", "merge it into that model and give the result"
        )
    config = _json(folder / "config.json", place)
    weights = sorted(folder.glob("*.safetensors"))
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.pkl") for path in folder.glob(pattern))
    if not weights and pickled:
        raise BadInput(
            place, f"{folder / pickled[0]} is pickled and would run code when loaded", "save it as safetensors"
        )
    if not weights:
        raise BadInput(place, f"{folder} holds no .safetensors file", "give a complete checkpoint")
    if not (folder / "tokenizer.json").is_file() and not (folder / "tokenizer.model").is_file():
        raise BadInput(place, f"{folder} holds no tokenizer.json", "save the tokenizer beside the model")
    settings = _json(folder / "tokenizer_config.json", place)
    for name, table in (("config.json", config), ("tokenizer_config.json", settings)):
        if _asks_for_code(table):
            raise BadInput(
                place, f"{folder / name} asks for remote code (auto_map)", "only built-in architectures are loaded"
            )
    if "chat_template" not in settings and not (folder / "chat_template.jinja").is_file():
        raise BadInput(place, f"{folder} has no chat template", "add chat_template.jinja or give a chat model")
    _shards(folder, place)
    for path in weights:
        _header(path, place)
    _vocabulary(folder, config, place)
    return {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.name.endswith(KEEP)}


def refer(store: Store, folder: Path, place: str = "model.base") -> str:
    """Write a reference to a base checkpoint into the store and return its digest. Raises like `inspect`."""
    files = inspect(folder, place)
    aside = store.scratch("base")
    (aside / REFERENCE).write_text(json.dumps({"path": str(folder), "files": files}, indent=1, sort_keys=True))
    return store.put_tree(aside, {"kind": "base"})


BUILT_IN = Path(__file__).parents[1] / "tiny" / "checkpoint"
"""Where the built-in base lies in this installation. A reference made by another one names a folder of that one."""


def verified_base(tree: Path) -> Path:
    """Return the folder a reference names, unchanged since it was referred to; the built-in base is where it is now.

    Raises:
        StoreError: A file is missing or changed: training on a mixed lineage is refused.
    """
    reference: Mapping[str, Any] = json.loads((tree / REFERENCE).read_text())
    folder = Path(reference["path"])
    if not folder.is_dir() and _same(BUILT_IN, reference["files"]):
        folder = BUILT_IN
    stamp = (str(folder), json.dumps(reference["files"]), _times(folder))
    if stamp in _VERIFIED:
        return folder
    for name, known in reference["files"].items():
        if file_digest(folder / name, missing_ok=True) != known:
            raise StoreError(f"base checkpoint: {folder / name} is missing or changed since `init`; put it back")
    _VERIFIED.add(stamp)
    return folder


def _same(folder: Path, files: Mapping[str, Any]) -> bool:
    return all(file_digest(folder / name, missing_ok=True) == known for name, known in files.items())


_VERIFIED: set[tuple[str, str, tuple[Any, ...]]] = set()
"""References this process has hashed, with the files' times: a big base is read once, not at every load."""


def _times(folder: Path) -> tuple[Any, ...]:
    if not folder.is_dir():
        return ()
    return tuple((path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.iterdir()))


def _json(path: Path, place: str) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(place, f"{path} is missing", "give a complete Hugging Face checkpoint") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(place, f"{path} is not JSON ({error})", "restore the file") from error
    if not isinstance(table, dict):
        raise BadInput(place, f"{path} is not a JSON object, got {table!r:.40}", "restore the file")
    return table


def _asks_for_code(table: object) -> bool:
    """Return whether ``auto_map`` stands anywhere: parts of a model (text, vision) have tables of their own."""
    left = [table]
    while left:
        part = left.pop()
        if isinstance(part, dict) and "auto_map" in part:
            return True
        left += list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
    return False


def _shards(folder: Path, place: str) -> None:
    """Check that every file the index of a sharded checkpoint names is here."""
    path = folder / "model.safetensors.index.json"
    if not path.is_file():
        return
    named = _json(path, place).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise BadInput(place, f"{path} has no weight_map of tensor and file", "restore the file")
    missing = sorted(name for name in set(named.values()) if not (folder / name).is_file())
    if missing:
        raise BadInput(place, f"{folder / missing[0]} is missing, {path.name} names it", "give a complete checkpoint")


def _header(path: Path, place: str) -> None:
    """Check that a safetensors file's header fits the file (Z05: a header length of 2^63, overlapping offsets)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, 100_000_000):
            raise BadInput(place, f"{path} is damaged (header of {length} bytes in a file of {size})", "restore it")
        try:
            header = json.loads(file.read(length))
            ends = sorted(_places(entry) for name, entry in header.items() if name != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadInput(place, f"{path} is damaged (unreadable header)", "restore it") from error
    whole = all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    if not ends or ends[0][0] != 0 or not whole or ends[-1][1] != size - 8 - length:
        raise BadInput(place, f"{path} is damaged (tensors do not fill the file)", "restore it")


def _places(entry: Any) -> tuple[int, int]:
    """Return where a tensor begins and ends. Raises ValueError, KeyError or TypeError for another form."""
    start, end = entry["data_offsets"]
    if type(start) is not int or type(end) is not int:
        raise TypeError("offsets are whole numbers")
    return start, end


def _vocabulary(folder: Path, config: Mapping[str, Any], place: str) -> None:
    """Check that the tokenizer's ids fit the model's embedding: another model's tokenizer is noticed here."""
    path = folder / "tokenizer.json"
    if not path.is_file() or "vocab_size" not in config:
        return
    table, size = _json(path, place), config["vocab_size"]
    if type(size) is not int:
        said = f"{folder / 'config.json'}: vocab_size must be a whole number, got {size!r:.40}"
        raise BadInput(place, said, "restore the file")
    try:
        vocab = table.get("model", {}).get("vocab", {})
        ids = list(vocab.values()) if isinstance(vocab, dict) else list(range(len(vocab)))
        ids += [entry["id"] for entry in table.get("added_tokens", [])]
        most = max((int(id_) for id_ in ids), default=-1)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            place, f"{path} is not a tokenizer ({type(error).__name__}: {error})", "restore the file"
        ) from error
    if most >= size:
        said = f"{path} has token {most}, the model only {size}: this is another model's tokenizer"
        raise BadInput(place, said, "give the model's own")
