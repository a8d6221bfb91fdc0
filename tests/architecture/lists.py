"""Lists of files and layers for the READMEs: what each says of itself in the first line of its docstring."""

import ast
import configparser
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.architecture import tree


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def says(path: Path) -> str:
    """Return what a file or package says of itself: the first paragraph of its docstring, first sentence.

    Raises:
        ValueError: It says nothing.
    """
    source = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    if not text:
        raise ValueError(f"{tree.place(source)}: has no docstring")
    return " ".join(text.split("\n\n")[0].split())


def files_of(folder: str) -> Callable[[], str]:
    """Return a block that lists the files of a folder."""

    def block() -> str:
        here = tree.ROOT / folder
        paths = sorted(path for path in here.glob("*.py") if path.name != "__init__.py")
        return table(("file", "what it is"), ((f"`{path.name}`", says(path)) for path in paths))

    return block


def layers() -> str:
    """Return the layers of metaevo, highest first, with what each part says of itself."""
    config = configparser.ConfigParser()
    config.read(tree.ROOT / ".importlinter", encoding="utf-8")
    rows = []
    for line in config["importlinter:contract:metaevo"]["layers"].split("\n"):
        for name in (part.strip() for part in line.split("|")):
            if name:
                path = tree.ROOT / "metaevo" / name
                path = path if path.is_dir() else path.with_suffix(".py")
                rows.append((f"`{path.name}{'/' if path.is_dir() else ''}`", says(path)))
    return table(("part", "what it is"), rows)
