"""`Any` stays rare: counted through aliases, casts and containers of `object`, at most so many a thousand lines."""

import pytest

from tests.architecture import untyped

TODAY = {"objectives/": 43.4, "sandbox/": 10.2, "metaevo/": 14.5, "services/": 4.2, "": 15.0}
"""What each package has now, the tree last; lower it as it falls, to at most `untyped.MOST` for the tree.

The built-in environments have most of what `objectives/` has. Their bytes are part of the evaluator's identity: another
annotation there would open a new epoch in every home, so they stay as they are.
"""


def count(text: str, **others: str) -> int:
    return untyped.Counter({"a": text, **others}).count("a")


@pytest.mark.parametrize("package", sorted(TODAY))
def test_no_package_says_nothing_more_often_than_it_did(package: str) -> None:
    assert untyped.per_thousand(untyped.of_the_tree(), package) <= TODAY[package]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from typing import Any\ndef f(x: Any, *, y: list[Any]) -> dict[str, Any]: ...", 3),
        ("import typing\nx: typing.Any", 1),
        ("from typing import Any as Whatever\nx: Whatever", 1),
        ("def f(x: dict[str, object], y: object) -> tuple[int, object]: ...", 2),
        ("from typing import cast\nx = cast(int, y)", 1),
        ("from typing import Any, cast\nx = cast('Any', y)", 2),
        ("from typing import Any\ndef f(x: 'list[Any]') -> None: ...", 1),
        ("from typing import Any\nRow = dict[str, Any]\nx: Row\ny: list[Row]", 3),
        ("x: int\ny: dict[str, list[tuple[float, int | None]]]", 0),
    ],
)
def test_what_says_nothing_is_counted(text: str, found: int) -> None:
    assert count(text) == found


def test_an_alias_counts_wherever_it_is_used_and_however_far_it_came() -> None:
    b = "from typing import Any, TypeAlias\nJson: TypeAlias = Any\nRow = dict[str, Json]"
    c = "from b import Json, Row as Line"
    assert count("from c import Json, Line\nx: Json\ny: list[Line]", b=b, c=c) == 2
    assert count("from pack import b\nx: b.Json", **{"pack.b": b}) == 1


def test_an_alias_that_spells_json_out_counts_nothing() -> None:
    b = "Json = TypeAliasType('Json', 'str | int | list[Json] | dict[str, Json]')"
    assert count("from b import Json\nx: dict[str, Json]", b=b) == 0


def test_the_report_names_every_package_and_the_limit() -> None:
    lines = untyped.report().splitlines()
    assert lines[-1].endswith("all, per 1,000 lines; at most 15")
    assert {line.split()[1] for line in lines[-5:-1]} == {"objectives,", "sandbox,", "metaevo,", "services,"}
