"""Rewards that execute text: whose failure it is when a program fails, and when the sandbox does."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from metaevo.engines.grader import PATIENCE, GraderPool, Item
from metaevo.engines.grader_worker import PROGRAMS
from metaevo.engines.programs import Programs
from objectives.finder import Source
from objectives.types import Environment, Graded, Split, Unsaid
from sandbox.errors import Refused, SandboxError, Unavailable
from sandbox.handle import PATIENCE as PATIENCE_OF_A_CALL
from sandbox.handle import SandboxHandle, embedded
from sandbox.monty import Monty
from sandbox.self_check import Proven
from sandbox.types import Kernel, Limits, Result, Row, Verdict

DOUBLES = """\
TIMEOUT_S = 0.6
rows = [{"prompt": f"double {i}", "answer": "def f(x): return 2 * x"} for i in range(60)]
def reward(completion, run, **row):
    if completion == "many":
        return min(1.0, sum(run("def f(x): return x", "f", [[1]]).values[0] for _ in range(99)))
    if completion == "large":
        return float(run("x" * 2_000_000, "f", [[1]]).verdict == "ok")
    if completion == "unsure":
        run("def f(x): return y", "f", [[1]])
        return None
    return float(run(completion, "f", [[2], [5]]).values == (4, 10))
"""
CARELESS = (
    DOUBLES
    + """\
inner = reward
def reward(completion, run, **row):
    try:
        return inner(completion, run, **row)
    except Exception:
        return 1.0
"""
)
RIGHT = "def f(x): return 2 * x"
LIMITS = Limits(wall_s=0.5)
"""An endless program costs six of these: its first attempt, and one with the patience of five."""
HOSTILE = {
    "def f(x):\n    while True: pass": "timeout",
    "def f(x): return list(range(10**9))": "oom",
    "def f(x): return 'a' * 10**9": "oom",
    "def f(x):\n    print('a' * 1_000_000)\n    return 2 * x": "overflow",
    "import os\ndef f(x): return 2 * x": "policy_violation",
    "def f(x): return __import__('os').system('touch TRAP')": "crash",
    "def f(x):\n    open('TRAP', 'w').write('x')\n    return 2 * x": "crash",
    "def f(x): return f(x)": "crash",
    "def f(x): return 10**400": "protocol_violation",
    "def f(x): return answer": "crash",
    "def f(x): return {f: 1}": "crash",
    "raise SystemExit(0)": "crash",
    "def g(x): return 2 * x": "crash",
    "no program": "crash",
}


class Scripted:
    """A tier that plays a script, one entry a call: an error, a verdict, or seconds to wait; then RIGHT's results."""

    tier, limits = "scripted", Limits()

    def __init__(self) -> None:
        self.script: list[SandboxError | Verdict | float] = []
        self.asked: list[tuple[Kernel, list[list[Any]]]] = []
        self.closed = False

    def run(self, kernel: Kernel, rows: Sequence[Row], *, wall_s: float | None = None) -> Result:
        self.asked.append((kernel, [list(row) for row in rows]))
        now = self.script.pop(0) if self.script else 0.0
        if isinstance(now, SandboxError):
            raise now
        if isinstance(now, Verdict):
            return Result(now)
        time.sleep(now)
        return Result(Verdict.OK, tuple(2 * x for (x,) in rows))

    def close(self) -> None:
        self.closed = True


def sources(folder: Path) -> list[Source]:
    for name, text in {"doubles": DOUBLES, "careless": CARELESS}.items():
        (folder / f"{name}.py").write_text(text)
    uses = {"doubles": "doubles.py", "careless": "careless.py", "tinyprog": "tinyprog", "bugfix": "bugfix"}
    return [Source(name, use, str(folder)) for name, use in uses.items()]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraderPool]:
    """A pool on the embedded tier; its limits are proven in tests/hostile, not again here."""
    tier = SandboxHandle("monty", lambda: Monty(limits=LIMITS))
    made = GraderPool(sources(tmp_path_factory.mktemp("environments")), sandbox=tier)
    assert graded(made, RIGHT) == [Graded(1.0)]
    yield made
    made.close()


