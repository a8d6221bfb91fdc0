"""What the READMEs list is what the code says, and the examples in them work."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from metaevo.recipes import schema
from metaevo.registry.laws import HOUSE_STYLE, LAWS, problems
from metaevo.registry.registry import Registry
from objectives.environment import from_file
from tests.architecture import documents, tree
from tests.evidence import record

FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
"""A link to a file, without the line in it."""
CHANGED = (
    *("metaevo", "metaevo/gate", "metaevo/ledger", "metaevo/modules", "metaevo/recipes", "objectives"),
    *("objectives/environments", "sandbox", "services", "tests/replay", "tests/evidence"),
)
RUN = [sys.executable, "-m", "tests.architecture.documents"]


def fence(where: str) -> str:
    """Return the only example of a README."""
    ((_, text),) = FENCE.findall((tree.ROOT / where).read_text("utf-8"))
    return str(text)


def test_generated_parts_are_fresh() -> None:
    assert documents.stale() == [], "run `make fix`"


def test_every_link_in_a_document_leads_somewhere() -> None:
    broken = [
        f"{tree.place(page)}: {target}"
        for page in record.pages()
        for target in LINK.findall(FENCE.sub("", page.read_text("utf-8")))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_decision_leads_to_its_reason_beside_the_code() -> None:
    text = (tree.ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Decisions")[2]
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    told = [re.search(r"\[`(\S+)`\]\(\1\), `(\w+)`\.$", line) for line in lines]
    assert len(lines) == 15
    for line, found in zip(lines, told, strict=True):
        assert found is not None, line
        named = re.compile(rf"^ *(def|class)? ?{found[2]}\b", re.MULTILINE)
        assert named.search((tree.ROOT / found[1]).read_text("utf-8")), line


@pytest.mark.parametrize("where", sorted(CHANGED))
def test_every_package_says_how_to_change_it(where: str) -> None:
    text = (tree.ROOT / where / "README.md").read_text("utf-8")
    assert re.search(r"^## (How to (change|add)|Add|Write) ", text, re.MULTILINE), where


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for where in documents.DOCUMENTS:
        (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree.ROOT / where, tmp_path / where)
    return tmp_path


def test_a_stale_document_is_named_and_written_on_request_and_prose_stays(copy: Path) -> None:
    path = copy / "metaevo" / "modules" / "README.md"
    text = path.read_text("utf-8")
    path.write_text(text.replace("| `metric_filter` |", "| `metric_philter` |"), "utf-8")
    assert documents.stale(copy) == ["metaevo/modules/README.md"]
    assert documents.stale(copy, write=True) == ["metaevo/modules/README.md"]
    assert path.read_text("utf-8") == text
    path.write_text("A new sentence.\n" + text, "utf-8")
    assert documents.stale(copy) == []


def test_a_block_that_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(ValueError, match=r"a\.md: has the blocks \[\], want \['files'\]"):
        documents.fresh("no block", {"files": lambda: "x"}, "a.md")
    made = documents.fresh("<!-- generated: files -->\nold\n<!-- end of files -->", {"files": lambda: "new"}, "a.md")
    assert made == "<!-- generated: files -->\nnew\n<!-- end of files -->"


def test_the_command_says_how_it_is_used() -> None:
    done = subprocess.run([*RUN, "--wirte"], cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--wirte: want nothing or --write" in done.stderr


def test_the_module_in_the_readme_obeys_every_law(tmp_path: Path) -> None:
    path = tmp_path / "modules" / "refinement" / "keep_good.py"
    path.parent.mkdir(parents=True)
    path.write_text(fence("metaevo/modules/README.md"), "utf-8")
    assert list(problems(Registry(tmp_path).get("refinement", "keep_good"), (*LAWS, *HOUSE_STYLE))) == []


def test_the_recipe_in_the_readme_is_one() -> None:
    recipe = schema.parse(fence("metaevo/recipes/README.md"), Registry(), "README")
    assert (recipe.name, recipe.stage[0].tasks[0].knobs["n"]) == ("mine", 128)


def test_the_environment_in_the_readme_passes_its_own_answers(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(fence("objectives/environments/README.md"), "utf-8")
    program = from_file("mine", path)
    assert program.make is not None
    rows = [program.make(3, index, 1) for index in range(20)]
    assert {program.score(row, row["answer"]) for row in rows} == {1.0}
    assert {program.score(row, "0") for row in rows} == {0.0}
