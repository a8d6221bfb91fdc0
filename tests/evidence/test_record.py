"""What claims rest on: one file's change makes those stale that name it, and a page is red only without the code."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.__main__ import ALL
from tests.evidence import record
from tests.evidence.claims import BENCHMARKS, CLAIMS


def measured(label: str = "evidence:demo", code: str = "aa11", now: str = "bb22", *, whole: bool = False) -> Any:
    return record.Measured(label, code, "c0ffee123456", whole, now, "make evidence CLAIM=demo")


@pytest.mark.parametrize("name", [*CLAIMS, *BENCHMARKS])
def test_every_glob_of_a_claim_names_something(name: str) -> None:
    assert len(record.code((CLAIMS | BENCHMARKS)[name])) == 16


def test_every_claim_and_every_benchmark_says_what_it_rests_on() -> None:
    assert {path.stem for path in record.HERE.glob("*.json")} <= set(CLAIMS)
    assert set(BENCHMARKS) == set(ALL)
    assert all((record.HERE / f"{claim}.py").is_file() for claim in CLAIMS)


def test_only_what_rests_on_a_file_is_stale_when_it_changes(tmp_path: Path) -> None:
    for name in ("journal.py", "gain.py"):
        (tmp_path / name).write_text("x = 1\n")
    before = {glob: record.code([glob], tmp_path) for glob in ("journal.py", "gain.py", "*.py")}
    (tmp_path / "journal.py").write_text("x = 2\n")
    after = {glob: record.code([glob], tmp_path) for glob in before}
    assert [glob for glob in before if before[glob] != after[glob]] == ["journal.py", "*.py"]
    with pytest.raises(ValueError, match=r"claims\.py: gone/\*\.py: there is no such file; say where it is now"):
        record.code(["gone/*.py"], tmp_path)


def test_a_result_of_the_whole_tree_is_stale_and_named_as_such() -> None:
    assert not measured(code="aa11", now="aa11").stale
    assert measured(code="aa11", now="bb22").stale
    old = measured(code="aa11", now="aa11", whole=True)
    assert old.stale
    assert old.sentence == (
        "evidence:demo: stale, measured on code aa11 (of the whole tree; which files it rests on was not recorded); "
        "renew with make evidence CLAIM=demo"
    )


@pytest.mark.parametrize(
    ("page", "red"),
    [
        ("# A\nGains +3. <!-- evidence:demo -->\n", True),
        ("# A\nGains +3 (code aa11). <!-- evidence:demo -->\n", False),
        ("# A\nGains +3 (commit c0ffee123456). <!-- evidence:demo -->\n", False),
        ("# A\nGains +3. <!-- evidence:demo -->\n## B\ncode aa11\n", True),
        ("# A\nOf demos nothing is shown.\n", False),
        ("# A\n<!-- evidence:demonstrations -->\n", False),
    ],
)
def test_a_page_is_red_where_it_shows_a_stale_number_without_its_code_beside_it(page: str, red: bool) -> None:
    said = list(record.unnamed(page, [measured()]))
    assert said == (["shows evidence:demo without its code aa11"] if red else [])


def test_the_command_names_what_is_stale_and_is_red_for_a_page_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for top in ("metaevo", "objectives", "sandbox", "services", "deploy", "tests"):
        shutil.copytree(record.ROOT / top, tmp_path / top, ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    (tmp_path / "README.md").write_text("# A\nGains. <!-- benchmark:durable_step -->\n")
    file = tmp_path / "tests" / "benchmarks" / "results" / "durable_step.json"
    paths = BENCHMARKS["durable_step"]
    result = json.loads(file.read_text()) | {"code": record.code(paths, tmp_path), "rests_on": list(paths)}
    file.write_text(json.dumps(result))
    assert record.main(tmp_path) == 0
    assert "durable_step" not in capsys.readouterr().out
    (tmp_path / "metaevo" / "ledger" / "journal.py").write_text("changed = True\n")
    assert record.main(tmp_path) == 1
    said = capsys.readouterr().out
    assert f"benchmark:durable_step: stale, measured on code {result['code']} (now " in said
    assert said.endswith(f"README.md shows benchmark:durable_step without its code {result['code']}\n")