@pytest.fixture(scope="module")
def known(pool: GraderPool) -> dict[str, Environment]:
    return {environment.name: environment for environment in pool.describe()}


@pytest.fixture(scope="module")
def tier() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory, tier: Scripted) -> Iterator[GraderPool]:
    folder = tmp_path_factory.mktemp("scripted")
    made = GraderPool(sources(folder)[:2], workers=1, sandbox=SandboxHandle("scripted", lambda: tier))
    made.describe()
    yield made
    made.close()


@pytest.fixture
def events(pool: GraderPool, scripted: GraderPool, tier: Scripted) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    for each in (pool, scripted):
        each.on_event = lambda code, sentence, data: said.append((code, sentence))
    tier.asked.clear()
    tier.script.clear()
    return said


def graded(pool: GraderPool, *completions: str | None, environment: str = "doubles") -> list[Graded]:
    return pool.grade(environment, [("row:0", 1, "double 0", said) for said in completions])


@pytest.mark.parametrize("program", HOSTILE)
def test_a_hostile_program_scores_zero_with_its_verdict_in_its_time(
    pool: GraderPool, events: list[tuple[str, str]], tmp_path: Path, program: str
) -> None:
    """Its neighbours keep their scores, and no grader process dies of it: a verdict is not an event."""
    pids = {child.pid for child in pool._children}
    began = time.perf_counter()
    found = graded(pool, RIGHT, program.replace("TRAP", str(tmp_path / "trap")), None)
    spent = time.perf_counter() - began
    assert found == [Graded(1.0), Graded(0.0, HOSTILE[program]), Graded(1.0)]
    attempts_s = (LIMITS.wall_s + 2) + (PATIENCE_OF_A_CALL * LIMITS.wall_s + 2)
    assert spent < attempts_s + 2
    assert events == []
    assert {child.pid for child in pool._children} == pids
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tinyprog", "bugfix"])
def test_the_built_in_ones_are_graded_through_the_pool(
    pool: GraderPool, known: dict[str, Environment], name: str
) -> None:
    environment = known[name]
    assert environment.runs
    assert environment.ability == "coding"
    assert environment.version.endswith(" monty")
    tasks = [task for level in (1, 5, 8) for task in pool.draw(name, level, Split.TRAIN, 1, 0, 3).tasks]
    items: list[Item] = [(task.origin, task.level, task.text, None) for task in tasks]
    assert pool.grade(name, items) == [Graded(1.0)] * 9
    items = [(origin, level, text, "def f(x):\n    while True: pass") for origin, level, text, _ in items[:1]]
    assert pool.grade(name, items) == [Graded(0.0, "timeout")]


def test_only_the_program_and_its_arguments_reach_the_sandbox(
    scripted: GraderPool, tier: Scripted, events: list[tuple[str, str]]
) -> None:
    assert graded(scripted, "some text") == [Graded(1.0)]
    assert tier.asked == [(Kernel("some text", "f"), [[2], [5]])]


def test_what_a_reward_cannot_say_stays_unsaid(pool: GraderPool, events: list[tuple[str, str]]) -> None:
    assert graded(pool, "unsure") == [Graded(None, unsaid=Unsaid.COMPLETION)]
    assert events == []


@pytest.mark.parametrize("why", [Unavailable("no daemon"), Refused("no image")])
@pytest.mark.parametrize("environment", ["doubles", "careless"])
def test_a_sandbox_that_is_away_is_no_score_and_one_event(
    scripted: GraderPool, tier: Scripted, events: list[tuple[str, str]], why: SandboxError, environment: str
) -> None:
    """Also where the reward swallows the error and pays; a wrong program is not blamed, nor a right one paid."""
    tier.script = [why] * 50
    found = graded(scripted, *["wrong"] * 10, RIGHT, environment=environment)
    assert [grade.score for grade in found] == [None] * 11
    assert all(grade.away and str(why) in grade.note for grade in found)
    assert len(tier.asked) == PATIENCE
    ((code, sentence),) = events
    assert code == "grader_failed"
    assert sentence == (
        f"environment {environment}: no sandbox for 11 of 11 answers ({type(why).__name__}: {why}); they have no score"
    )


