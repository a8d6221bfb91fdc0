"""The hand-written Python of the tree, and how long its parts are."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("objectives", "sandbox", "metaevo", "services")
MODULE_LINES, FILE_LINES, TEST_LINES, FUNCTION_LINES = 150, 400, 400, 60


def product() -> list[Path]:
    """Return the Python files of the packages."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def tests() -> list[Path]:
    """Return the Python files of the tests."""
    return sorted((ROOT / "tests").rglob("*.py"))


def place(path: Path) -> str:
    """Return a file as a person names it."""
    return path.relative_to(ROOT).as_posix()


def limit(path: Path) -> int:
    """Return how many lines a file may have."""
    if path.is_relative_to(ROOT / "tests"):
        return TEST_LINES
    module = path.is_relative_to(ROOT / "metaevo" / "modules") and path.parent != ROOT / "metaevo" / "modules"
    return MODULE_LINES if module else FILE_LINES


def too_long(path: Path, lines: int) -> str | None:
    """Return the sentence about a file that is too long, None about one that is not."""
    return f"{place(path)}: {lines} lines, at most {limit(path)}" if lines > limit(path) else None


def long_functions(source: str, where: str) -> Iterator[str]:
    """Yield a sentence for each function, decorators aside, that does not fit on a screen."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{where}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


def in_git() -> list[str] | None:
    """Return the top-level names that git tracks, None where there is no git checkout."""
    if not (ROOT / ".git").exists():
        return None
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted({name.partition("/")[0] for name in listed.stdout.split("\0") if name})
