"""One name for one thing: a class name stands once in a package, or a reason is written here."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.architecture import tree

TWICE: Mapping[tuple[str, str], str] = {}
"""Class names that may stand twice in a package, each with its reason."""


def classes(source: str) -> Iterator[str]:
    """Yield the names of the classes at the top of a file, private ones aside."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def homonyms(paths: list[Path]) -> dict[tuple[str, str], list[str]]:
    """Return (package, class name) with the files that define it, where there is more than one."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        where = tree.place(path)
        for name in classes(path.read_text("utf-8")):
            found[where.partition("/")[0], name].append(where)
    return {key: places for key, places in found.items() if len(places) > 1}


def test_a_class_name_stands_once_in_a_package() -> None:
    found = homonyms(tree.product())
    said = [f"{package}: {name} in {', '.join(found[package, name])}" for package, name in found.keys() - TWICE.keys()]
    assert not said, "\n".join(said)


def test_every_exception_is_still_needed() -> None:
    assert not TWICE.keys() - homonyms(tree.product()).keys()


@pytest.mark.parametrize("package", tree.PACKAGES)
def test_classes_of_every_package_are_looked_at(package: str) -> None:
    files = [path for path in tree.product() if path.is_relative_to(tree.ROOT / package)]
    assert any(True for path in files for _ in classes(path.read_text("utf-8")))


def test_a_second_class_of_a_name_is_found() -> None:
    path = tree.ROOT / "objectives" / "types.py"
    assert homonyms([path, path])["objectives", "Cell"] == ["objectives/types.py"] * 2
