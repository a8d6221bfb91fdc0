"""One grammar for both directions: what a tier takes it gives back as it was; what it cannot, it refuses."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import frame
from sandbox.errors import BadKernel
from sandbox.types import Kernel, Sandbox, Verdict
from tests.hostile import tiers

ECHO = Kernel("def echo(row):\n    return row\n", "echo")
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["\ud800", 2**63, -(2**63) - 1, 2**63 - 1, -(2**63), 10**400, -0.0, 5e-324, "\x00", "\u2028"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(0, 3), inner, max_size=4)
    ),
    max_leaves=12,
)
pytestmark = pytest.mark.timeout(300)


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


DEEP = st.integers(55, 80).map(nested)


@pytest.fixture(
    scope="module",
    params=[*tiers.ALL[:2], *(pytest.param(name, marks=tiers.ALONE) for name in tiers.CONTAINERS)],
)
def tier(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    tiers.need(request.param)
    made = tiers.open_tier(request.param, owner="echo")
    yield made
    made.close()


def same(one: Any, two: Any) -> bool:
    return repr(one) == repr(two)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANY | DEEP)
def test_an_echo_returns_the_row_or_the_row_is_refused(tier: Sandbox, value: Any) -> None:
    try:
        result = tier.run(ECHO, [[value]], wall_s=30)
    except BadKernel:
        assert frame.wrong([[value]]) or "inf" in repr(value) or "nan" in repr(value)
        return
    assert result.verdict is Verdict.OK, result.note
    assert result.values is not None
    assert same(result.values[0], value)


@pytest.mark.parametrize("value", ["\ud800", ["a\udfff"], {"\ud800": 1}, 2**63, -(2**63) - 1, {1: 2}, nested(63)])
def test_what_cannot_come_back_does_not_go(tier: Sandbox, value: Any) -> None:
    with pytest.raises(BadKernel, match="1 rows: no JSON"):
        tier.run(ECHO, [[value]])


def test_a_source_that_is_no_text_does_not_go(tier: Sandbox) -> None:
    with pytest.raises(BadKernel, match="source"):
        tier.run(Kernel("def f():\n    return '\ud800'\n", "f"), [[]])