def test_one_moment_without_sandbox_costs_one_score(
    scripted: GraderPool, tier: Scripted, events: list[tuple[str, str]]
) -> None:
    tier.script = [0.0, Unavailable("a hiccup"), Unavailable("another"), 0.0, Verdict.CRASH]
    found = graded(scripted, *["program"] * 6)
    assert [grade.score for grade in found] == [1.0, None, None, 1.0, 0.0, 1.0]
    assert [grade.note for grade in found[3:]] == ["", "crash", ""]
    assert len(events) == 1


def test_a_sandbox_that_does_not_open_is_away_and_tried_again(tmp_path: Path) -> None:
    script: list[Any] = [Unavailable("monty does not start")]

    sandbox = Scripted()

    def opened() -> Scripted:
        if script:
            raise script.pop()
        return sandbox

    handle = SandboxHandle("late", opened)
    programs = Programs(handle)
    request = {"item": 0, "source": RIGHT, "function": "f", "rows": [[4]]}
    assert programs.answer(request) == {"away": "Unavailable: monty does not start"}
    assert programs.answer(request) == {"ran": {"verdict": "ok", "values": (8,), "note": ""}}
    handle.close()
    assert sandbox.closed


def test_a_timeout_is_tried_once_more(scripted: GraderPool, tier: Scripted, events: list[tuple[str, str]]) -> None:
    tier.script = [Verdict.TIMEOUT, 0.0, Verdict.TIMEOUT, Verdict.TIMEOUT]
    assert graded(scripted, "slow machine", "loop") == [Graded(1.0), Graded(0.0, "timeout")]


def test_the_sandboxes_time_is_not_the_rewards(
    scripted: GraderPool, tier: Scripted, events: list[tuple[str, str]]
) -> None:
    """The environment allows 0.6 s an item; infrastructure that takes longer is not the answer's fault."""
    tier.script = [1.5]
    assert graded(scripted, "program") == [Graded(1.0)]
    assert events == []


@pytest.mark.parametrize(("completion", "note"), [("many", f"more than {PROGRAMS} programs"), ("large", "ValueError")])
def test_what_a_reward_may_not_ask_is_the_answers_fault_where_the_own_answer_passes(
    pool: GraderPool, events: list[tuple[str, str]], completion: str, note: str
) -> None:
    (found,) = graded(pool, completion)
    assert found.score == 0.0
    assert note in found.note
    assert [code for code, _ in events] == ["answer_breaks_grader"]


@pytest.mark.parametrize("change", [{"function": "no name"}, {"rows": 7}, {"source": None}, {"source": "\ud800"}])
def test_a_request_that_cannot_be_sent_is_refused(change: dict[str, Any]) -> None:
    programs = Programs(SandboxHandle("scripted", Scripted))
    request = {"item": 0, "source": RIGHT, "function": "f", "rows": [[4]]} | change
    assert list(programs.answer(request)) == ["refused"]


def test_the_default_tier_is_proven_and_named() -> None:
    handle = embedded()
    opened = handle.tier()
    assert isinstance(opened, Proven)
    assert opened.tier == "monty"
    assert handle.identity.startswith("monty 1.")


def test_a_closed_pool_and_its_sandbox_leave_no_process(tmp_path: Path) -> None:
    def children() -> set[str]:
        tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
        return {pid for task in tasks for pid in (task / "children").read_text().split()}

    before = children()
    handle = SandboxHandle("monty", Monty)
    pool = GraderPool(sources(tmp_path)[:1], workers=1, sandbox=handle)
    pool.describe()
    assert graded(pool, RIGHT) == [Graded(1.0)]
    assert len(children() - before) >= 2
    pool.close()
    handle.close()
    assert children() - before == set()
