"""The words: a kernel's version, limits, and that a result can never be infrastructure."""

import pytest

from sandbox.errors import BadKernel, SandboxError, Unavailable
from sandbox.types import Kernel, Limits, Result, Verdict


def test_a_version_is_everything_that_decides_what_runs() -> None:
    kernel = Kernel("def f(): pass", "f")
    assert kernel.version == Kernel("def f(): pass", "f").version
    others = (Kernel("def f(): pass ", "f"), Kernel("def f(): pass", "g"), Kernel("def f(): pass", "f", imports=None))
    assert len({kernel.version, *(other.version for other in others)}) == 4


@pytest.mark.parametrize("name", ["", "a b", "f()", "1x", "f;import os"])
def test_a_function_has_a_name(name: str) -> None:
    with pytest.raises(BadKernel, match="function"):
        Kernel("", name)


def test_a_source_is_utf8() -> None:
    with pytest.raises(BadKernel, match="character 1"):
        Kernel("a\ud800", "f")


@pytest.mark.parametrize("name", ["wall_s", "memory_mib", "cpus", "pids", "reply_bytes"])
def test_a_limit_is_above_nothing(name: str) -> None:
    with pytest.raises(BadKernel, match=name):
        Limits(**{name: 0})


def test_infrastructure_is_no_result() -> None:
    with pytest.raises(ValueError, match="infrastructure"):
        Result(Verdict.INFRA_UNAVAILABLE)
    assert issubclass(Unavailable, SandboxError)
    assert not issubclass(Unavailable, ValueError)


@pytest.mark.parametrize("verdict", [v for v in Verdict if v not in (Verdict.OK, Verdict.INFRA_UNAVAILABLE)])
def test_only_an_ok_result_has_values(verdict: Verdict) -> None:
    with pytest.raises(ValueError, match="values"):
        Result(verdict, (1,))
    with pytest.raises(ValueError, match="values"):
        Result(Verdict.OK)
    assert Result(verdict).values is None
