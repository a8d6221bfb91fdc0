"""Files and functions stay readable: module ≤ 150 lines, file ≤ 400, test file ≤ 400, function ≤ 60."""

from pathlib import Path

import pytest

from tests.architecture import tree

EVERY = [*tree.product(), *tree.tests()]


def test_no_file_is_too_long() -> None:
    found = [tree.too_long(path, len(path.read_text("utf-8").splitlines())) for path in EVERY]
    said = [line for line in found if line]
    assert not said, "\n".join(said)


def test_no_function_is_too_long() -> None:
    found = [said for path in EVERY for said in tree.long_functions(path.read_text("utf-8"), tree.place(path))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("where", "most"),
    [
        ("metaevo/modules/feedback/answer_check.py", 150),
        ("metaevo/registry/registry.py", 400),
        ("services/cli.py", 400),
        ("objectives/environments/addition.py", 400),
        ("tests/metaevo/registry/test_slots.py", 400),
    ],
)
def test_each_kind_of_file_has_its_limit(where: str, most: int) -> None:
    path: Path = tree.ROOT / where
    assert tree.too_long(path, most) is None
    assert tree.too_long(path, most + 1) == f"{where}: {most + 1} lines, at most {most}"


def test_a_long_function_is_named_wherever_it_stands() -> None:
    body = "\n".join("        pass" for _ in range(59))
    source = f"class A:\n    async def fits(self):\n{body}\n    def long(self):\n{body}\n        pass\n"
    assert list(tree.long_functions(source, "a.py")) == ["a.py:62: long has 61 lines, at most 60"]


def test_the_whole_tree_is_looked_at() -> None:
    seen = {tree.place(path) for path in EVERY}
    assert {
        "objectives/types.py",
        "metaevo/evolution/cycle.py",
        "services/home/open.py",
        "tests/architecture/tree.py",
    } <= seen
