"""What a module's source may reach: its vocabulary and plain computing; no files, no processes, no net.

The law reads every file that the module imports from beside itself, directly or not: a home's own folder, a package's.
It is a lint against mistakes and careless leaks, no sandbox: whoever means to get around a look at a source can. Rows
from elsewhere meet the door and the engine's watch before they teach anything all the same.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from metaevo.registry.allowed import OURS, installed_elsewhere, may_import, refused, submodule

IMPORTERS = frozenset({"importlib", "import_module", "__import__"})
"""Names by which a module would get at what its import statements do not say."""
BY_NAME = "it imports by a name that is not in its source; ask for an effect instead"
_BUILTINS = "open eval exec compile globals locals vars breakpoint input help memoryview"
BUILTINS = frozenset(_BUILTINS.split())
"""Built-in names that lead to files, to the person at the terminal, or to the interpreter itself."""
BY_TEXT = frozenset({"getattr", "setattr", "delattr", "hasattr"})
_METHODS = """
open read_text read_bytes write_text write_bytes load_dataset loadtxt genfromtxt fromfile tofile memmap read_csv
read_json read_parquet read_pickle load_file from_pretrained f_globals f_builtins gi_frame cr_frame tb_frame ag_frame
"""
METHODS = frozenset(_METHODS.split())
"""Methods that read files, and attributes that lead out of what a signature gives."""
_HARMLESS = """
__all__ __doc__ __name__ __qualname__ __init__ __post_init__ __call__ __iter__ __next__ __len__ __eq__ __hash__
__repr__ __str__ _replace _asdict _fields _make
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Names with an underscore in front that are everybody's."""


def reached(path: Path, *, trains: bool) -> str | None:
    """Return what a module's source, or a file beside it that it imports, reaches for; None where it is fine."""
    seen: set[Path] = set()
    left = [path]
    while left:
        file = left.pop()
        if file in seen:
            continue
        seen.add(file)
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        said = [BY_NAME for node in nodes if _loads_by_name(node)]
        said += _imports(file, nodes, trains=trains)
        said += _uses(nodes, trains=trains)
        if said:
            return said[0] if file == path else f"{file.name}, which it imports: {said[0]}"
        left += [found for node in nodes for found in _beside(file, node)]
    return None


def _imports(file: Path, nodes: list[ast.AST], *, trains: bool) -> Iterator[str]:
    """Yield a sentence about each import of what a module may not have."""
    for node in nodes:
        for name in _imported(node):
            if not may_import(name, trains=trains) and not _beside_alone(file, node, name):
                yield f"it imports {name}; ask for an effect instead"
        if isinstance(node, ast.ImportFrom) and not node.level and may_import(node.module or "", trains=trains):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if alias.name == "*" and node.module != "metaevo":
                    yield f"it imports everything of {node.module}; import the names that it uses"
                elif alias.name != "*" and _refused(node.module or "", alias.name, trains=trains):
                    yield f"it imports {whole}; ask for an effect instead"


def _uses(nodes: list[ast.AST], *, trains: bool) -> Iterator[str]:
    """Yield a sentence about each name or attribute that leads out."""
    known = dict(pair for node in nodes for pair in _modules(node))
    based: set[int] = set()
    """What an attribute is asked of, or a function called by: it is not handed on."""
    for node in nodes:
        if isinstance(node, ast.Attribute):
            based.add(id(node.value))
            yield from _attribute(node.value, node.attr, known, trains=trains)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BY_TEXT:
            based |= {id(node.func), *(id(base) for base in node.args[:1])}
            yield from _by_text(node, node.func.id, known, trains=trains)
    for node in nodes:
        if isinstance(node, ast.Name):
            private = node.id.startswith("__") and node.id not in HARMLESS
            if node.id in BUILTINS or private:
                yield f"it uses {node.id}; ask for an effect instead"
            elif node.id in BY_TEXT and id(node) not in based:
                yield f"it hands {node.id} on; call it with a name that is in its source"
        if isinstance(node, (ast.Name, ast.Attribute)) and id(node) not in based:
            module = _module(node, known)
            if module is not None and isinstance(node.ctx, ast.Load):
                yield f"it hands the module {module} on; name what it uses of it"


def _by_text(node: ast.Call, how: str, known: Mapping[str, str], *, trains: bool) -> Iterator[str]:
    """Yield a sentence about an attribute asked for by a text that leads out, or that is not in the source."""
    named = node.args[1] if len(node.args) > 1 else None
    if isinstance(named, ast.Constant) and isinstance(named.value, str):
        yield from _attribute(node.args[0], named.value, known, trains=trains)
    else:
        yield f"it uses {how} with a name that is not in its source; write the name there"


def _attribute(base: ast.AST, name: str, known: Mapping[str, str], *, trains: bool) -> Iterator[str]:
    """Yield a sentence about an attribute that leads out."""
    module = _module(base, known)
    if module is not None:
        whole = f"{module}.{name}"
        if _refused(module, name, trains=trains):
            imports = module.split(".")[0] in OURS
            yield f"it {'imports' if imports else 'uses'} {whole}; ask for an effect instead"
        return
    own = isinstance(base, ast.Name) and base.id in ("self", "cls")
    own |= isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super"
    private = name.startswith("_") and name not in HARMLESS and (name.startswith("__") or not own)
    if name in METHODS or private:
        yield f"it uses .{name}; ask for an effect instead"


def _refused(module: str, name: str, *, trains: bool) -> bool:
    return name in METHODS or refused(module, name, trains=trains)


def _modules(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names by which a statement makes modules known, and which."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.split(".")[0]
            if may_import(name, trains=True):
                yield alias.asname or name, name
    elif isinstance(node, ast.ImportFrom) and not node.level and may_import(node.module or "", trains=True):
        for alias in node.names:
            found = submodule(node.module or "", alias.name) if alias.name != "*" else None
            if found is not None:
                yield alias.asname or alias.name, found


def _module(node: ast.AST, known: Mapping[str, str]) -> str | None:
    """Return the module that an expression is; None where it is none that is known."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    base = _module(node.value, known) if isinstance(node, ast.Attribute) else None
    if base is None or not isinstance(node, ast.Attribute) or not may_import(base, trains=True):
        return None
    return submodule(base, node.attr)


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
    """Return the modules a statement imports; what `from metaevo import` names beyond the vocabulary is one."""
    if isinstance(node, ast.Import):
        return [f"metaevo as {to.asname}" if to.name == "metaevo" and to.asname else to.name for to in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def _beside_alone(file: Path, node: ast.AST, name: str) -> bool:
    """Return whether an import is of files beside this one, and of nothing that is installed elsewhere."""
    return any(_beside(file, node)) and not installed_elsewhere(name.split(".", maxsplit=1)[0], _roots(file))


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
