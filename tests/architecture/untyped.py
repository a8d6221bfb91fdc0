"""How often a file says nothing about a value: `Any`, an alias that holds it, a cast, a container of `object`.

`python -m tests.architecture.untyped` prints every file's count, most first, and each package's per 1,000 lines.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.architecture import tree

CONTAINERS = frozenset(("dict", "list", "tuple", "set", "Mapping", "MutableMapping", "Sequence", "Iterable"))
MOST = 15.0
"""How many a thousand lines may have."""
Name = tuple[str, str]
"""A module and a name in it."""


@dataclass(slots=True)
class Source:
    """A file's syntax, the names it imports, and the aliases it defines."""

    body: ast.Module
    lines: int
    imports: dict[str, Name] = field(default_factory=dict)
    aliases: dict[str, ast.expr] = field(default_factory=dict)


def sources(files: Mapping[str, str]) -> dict[str, Source]:
    """Return every module by its name, read."""
    found = {module: Source(ast.parse(text), len(text.splitlines())) for module, text in files.items()}
    for source in found.values():
        for node in ast.walk(source.body):
            if isinstance(node, ast.ImportFrom) and node.module:
                source.imports |= {one.asname or one.name: (node.module, one.name) for one in node.names}
        source.aliases = {name: value for node in source.body.body for name, value in _alias(node)}
    return found


def _alias(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield the name and the type of an assignment at the top of a file that names a type."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        name, value = node.targets[0].id, node.value
    elif isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation) and node.value is not None:
        name, value = ast.unparse(node.target), node.value
    else:
        return
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "TypeAliasType":
        yield name, parsed(value.args[1])
    elif isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp):
        yield name, value


def parsed(kind: ast.expr) -> ast.expr:
    """Return a type that stands there as a text as syntax."""
    if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
        return ast.parse(kind.value, mode="eval").body
    return kind


class Counter:
    """Counts in a tree of modules; an alias counts wherever it is used."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.sources = sources(files)
        self._known: dict[Name, bool] = {("typing", "Any"): True}

    def count(self, module: str) -> int:
        """Return how often a module says nothing about a value."""
        source = self.sources[module]
        skipped = {id(inner) for node in ast.walk(source.body) for inner in _texts(node)}
        found = sum(self._here(module, node) for node in ast.walk(source.body) if id(node) not in skipped)
        texts = [parsed(text) for node in ast.walk(source.body) for text in _texts(node)]
        return found + sum(self._here(module, node) for text in texts for node in ast.walk(text))

    def loose(self, name: Name) -> bool:
        """Return whether a name stands for a type that says nothing, here or where it was imported from."""
        if name not in self._known:
            self._known[name] = False  # an alias of itself alone says what it is
            module, own = name
            source = self.sources.get(module)
            if source is not None and own in source.aliases:
                self._known[name] = any(self._here(module, node) for node in ast.walk(source.aliases[own]))
            elif source is not None and own in source.imports:
                self._known[name] = self.loose(source.imports[own])
        return self._known[name]

    def _here(self, module: str, node: ast.AST) -> int:
        source = self.sources[module]
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            return self.loose(source.imports.get(node.id, (module, node.id)))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self.loose((self._module(source, node.value.id), node.attr))
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] in CONTAINERS:
            return sum(isinstance(part, ast.Name) and part.id == "object" for part in _parts(node.slice))
        return isinstance(node, ast.Call) and ast.unparse(node.func) in ("cast", "typing.cast")

    def _module(self, source: Source, name: str) -> str:
        return ".".join(source.imports[name]) if name in source.imports else name


def _parts(slice_: ast.expr) -> list[ast.expr]:
    return slice_.elts if isinstance(slice_, ast.Tuple) else [slice_]


def _texts(node: ast.AST) -> Iterator[ast.Constant]:
    """Yield the types of a node that stand there as texts."""
    places = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("cast", "typing.cast"):
        places.append(node.args[0])
    yield from (p for p in places if isinstance(p, ast.Constant) and isinstance(p.value, str))


@cache
def of_the_tree() -> dict[str, tuple[int, int]]:
    """Return (count, lines) of every file of the packages."""
    paths = {_module_of(path): path for path in tree.product()}
    counter = Counter({module: path.read_text("utf-8") for module, path in paths.items()})
    return {tree.place(path): (counter.count(module), counter.sources[module].lines) for module, path in paths.items()}


def _module_of(path: Path) -> str:
    return ".".join(path.relative_to(tree.ROOT).with_suffix("").parts).removesuffix(".__init__")


def per_thousand(found: Mapping[str, tuple[int, int]], package: str = "") -> float:
    """Return how many a thousand lines of a package have; without one, of all."""
    own = [counted for place, counted in found.items() if place.startswith(package)]
    return 1000 * sum(count for count, _ in own) / sum(lines for _, lines in own)


def report() -> str:
    """Return every file that has any, most first, and each package's share."""
    found = of_the_tree()
    most = sorted(found.items(), key=lambda item: -item[1][0])
    lines = [f"{count:4d}  {place} ({size} lines)" for place, (count, size) in most if count]
    lines += [f"{per_thousand(found, f'{package}/'):6.1f}  {package}, per 1,000 lines" for package in tree.PACKAGES]
    return "\n".join([*lines, f"{per_thousand(found):6.1f}  all, per 1,000 lines; at most {MOST:g}"])


if __name__ == "__main__":
    print(report())
