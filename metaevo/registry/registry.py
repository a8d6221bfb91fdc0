"""Find a module by slot and name. The file's stem is the name, so listing never imports and finding imports one file.

Four places, one rule: `metaevo/modules/<slot>/<name>.py`, `<home>/modules/<slot>/<name>.py`, a package's entry point
`<name>` in the group `metaevo.<slot>`, and what the system wrote, `<home>/modules/<slot>/generated/<name>.toml`. The
folder or the group is the slot. What is quarantined is not installed.
"""

import ast
import difflib
import hashlib
import importlib.util
import inspect
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from metaevo.errors import ModuleFailed, UnknownModule
from metaevo.registry import generated, generated_files
from metaevo.registry.slots import SLOTS, Module, read

OURS = Path(__file__).parents[1] / "modules"
ROOT = OURS.parent.parent
PACKAGES = ("metaevo", "objectives")
KERNEL = ".toml"
"""A generated module's file."""


class Registry:
    """The modules one home can see. A module whose file changed is read anew at its next `get`."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home
        self._loaded: dict[tuple[str, str], Module] = {}
        self._points: dict[str, dict[str, EntryPoint]] = {}

    def names(self, slot: str) -> list[str]:
        """Return the names installed for ``slot``, sorted, without importing any of them."""
        return sorted({*self._files(slot), *self._entries(slot)})

    def where(self, slot: str, name: str) -> str:
        """Return who brought a module: ``metaevo``, ``home``, ``generated`` or the entry point's package."""
        path = self._files(slot).get(name)
        if path is not None and path.suffix == KERNEL:
            return "generated"
        if path is not None:
            return "metaevo" if path.is_relative_to(OURS) else "home"
        point = self._entries(slot)[name]
        return point.dist.name if point.dist is not None else point.value

    def get(self, slot: str, name: str, place: str = "recipe") -> Module:
        """Return the module, freshly read if its code changed since the last time.

        Raises:
            UnknownModule: Nothing of that name is installed.
            ModuleFailed: Its file does not import or breaks the contract.
        """
        path = self._files(slot).get(name) if slot in SLOTS else None
        if path is None and (slot not in SLOTS or name not in self._entries(slot)):
            raise self._quarantined(slot, name, place) or self._unknown(slot, name, place)
        known = self._loaded.get((slot, name))
        if path is None:
            return known or self._keep(_from_entry(slot, name, self._entries(slot)[name]))
        digest = code_digest(path)
        if known is None or known.digest != digest:
            known = self._keep(_from_file(slot, name, path, digest))
        return known

    def digest(self) -> str:
        """Return a digest of every module's file: it changes when one is edited, added or removed."""
        parts = []
        for slot in SLOTS:
            parts += [f"{slot}.{name}={code_digest(path)}" for name, path in sorted(self._files(slot).items())]
            parts += [f"{slot}.{name}={point.value}" for name, point in sorted(self._entries(slot).items())]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def _keep(self, module: Module) -> Module:
        self._loaded[module.slot, module.name] = module
        return module

    def _files(self, slot: str) -> dict[str, Path]:
        found = {path.stem: path for path in sorted((OURS / slot).glob("[a-z]*.py"))}
        if self.home is None:
            return found
        own = sorted((self.home / "modules" / slot).glob("[a-z]*.py"))
        for path in (*own, *generated_files.usable_paths(self.home, slot).values()):
            if path.stem in found:
                raise ModuleFailed(f"{path}: {slot} already has a module {path.stem!r}; give the file another name")
            found[path.stem] = path
        return found

    def _entries(self, slot: str) -> dict[str, EntryPoint]:
        if not self._points:  # one look at all installed packages, not one for every slot
            every = entry_points()
            self._points = {
                name: {point.name: point for point in every.select(group=f"metaevo.{name}")} for name in SLOTS
            }
        return self._points[slot]

    def _quarantined(self, slot: str, name: str, place: str) -> UnknownModule | None:
        path = generated_files.paths(self.home, slot).get(name) if self.home is not None and slot in SLOTS else None
        why = generated_files.quarantine_reason(path) if path is not None else None
        if why is None:
            return None
        return UnknownModule(place, f"{slot}.{name} is quarantined ({why})", "take it out of the recipe")

    def _unknown(self, slot: str, name: str, place: str) -> UnknownModule:
        if slot not in SLOTS:
            return UnknownModule(place, f"no slot {slot!r}", f"slots are {', '.join(SLOTS)}")
        known = self.names(slot)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else ""
        return UnknownModule(place, f"no {slot} module {name!r}", hint or f"installed: {', '.join(known) or 'none'}")


