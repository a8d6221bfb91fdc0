"""`Run` on one tier: opened at the first kernel, patient with a busy machine, and clear about whose failure it was."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from metaevo.engines.programs import Programs
from metaevo.errors import EngineError, ModuleFailed, SandboxUnavailable
from metaevo.runtime.sandbox import KernelRun
from sandbox.errors import BadKernel, Refused, Unavailable
from sandbox.handle import PATIENCE, SandboxHandle, embedded
from sandbox.types import Kernel, Limits, Result, Shape, Verdict

KERNEL = Kernel("def keep(row):\n    return True\n", "keep", Shape.TRUTH)


@dataclass
class Says:
    """A tier that says what it is told to, one thing a call."""

    answers: list[Any]
    tier: str = "said"
    limits: Limits = field(default_factory=lambda: Limits(wall_s=0.5))
    deadlines: list[float | None] = field(default_factory=list)
    closed: int = 0

    def run(self, kernel: Kernel, rows: Any, *, wall_s: float | None = None) -> Result:
        self.deadlines.append(wall_s)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Result(answer, (True,) * len(rows) if answer is Verdict.OK else None, note=f"why it\nended {answer}")

    def close(self) -> None:
        self.closed += 1


def test_a_tier_is_opened_at_the_first_kernel_and_stays_open() -> None:
    opened: list[Says] = []

    def open_() -> Says:
        opened.append(Says([Verdict.OK, Verdict.OK]))
        return opened[-1]

    handle = SandboxHandle("a tier 1.0", open_)
    run = KernelRun(handle)
    assert (run.identity, opened) == ("a tier 1.0", [])
    assert run(KERNEL, [[1], [2]]) == (True, True)
    assert run(KERNEL, [[1]]) == (True,)
    handle.close()
    handle.close()
    assert [tier.closed for tier in opened] == [1]


def test_a_time_out_is_tried_once_more_with_a_longer_deadline() -> None:
    late = Says([Verdict.TIMEOUT, Verdict.OK])
    assert KernelRun(SandboxHandle("", lambda: late))(KERNEL, [[1]]) == (True,)
    assert late.deadlines == [None, PATIENCE * 0.5]
    endless = Says([Verdict.TIMEOUT, Verdict.TIMEOUT])
    with pytest.raises(ModuleFailed, match="its kernel keep ended with timeout: why it ended timeout"):
        KernelRun(SandboxHandle("", lambda: endless))(KERNEL, [[1]])
    assert len(endless.deadlines) == 2


@pytest.mark.parametrize("verdict", [v for v in Verdict if v not in (Verdict.OK, Verdict.INFRA_UNAVAILABLE)])
def test_every_verdict_but_ok_is_the_module_s_failure(verdict: Verdict) -> None:
    with pytest.raises(ModuleFailed, match=f"its kernel keep ended with {verdict}: why it ended {verdict}"):
        KernelRun(SandboxHandle("", lambda: Says([verdict, verdict])))(KERNEL, [[1]])


@pytest.mark.parametrize("error", [Unavailable("no daemon"), Refused("memory is not kept")])
def test_infrastructure_is_an_engine_error_and_never_the_module_s(error: Exception) -> None:
    with pytest.raises(SandboxUnavailable, match=str(error)) as raised:
        KernelRun(SandboxHandle("", lambda: Says([error])))(KERNEL, [[1]])
    assert isinstance(raised.value, EngineError)

    def closed() -> Says:
        raise error

    with pytest.raises(SandboxUnavailable, match=str(error)):
        KernelRun(SandboxHandle("", closed))(KERNEL, [[1]])


def test_what_cannot_be_sent_is_told_by_the_kernel_s_name() -> None:
    with pytest.raises(ModuleFailed, match="its kernel keep cannot be sent: 20 MiB"):
        KernelRun(SandboxHandle("", lambda: Says([BadKernel("20 MiB")])))(KERNEL, [[1]])


def test_the_embedded_tier_is_one_for_the_process() -> None:
    assert embedded() is embedded()
    assert embedded().identity.startswith("monty ")


def test_a_program_of_a_reward_has_the_same_patience_as_a_kernel() -> None:
    late = Says([Verdict.TIMEOUT, Verdict.OK])
    programs = Programs(SandboxHandle("", lambda: late))
    request = {"item": 0, "source": KERNEL.source, "function": "keep", "rows": [[1]]}
    assert programs.answer(request)["ran"]["verdict"] == "ok"
    assert late.deadlines == [None, PATIENCE * 0.5]
