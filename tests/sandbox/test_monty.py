"""The embedded tier: it answers, bounds time, memory and output, and forgets everything between calls."""

from collections.abc import Iterator

import pytest

from sandbox.errors import BadKernel, Refused
from sandbox.look import refused
from sandbox.monty import Monty
from sandbox.self_check import Proof, Proven, self_check, twice
from sandbox.types import Kernel, Limits, Sandbox, Shape, Verdict


@pytest.fixture(scope="module")
def monty() -> Iterator[Monty]:
    with Monty(limits=Limits(wall_s=1.0)) as sandbox:
        yield sandbox


def test_rows_are_answered_in_order(monty: Monty) -> None:
    kernel = Kernel(
        "import math\ndef score(prompt, n):\n    return math.sqrt(n) + len(prompt)\n", "score", Shape.NUMBER
    )
    assert monty.run(kernel, [["a", 4], ["", 9]]).values == (3.0, 3.0)
    assert monty.run(kernel, []).values == ()


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("while True:\n        pass", Verdict.TIMEOUT),
        ("held = []\n    while True:\n        held.append('x' * 1000000)", Verdict.OOM),
        ("while True:\n        print('x' * 1000)", Verdict.OVERFLOW),
        ("return 'x' * 5000000", Verdict.OVERFLOW),
        ("return float('nan')", Verdict.PROTOCOL_VIOLATION),
        ("raise TimeoutError('feed time limit exceeded')", Verdict.CRASH),
        ("return 1 +", Verdict.CRASH),
        ("import os\n    return 1", Verdict.POLICY_VIOLATION),
        ("from  os import path as p\n    return 1", Verdict.POLICY_VIOLATION),
        ("x = 1; import json, time\n    return 1", Verdict.POLICY_VIOLATION),
    ],
)
def test_each_end_has_its_verdict(monty: Monty, body: str, verdict: Verdict) -> None:
    assert monty.run(Kernel(f"def act():\n    {body}\n", "act"), [[]]).verdict is verdict


@pytest.mark.parametrize(
    "hides",
    [
        "x = f\"{'\"'}\"; import os; y = '\"'",
        "x = f\"{'\"'}\"\n    from os import path; y = '\"'",
        'x = F"""{"a"}"""; import json, os',
    ],
)
def test_an_import_between_nested_quotes_is_seen(hides: str) -> None:
    assert refused(f"def act():\n    {hides}\n", frozenset({"json"})) in ("line 2: imports os", "line 3: imports os")
    assert not refused("def act(x):\n    return f'important: {x}' + f'{x}: imported from'\n", frozenset())


def test_nothing_is_left_for_the_next_call(monty: Monty) -> None:
    kernel = Kernel("kept = []\ndef act():\n    kept.append(1)\n    return len(kept)\n", "act", Shape.NUMBER)
    assert [monty.run(kernel, [[], []]).values for _ in range(3)] == [(1, 2)] * 3


def test_randomness_repeats(monty: Monty) -> None:
    kernel = Kernel("import random\ndef act():\n    return random.random()\n", "act", Shape.NUMBER)
    assert monty.run(kernel, [[], []]).values == monty.run(kernel, [[], []]).values


def test_what_cannot_be_sent_is_the_callers_error(monty: Monty) -> None:
    with pytest.raises(BadKernel, match="rows"):
        monty.run(Kernel("def f(x): return x", "f"), [[float("inf")]])
    with pytest.raises(BadKernel, match="source"):
        monty.run(Kernel("#" * 2_000_000, "f"), [[1]])


def test_every_limit_is_proven(monty: Monty) -> None:
    proof = self_check(monty)
    assert proof.holds, str(proof)


def test_a_tier_that_lacks_a_limit_is_refused_by_its_name_and_asked_again_after_a_day(monty: Monty) -> None:
    clock, found = [0.0], [{"memory": "reached 960, the limit is 128"}, {}]

    def prove(tier: Sandbox) -> Proof:
        return Proof(tier.tier, (), found.pop(0), "", 0.0)

    proven, kernel = Proven(monty, now=lambda: clock[0], prove=prove), Kernel("def f(): return 1", "f")
    for _ in range(2):
        with pytest.raises(Refused, match="memory is not kept \\(reached 960"):
            proven.run(kernel, [[]])
    clock[0] = 86_400.0
    assert proven.run(kernel, [[]]).values == (1,)
    assert found == []


def test_one_false_alarm_is_no_refusal_and_two_are() -> None:
    found = ["a busy machine", None, "missing", "missing"]
    assert twice(lambda: found.pop(0)) is None
    assert twice(lambda: found.pop(0)) == "missing"
    assert found == []


def test_the_meter_counts_calls_by_verdict() -> None:
    with Monty(limits=Limits(wall_s=1.0)) as sandbox:
        sandbox.run(Kernel("def f(): return 1", "f"), [[], []])
        sandbox.run(Kernel("def f(): return x", "f"), [[]])
        read = sandbox.meter.read()
    assert (read.calls[Verdict.OK], read.calls[Verdict.CRASH], read.rows) == (1, 1, 3)
    assert read.median_s is not None