def _from_file(slot: str, name: str, path: Path, digest: str) -> Module:
    if path.suffix == KERNEL:
        return generated_files.module(path, digest)
    label = f"metaevo.modules.{slot}.{name}" if path.is_relative_to(OURS) else f"metaevo_home_{slot}_{name}"
    spec = importlib.util.spec_from_file_location(label, path)
    if spec is None or spec.loader is None:
        raise ModuleFailed(f"{path}: is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[label] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's file may end in any way, SystemExit too
        raise ModuleFailed(f"{path}: fails to import: {_said(error)}") from error
    return _function(slot, name, module, path, digest)


def _from_entry(slot: str, name: str, point: EntryPoint) -> Module:
    try:
        loaded = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ModuleFailed(f"entry point {point.value}: {_said(error)}") from error
    module = loaded if isinstance(loaded, ModuleType) else inspect.getmodule(loaded)
    if module is None or module.__file__ is None:
        raise ModuleFailed(f"entry point {point.value}: has no source file")
    path = Path(module.__file__)
    return _function(slot, name, module, path, code_digest(path))


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _function(slot: str, name: str, module: ModuleType, path: Path, digest: str) -> Module:
    try:  # its names, traits and annotations may be objects that do anything when they are looked at
        call = getattr(module, name, None)
        if not inspect.isfunction(call):
            raise ModuleFailed(f"{path}: must define a function {name!r}, like the file's name")
        return read(slot, name, call, path, digest, getattr(module, "TRAITS", ()))
    except (ModuleFailed, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ModuleFailed(f"{path}: cannot be read: {_said(error)}") from error


def code_digest(path: Path) -> str:
    """Return a digest of a module's source and of the project files it imports, directly or not.

    A generated module's is of its kernel and of the host side: what became of it since does not change what it does.
    It is part of every step's mark: an edit of any of these bytes, also of a comment, voids a cycle that is open, once.
    """
    seen: dict[Path, str] = {}
    if path.suffix == KERNEL:
        seen[path] = _kernel_digest(path)
        path = Path(generated.__file__)
    _closure(path, seen)
    parts = "\n".join(f"{file.name}={digest}" for file, digest in sorted(seen.items()))
    return hashlib.blake2b(parts.encode(), digest_size=8).hexdigest()


def _kernel_digest(path: Path) -> str:
    try:
        return generated_files.load(path).digest
    except ModuleFailed:  # told where the module is needed
        return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _closure(path: Path, seen: dict[Path, str]) -> None:
    if path in seen:
        return
    stat = path.stat()
    seen[path], imports = _scan(path, stat.st_mtime_ns, stat.st_size)
    for file in imports:
        _closure(file, seen)


@lru_cache(maxsize=1024)
def _scan(path: Path, _mtime_ns: int, _size: int) -> tuple[str, tuple[Path, ...]]:
    source = path.read_bytes()
    digest = hashlib.blake2b(source, digest_size=8).hexdigest()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return digest, ()
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:  # what is imported may itself be a file
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    files = {ROOT.joinpath(*name.split(".")) for name in names if name.split(".")[0] in PACKAGES}
    found = (file.with_suffix(".py") if file.with_suffix(".py").is_file() else file / "__init__.py" for file in files)
    return digest, tuple(sorted(file for file in found if file.is_file()))
