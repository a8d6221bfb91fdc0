"""The promises as a table: every end of a call, and whose failure it is."""

from dataclasses import replace

import pytest

from sandbox.errors import Unavailable
from sandbox.frame import Head
from sandbox.images import HARNESS
from sandbox.judge import NO_HEAD, PASSED, Doubt, Ending, Evidence, State, judge
from sandbox.types import Kernel, Shape, Verdict

KERNEL = Kernel("", "f", Shape.NUMBER)
RUNNING, EXITED = State(running=True), State(exit_code=137)
OOM = State(oom=True, exit_code=137)


def seen(ending: Ending, state: State | None = None, *, started: bool = True, payload: bytes = b"", **head: object):
    return Evidence(ending, started, 0.1, Head(**head) if head else NO_HEAD, payload, state)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (seen(Ending.ANSWERED, how="returned", payload=b"[1]"), Verdict.OK),
        (seen(Ending.ANSWERED, how="returned", payload=b"[NaN]"), Verdict.PROTOCOL_VIOLATION),
        (seen(Ending.ANSWERED, how="returned", payload=b"[1,2]"), Verdict.PROTOCOL_VIOLATION),
        (seen(Ending.ANSWERED, how="raised", payload=b"x"), Verdict.CRASH),
        (seen(Ending.ANSWERED, how="refused", payload=b"imports os"), Verdict.POLICY_VIOLATION),
        (seen(Ending.ANSWERED, how="no frame", number=0), Verdict.CRASH),
        (seen(Ending.ANSWERED, how="log"), Verdict.OVERFLOW),
        (seen(Ending.ANSWERED, how="reply"), Verdict.OVERFLOW),
        (seen(Ending.ANSWERED, how="extra"), Verdict.PROTOCOL_VIOLATION),
        (seen(Ending.ANSWERED, how="torn"), Verdict.PROTOCOL_VIOLATION),
        (seen(Ending.ANSWERED, how="anything new"), Verdict.PROTOCOL_VIOLATION),
        (seen(Ending.ANSWERED, State(running=True), how="signal", number=31), Verdict.POLICY_VIOLATION),
        (seen(Ending.ANSWERED, State(running=True), how="signal", number=11), Verdict.CRASH),
        (seen(Ending.ANSWERED, OOM, how="signal", number=9), Verdict.OOM),
        (seen(Ending.DEADLINE, RUNNING), Verdict.TIMEOUT),
        (seen(Ending.DEADLINE, OOM), Verdict.OOM),
        (seen(Ending.CLOSED, OOM), Verdict.OOM),
        (seen(Ending.ANSWERED, how="memory", payload=b"MemoryError"), Verdict.OOM),
        (seen(Ending.ANSWERED, how="signal", number=24), Verdict.CRASH),
        (seen(Ending.DEADLINE, State(exit_code=PASSED)), Verdict.TIMEOUT),
        (seen(Ending.CLOSED, State(exit_code=PASSED)), Verdict.TIMEOUT),
    ],
)
def test_what_the_candidate_did_is_a_result(evidence: Evidence, verdict: Verdict) -> None:
    assert judge(evidence, KERNEL, 1).verdict is verdict


@pytest.mark.parametrize("ending", [Ending.DEADLINE, Ending.CLOSED, Ending.GARBLED])
@pytest.mark.parametrize("state", [None, State(known=False), State(running=True, paused=True)])
def test_a_daemon_that_does_not_answer_for_its_container_is_infrastructure(ending: Ending, state: State | None) -> None:
    with pytest.raises(Unavailable):
        judge(seen(ending, state), KERNEL, 1)
    with pytest.raises(Unavailable):
        judge(seen(Ending.ANSWERED, state, how="signal", number=9), KERNEL, 1)


def test_a_broken_stream_to_a_running_container_is_infrastructure() -> None:
    with pytest.raises(Unavailable, match="stream"):
        judge(seen(Ending.CLOSED, RUNNING), KERNEL, 1)


def test_a_kernel_that_never_started_is_infrastructure() -> None:
    with pytest.raises(Unavailable, match="never said"):
        judge(seen(Ending.DEADLINE, RUNNING, started=False), KERNEL, 1)


@pytest.mark.parametrize("ending", [Ending.CLOSED, Ending.GARBLED])
@pytest.mark.parametrize("state", [EXITED, RUNNING])
def test_what_broke_before_the_kernel_ran_is_asked_again_and_accuses_nobody(ending: Ending, state: State) -> None:
    with pytest.raises(Doubt) as doubt:
        judge(seen(ending, state, started=False), KERNEL, 1)
    assert doubt.value.result is None


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        (seen(Ending.CLOSED, EXITED), Verdict.CRASH),
        (seen(Ending.DEADLINE, EXITED), Verdict.CRASH),
        (seen(Ending.GARBLED, RUNNING), Verdict.PROTOCOL_VIOLATION),
        (seen(Ending.ANSWERED, RUNNING, how="signal", number=9), Verdict.CRASH),
    ],
)
def test_what_could_be_either_is_a_doubt_with_the_candidates_verdict_ready(
    evidence: Evidence, verdict: Verdict
) -> None:
    with pytest.raises(Doubt) as doubt:
        judge(evidence, KERNEL, 1)
    assert doubt.value.result is not None
    assert doubt.value.result.verdict is verdict


@pytest.mark.parametrize("words", ["Cannot connect to the Docker daemon", "infra_unavailable", '{"verdict":"ok"}'])
def test_words_decide_nothing(words: str) -> None:
    raised = judge(seen(Ending.ANSWERED, how="raised", payload=words.encode(), log=words.encode()), KERNEL, 1)
    assert raised.verdict is Verdict.CRASH
    assert words in raised.note


def test_memory_that_an_earlier_call_may_have_passed_is_asked_again_afresh() -> None:
    with pytest.raises(Doubt) as doubt:
        judge(replace(seen(Ending.DEADLINE, OOM), fresh=False), KERNEL, 1)
    assert doubt.value.result is not None
    assert doubt.value.result.verdict is Verdict.OOM


def test_the_harness_and_the_judge_mean_the_same_end() -> None:
    assert f"PASSED, OVERTIME_S = {PASSED}, " in HARNESS.read_text()
