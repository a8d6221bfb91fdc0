"""metaevo.toml as its schema sees it: every key, and who reads it."""

import ast
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.config.tables import Config
from tests.architecture import tree

ONLY_SHOWN = ("services/config/read.py", "services/config/unsupported.py")
"""What these do with a key is print it or refuse it: that is not reading."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its path as written in the file (NAME where a name is free), its table and its field."""

    path: tuple[str, ...]
    table: type[BaseModel]
    name: str
    info: FieldInfo

    @property
    def text(self) -> str:
        """Return the path as written."""
        return ".".join(self.path)


def table_in(kind: Any) -> type[BaseModel] | None:
    """Return the table inside an annotation such as ``dict[str, T]`` or ``T | None``."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for inner in typing.get_args(kind) if (found := table_in(inner)) is not None), None)


def keys(table: type[BaseModel] = Config, above: tuple[str, ...] = ()) -> Iterator[Key]:
    """Yield every key below a table, tables before what is in them."""
    for name, info in table.model_fields.items():
        path = (*above, info.alias or name)
        if typing.get_origin(info.annotation) is dict:
            path = (*path, "NAME")
        yield Key(path, table, name, info)
        inner = table_in(info.annotation)
        if inner is not None:
            yield from keys(inner, path)


NAMES: dict[str, type[BaseModel]] = {key.table.__name__: key.table for key in keys()}


class Readers(ast.NodeVisitor):
    """Finds which fields of which tables a file reads, by following names from ``Config`` onwards."""

    def __init__(self, inside: str = "") -> None:
        self.found: set[tuple[str, str]] = set()
        self.known: dict[str, Any] = {"self": NAMES[inside]} if inside else {}

    def kind(self, node: ast.AST) -> Any:
        """Return the annotation of what an expression gives, None where it is none of the file's."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._field(node)
        if isinstance(node, ast.Call):
            return self._called(node)
        if isinstance(node, ast.Subscript):
            inner = typing.get_args(self.kind(node.value))
            return inner[-1] if inner else None
        return None

    def _field(self, node: ast.Attribute) -> Any:
        base = table_in(self.kind(node.value))
        if base is not None and node.attr in base.model_fields:
            self.found.add((base.__name__, node.attr))
            return base.model_fields[node.attr].annotation
        return Config if node.attr == "config" and base is None else None

    def _called(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Attribute):
            return Config if isinstance(node.func, ast.Name) and node.func.id == "parse" else None
        if node.func.attr == "config":
            return Config
        base = self.kind(node.func.value)
        if node.func.attr == "model_dump" and table_in(base) is not None:
            left_out = {e.value for k in node.keywords for e in getattr(k.value, "elts", [])}
            self.found |= {(table_in(base).__name__, name) for name in table_in(base).model_fields} - {
                (table_in(base).__name__, name) for name in left_out
            }
        if node.func.attr in ("items", "values"):
            return base
        return None

    def bind(self, target: ast.AST, kind: Any) -> None:
        """Give the names of a target the types of what is assigned; of ``for k, v in d.items()`` the second."""
        if isinstance(target, ast.Name):
            self.known[target.id] = kind
        elif isinstance(target, ast.Tuple):
            self.bind(target.elts[-1], table_in(kind))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before = dict(self.known)
        for argument in (*node.args.args, *node.args.kwonlyargs):
            said = ast.unparse(argument.annotation) if argument.annotation else ""
            self.known[argument.arg] = NAMES.get(said, self.known.get(argument.arg) if argument.arg == "self" else None)
        self.generic_visit(node)
        self.known = before

    def visit_Assign(self, node: ast.Assign) -> None:
        values = [node.value]
        if isinstance(node.value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple):
            values = node.value.elts
        targets = node.targets[0].elts if len(values) > 1 and isinstance(node.targets[0], ast.Tuple) else node.targets
        for target, value in zip(targets, values, strict=False):
            self.bind(target, self.kind(value))
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.bind(node.target, self.kind(node.iter))
        self.generic_visit(node)

    def visit(self, node: ast.AST) -> None:
        """Bind a comprehension's names before what it says of them is looked at."""
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            for part in node.generators:
                kind = self.kind(part.iter)
                self.bind(part.target, table_in(kind) if isinstance(part.target, ast.Name) else kind)
        super().visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.kind(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.kind(node)
        self.generic_visit(node)


def read_by_code() -> set[tuple[str, str]]:
    """Return every (table, field) that some code of the services reads to do something with it."""
    found: set[tuple[str, str]] = set()
    for path in sorted((tree.ROOT / "services").rglob("*.py")):
        if tree.place(path) in ONLY_SHOWN:
            continue
        parsed = ast.parse(path.read_text("utf-8"))
        own = {node.name: node for node in parsed.body if isinstance(node, ast.ClassDef) and node.name in NAMES}
        readers = [(Readers(), parsed), *((Readers(name), node) for name, node in own.items())]
        for reader, node in readers:
            reader.visit(node)
            found |= reader.found
    return found
