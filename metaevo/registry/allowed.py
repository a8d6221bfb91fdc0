"""What a module may import, name by name: the vocabulary, plain computing, and where it trains, torch and its kin."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType

import metaevo

SHARED = "metaevo.modules.shared"
LEARNING = "metaevo.learning"
VOCABULARY = frozenset(
    {"metaevo", "metaevo.types", "metaevo.traits", "metaevo.history", "metaevo.errors", "objectives.types"}
)
OURS = frozenset({"metaevo", "objectives", "services", "sandbox"})
_PLAIN = """
__future__ abc array ast base64 binascii bisect calendar cmath collections collections.abc contextlib copy dataclasses
datetime decimal difflib enum fractions functools graphlib hashlib heapq html itertools json json.decoder json.encoder
math numbers operator pprint random re statistics string struct textwrap typing unicodedata zlib
"""
PLAIN = frozenset(_PLAIN.split())
"""The parts of the standard library that compute and reach nothing."""
_HEAVY = """
numpy numpy.fft numpy.linalg numpy.random numpy.typing peft torch torch.amp torch.autograd torch.cuda
torch.distributions torch.fft torch.linalg torch.nn torch.nn.functional torch.nn.utils torch.optim
torch.optim.lr_scheduler torch.special transformers trl
"""
HEAVY = frozenset(_HEAVY.split())
"""What modules that train may import too. The control plane never does: what is in them is read from their folders."""
_OUTSIDE = """
argparse asyncio atexit builtins bz2 cProfile cffi code codecs codeop concurrent configparser csv ctypes dbm dill
faulthandler fileinput frozen_importlib frozen_importlib_external fsspec ftplib gc getpass glob gzip http httpx
huggingface_hub imp importlib inspect io joblib linecache locale logging lzma marshal mmap multiprocessing nt os pathlib
pdb pickle pkgutil platform posix posixpath profile pty requests resource runpy safetensors shelve shutil signal site
smtplib socket socketserver sqlite3 ssl subprocess sys sysconfig tarfile tempfile threading time timeit tokenize tomllib
types urllib uuid warnings weakref webbrowser xmlrpc zipfile zipimport
"""
OUTSIDE = frozenset(_OUTSIDE.split())
"""Where what an allowed module happens to hold may come from all the same; such a thing is not to be used."""
_LEADING = """
attrgetter methodcaller get_type_hints ForwardRef evaluate_forward_ref load save savez savez_compressed savetxt
DataSource fromregex from_file pipeline
"""
LEADING = frozenset(_LEADING.split())
"""Names of allowed modules that read files, or attributes by a name in a text."""


def may_import(name: str, *, trains: bool) -> bool:
    """Return whether a module of this name may be imported."""
    if name in VOCABULARY or name in PLAIN or name == SHARED or name.startswith(f"{SHARED}."):
        return True
    return trains and (name in HEAVY or name == LEARNING or name.startswith(f"{LEARNING}."))


def submodule(module: str, name: str) -> str | None:
    """Return the whole name of the module that ``name`` of a module is; None where it is none."""
    if _light(module):
        value = getattr(import_module(module), name, None)
        return value.__name__ if isinstance(value, ModuleType) else None
    if name in OUTSIDE:
        return name
    folders = _folders(module)
    found = any((folder / f"{name}.py").is_file() or (folder / name).is_dir() for folder in folders)
    return f"{module}.{name}" if found else None


def refused(module: str, name: str, *, trains: bool) -> bool:
    """Return whether this name of an allowed module is not to be used."""
    if name.startswith("_") or (name in LEADING and module.split(".", maxsplit=1)[0] not in OURS):
        return True
    if module == "metaevo":
        return name not in metaevo.__all__ and not may_import(f"metaevo.{name}", trains=trains)
    deeper = submodule(module, name)
    if deeper is not None:
        return not may_import(deeper, trains=trains)
    if _light(module):
        value = getattr(import_module(module), name, None)
        whence = str(getattr(value, "__module__", None)).split(".")[0].lstrip("_")
        return isinstance(value, (type, FunctionType, BuiltinFunctionType)) and whence in OUTSIDE - {"builtins"}
    return module.startswith(LEARNING) and name not in _own(module)


def _light(module: str) -> bool:
    """Return whether a module may be imported by whoever reads a source: no torch comes with it."""
    return module in PLAIN or module in VOCABULARY or module.startswith(SHARED)


def _folders(module: str) -> list[Path]:
    """Return where a package's modules lie, without importing it."""
    root, *more = module.split(".")
    spec = find_spec(root)
    return [Path(place, *more) for place in (spec.submodule_search_locations or ())] if spec is not None else []


@cache
def _own(module: str) -> frozenset[str]:
    """Return what one of our files defines, or gives away by its ``__all__``: not what it imports for itself."""
    root, *more = module.split(".")
    place = Path(str(find_spec(root).origin)).parent.joinpath(*more)  # type: ignore[union-attr]
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return frozenset(_defined(ast.parse(file.read_text(encoding="utf-8")))) if file.is_file() else frozenset()


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    yield target.id
                    if target.id == "__all__" and node.value is not None:
                        yield from ast.literal_eval(node.value)


def installed_elsewhere(root: str, folders: list[Path]) -> bool:
    """Return whether an import of ``root`` finds something else than what lies in one of the folders."""
    if root in sys.stdlib_module_names or root in OURS:
        return True
    spec = find_spec(root)
    found = [spec.origin] if spec and spec.origin else list((spec and spec.submodule_search_locations) or ())
    places = [Path(str(place)).resolve() for place in found]
    return any(not any(place.is_relative_to(folder.resolve()) for folder in folders) for place in places)
