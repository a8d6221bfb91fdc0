"""One JSON Schema a verb: what `metaevo schema VERB` prints is what `--json` keeps to.

Every other journey checks its own `--json` as well: see `tests/journeys/terminal.py`.
"""

import json
from pathlib import Path

import pytest

from services.home.home import Home
from tests.journeys import schemas
from tests.journeys.terminal import metaevo, shell

HOMELESS = (
    *(("schema",), ("schema", "status"), ("config", "schema"), ("environments", "list")),
    *(("modules", "list"), ("modules", "show", "metric_filter"), ("recipes", "list"), ("recipes", "show", "star")),
)
OF_A_HOME = (
    *(("status",), ("generations",), ("show", "champion"), ("show", "g000000"), ("why",), ("why", "g000000")),
    *(("goals", "list"), ("goals", "list", "--tree"), ("fsck",), ("config", "check"), ("config", "show")),
    *(("environments", "list"), ("modules", "list"), ("recipes", "list")),
    *(("goals", "add", "sort", "sorting"), ("goals", "edit", "sort", "--weight", 2), ("goals", "remove", "sort")),
    ("rollback", "--reason", "x"),
)


def test_schema_lists_every_verb_and_prints_each_one_s_schema() -> None:
    listed = metaevo("--json", "schema").data
    assert [row["name"] for row in listed] == list(schemas.every())
    assert all(row["does"] for row in listed)
    for name, validator in schemas.every().items():
        assert metaevo("schema", *name.split()).data == validator.schema
    said = metaevo("schema", "goal", "list", code=2).err
    assert said == "metaevo: schema goal list: no such verb; `metaevo schema` lists them\n"


def test_schema_needs_no_home(tmp_path: Path) -> None:
    said = shell("schema", "goals", "list", home=tmp_path / "none")
    assert set(said.data["properties"]) == {"goals", "protected", "protects_nothing"}
    assert not (tmp_path / "none").exists()


def test_what_needs_no_home_fits_its_schema() -> None:
    for words in HOMELESS:
        assert metaevo("--json", *words).out


def test_what_a_home_says_fits_its_schema(evolved: Home) -> None:
    for words in OF_A_HOME:
        assert metaevo("--json", *words, home=evolved.path).out


def test_a_home_in_which_nothing_ran_fits_too(tmp_path: Path) -> None:
    metaevo("--json", "init", "--environment", "sorting", home=tmp_path / "home")
    metaevo("--json", "status", home=tmp_path / "home")
    metaevo("--json", "goals", "list", home=tmp_path / "home")


def test_a_key_too_many_a_key_too_few_and_another_type_are_told(evolved: Home) -> None:
    status = metaevo("--json", "status", home=evolved.path).data
    assert not schemas.faults("status", status)
    assert schemas.faults("status", status | {"more": 1})
    assert schemas.faults("status", {key: value for key, value in status.items() if key != "cycle"})
    assert schemas.faults("status", status | {"cycle": "1"})
    with pytest.raises(AssertionError, match="status: "):
        schemas.must_fit(("--json", "status"), json.dumps(status | {"cycle": None}))
