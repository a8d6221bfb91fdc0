"""What modules share is part of what they are: an edit of a shared file is an edit of the modules that import it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metaevo.registry.registry import OURS, ROOT, Registry
from metaevo.registry.slots import SLOTS

SHARED = sorted(path.stem for path in (OURS / "shared").glob("[a-z]*.py"))
DIGESTS = """
import json
from metaevo.registry.registry import Registry
from metaevo.registry.slots import SLOTS
registry = Registry()
every = [(slot, name) for slot in SLOTS for name in registry.names(slot)]
print(json.dumps({f"{slot}.{name}": registry.get(slot, name).digest for slot, name in every}))
"""
USERS = {
    "critique": {"feedback.self_critique", "refinement.revision"},
    "groups": {"refinement.preference_pairs", "refinement.self_consistency_filter"},
    "posing": {"tasks.self_instruct"},
    "trigrams": {"refinement.diversity_filter", "tasks.self_instruct"},
}


def digests(tree: Path) -> dict[str, str]:
    environment = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS], cwd=tree, env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of our packages."""
    folder = tmp_path_factory.mktemp("tree")
    for package in ("metaevo", "objectives", "sandbox"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def before(tree: Path) -> dict[str, str]:
    return digests(tree)


def test_every_shared_file_has_its_users_here() -> None:
    assert set(USERS) == set(SHARED)
    registry = Registry()
    assert {name for users in USERS.values() for name in users} <= {
        f"{s}.{n}" for s in SLOTS for n in registry.names(s)
    }


@pytest.mark.parametrize("name", SHARED)
def test_an_edit_changes_the_digests_of_its_users_and_of_no_other_module(
    tree: Path, before: dict[str, str], name: str
) -> None:
    path = tree / "metaevo" / "modules" / "shared" / f"{name}.py"
    source = path.read_text()
    try:
        path.write_text(source + "\n# edited\n")
        after = digests(tree)
    finally:
        path.write_text(source)
    assert {module for module in after if after[module] != before[module]} == USERS[name]
