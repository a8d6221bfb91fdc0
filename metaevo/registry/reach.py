"""What a module's source may reach: its vocabulary and plain computing; no files, no processes, no net.

The law reads every file that the module imports from beside itself, directly or not: a home's own folder, a package's.
It is a look at the source, not a wall: rows from elsewhere meet the door before every update all the same.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import metaevo

SHARED = "metaevo.modules.shared"
ALLOWED = ("metaevo", "metaevo.types", "metaevo.traits", "metaevo.history", "metaevo.errors", "objectives.types")
OURS = frozenset({"metaevo", "objectives", "services", "sandbox"})
IMPORTERS = frozenset({"importlib", "import_module", "__import__"})
"""Names by which a module would get at what its import statements do not say."""
BY_NAME = "it imports by a name that is not in its source; ask for an effect instead"
_OUTSIDE = """
os io pathlib sys builtins socket socketserver subprocess ctypes cffi sqlite3 shutil tempfile glob fileinput mmap pickle
shelve dbm urllib http ftplib ssl asyncio multiprocessing signal inspect gc runpy code codeop pkgutil zipimport zipfile
tarfile gzip bz2 lzma linecache tokenize types site posix nt pty select webbrowser xmlrpc smtplib imaplib poplib
telnetlib logging configparser tomllib csv pandas pyarrow polars requests httpx aiohttp huggingface_hub datasets fsspec
joblib dill cloudpickle safetensors sqlalchemy sqlmodel psycopg docker marshal imp concurrent threading faulthandler
trace pdb bdb cProfile profile resource
"""
OUTSIDE = frozenset(_OUTSIDE.split())
"""Modules that lead to files, processes, the net, or to the interpreter itself."""
BUILTINS = frozenset({"open", "eval", "exec", "compile", "__builtins__", "__loader__", "__spec__", "globals", "vars"})
"""Built-in names that lead there."""
_METHODS = """
open read_text read_bytes write_text write_bytes load_dataset loadtxt genfromtxt fromfile memmap read_csv read_json
read_parquet read_pickle load_file from_pretrained __builtins__ __globals__ __subclasses__ __loader__ __code__ f_globals
f_builtins gi_frame
"""
METHODS = frozenset(_METHODS.split())
"""Methods that read files, and attributes that lead out of what a signature gives."""


def reached(path: Path, *, trains: bool) -> str | None:
    """Return what a module's source, or a file beside it that it imports, reaches for; None where it is fine."""
    seen: set[Path] = set()
    left = [path]
    while left:
        file = left.pop()
        if file in seen:
            continue
        seen.add(file)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        said = [BY_NAME for node in nodes if _loads_by_name(node)]
        said += [found for node in nodes if (found := _said(node, trains=trains)) is not None]
        if said:
            return said[0] if file == path else f"{file.name}, which it imports: {said[0]}"
        left += [found for node in nodes for found in _beside(file, node)]
    return None


def _said(node: ast.AST, *, trains: bool) -> str | None:
    """Return the sentence about one place of a source; None where it is fine."""
    if isinstance(node, ast.Name) and node.id in BUILTINS:
        return f"it uses {node.id}; ask for an effect instead"
    if isinstance(node, ast.Attribute) and node.attr in METHODS:
        return f"it uses .{node.attr}; ask for an effect instead"
    for name in _imported(node):
        root = name.partition(" ")[0].split(".")[0]
        learning = trains and name.startswith("metaevo.learning")
        ours = root in OURS and name not in ALLOWED and not learning and not name.startswith(SHARED)
        if ours or root in OUTSIDE:
            return f"it imports {name}; ask for an effect instead"
    return None


def _loads_by_name(node: ast.AST) -> bool:
    """Return whether this place of a source names one of the importers."""
    if isinstance(node, ast.Name):
        return node.id in IMPORTERS
    if isinstance(node, ast.Attribute):
        return node.attr in IMPORTERS
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in IMPORTERS or any(alias.name in IMPORTERS for alias in node.names)
    return isinstance(node, ast.Import) and any(alias.name.split(".")[0] in IMPORTERS for alias in node.names)


def _imported(node: ast.AST) -> list[str]:
    """Return the modules a statement imports. What `from metaevo import` names beyond the vocabulary is one, and so is
    what is reached as an attribute of the package.
    """
    if isinstance(node, ast.Import):
        return [f"metaevo as {to.asname}" if to.name == "metaevo" and to.asname else to.name for to in node.names]
    if isinstance(node, ast.ImportFrom) and node.module == "metaevo":
        known = (*metaevo.__all__, "*")
        return [f"metaevo.{alias.name}" for alias in node.names if alias.name not in known]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metaevo":
        return [] if node.attr in metaevo.__all__ else [f"metaevo.{node.attr}"]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def _beside(file: Path, node: ast.AST) -> Iterator[Path]:
    """Yield the files beside this one (in its folder, or in its package) that a statement imports."""
    if isinstance(node, ast.Import):
        names = [(alias.name, 0) for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        stem = f"{node.module}." if node.module else ""
        names = [(name, node.level) for name in (node.module or "", *(f"{stem}{a.name}" for a in node.names)) if name]
    else:
        return
    for name, level in names:
        root = name.split(".")[0]
        if not level and root in OURS:
            continue
        for folder in [file.parents[level - 1]] if level else _roots(file):
            place = folder.joinpath(*name.split("."))
            yield from (found for found in (place.with_suffix(".py"), place / "__init__.py") if found.is_file())


def _roots(file: Path) -> list[Path]:
    """Return where a name that a file imports may be found beside it: its folder, and where its package lies."""
    top = file.parent
    while (top / "__init__.py").is_file() and top.parent != top:
        top = top.parent
    return [file.parent, top] if top != file.parent else [top]
