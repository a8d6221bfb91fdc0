"""One tier for the whole home: what runs kernels runs rewards' programs too; a daemon that is away is said at start."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from metaevo.engines.grader import Graded
from metaevo.errors import BadInput, SandboxUnavailable
from metaevo.runtime.sandbox import KernelRun
from objectives.types import Split
from sandbox.errors import Unavailable
from sandbox.handle import SandboxHandle
from sandbox.self_check import Proof, Proven
from sandbox.types import Kernel, Limits, Result, Row, Sandbox, Verdict
from services.home import sandbox
from services.home.home import Home
from services.home.open import graders, open_home
from services.home.sandbox import open_sandbox, require_answer
from services.reports.environments import check_environment
from tests.journeys import small
from tests.journeys.terminal import metaevo
from tests.services.home.test_sandbox import image

CODE = """ABILITY = "coding"
rows = [{"prompt": f"double {i}", "answer": "def f(x): return 2 * x"} for i in range(60)]
def reward(completion, run, **row):
    return float(run(completion, "f", [[2], [5]]).values == (4, 10))
"""
CONFIG = (
    small.CONFIG.partition("[environments.sorting]")[0]
    + """[environments.code]
use = "code.py"
[protect]
coding = { margin = 0.5 }
"""
)
NOWHERE = '[sandbox]\nuse = "docker"\nhost = "unix:///nowhere/docker.sock"\n'


class Scripted:
    """A container tier that says 2x to everything."""

    tier, limits = "docker", Limits()

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = 0

    def run(self, kernel: Kernel, rows: Sequence[Row], *, wall_s: float | None = None) -> Result:
        self.asked.append(kernel.source)
        return Result(Verdict.OK, tuple(2 * x for (x,) in rows))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = small.create(tmp_path / "home", CONFIG + NOWHERE)
    (made.path / "code.py").write_text(CODE)
    image(made.path)
    return made


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> dict[str, Scripted]:
    """The containers that were opened, by the label of their owner."""
    found: dict[str, Scripted] = {}

    def containers(owner: str, runtime: str, address: object, lock: object) -> Sandbox:
        assert owner not in found, "opened twice: the second removes the first one's containers"
        found[owner] = Scripted()
        return found[owner]

    monkeypatch.setattr(sandbox, "_containers", containers)
    return found


def test_kernels_and_rewards_ask_one_sandbox_that_is_opened_once(home: Home, owners: dict[str, Scripted]) -> None:
    config = home.config()
    with open_sandbox(home.path, config) as handle, graders(home.path, config, handle) as (pool, environments):
        assert owners == {}
        assert environments["code"].version.endswith(" docker sha256:1234")
        (task,) = pool.draw("code", 1, Split.TRAIN, 0, 0, 1).tasks
        text = "def f(x): return 'scripted'"
        assert pool.grade("code", [(task.origin, task.level, task.prompt[-1].content, text)]) == [Graded(1.0)]
        assert KernelRun(handle)(Kernel("def g(x): return 0", "g"), [[3]]) == (6,)
        (tier,) = owners.values()
        assert tier.asked == [text, "def g(x): return 0"]
        assert tier.closed == 0
    assert tier.closed == 1


def test_an_audit_runs_programs_there_too_and_sweeps_nobody_elses_containers(
    home: Home, owners: dict[str, Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.reports.environments._model_score", lambda *_: None)
    with open_sandbox(home.path, home.config()) as handle:
        require_answer(handle)
        check_environment("code", home, 4)
    (held, audit) = owners
    assert audit == f"{held}/audit"
    assert owners[audit].asked
    assert (owners[held].asked, owners[audit].closed) == ([], 1)


def test_a_pool_that_borrows_a_tier_does_not_end_it_and_keeps_its_name(home: Home) -> None:
    tier = Scripted()
    handle = SandboxHandle("scripted 1", lambda: tier)
    with graders(home.path, home.config(), handle) as (pool, environments):
        (task,) = pool.draw("code", 1, Split.TRAIN, 0, 0, 1).tasks
        pool.grade("code", [(task.origin, task.level, task.prompt[-1].content, "def f(x): return x")])
        assert environments["code"].version.endswith(" scripted 1")
    assert (len(tier.asked), tier.closed) == (1, 0)
    handle.close()
    assert tier.closed == 1


def test_a_daemon_that_is_not_there_is_said_by_name_before_anything_is_made(home: Home) -> None:
    said = metaevo("run", "--cycles", 1, home=home.path, code=3).err
    assert said.startswith("metaevo: metaevo.toml: sandbox: unix:///nowhere/docker.sock does not answer: ")
    assert said.endswith('; see `metaevo sandbox check`, or use = "monty"\n')
    assert "does not answer" in metaevo("environments", "check", "code", home=home.path, code=3).err
    assert not home.founded


def test_what_measures_nothing_goes_on_without_the_daemon_and_with_margins_that_nothing_decides(home: Home) -> None:
    file = home.path / "metaevo.toml"
    file.write_text(file.read_text().replace("margin = 0.5", "margin = 0.01"))
    with pytest.raises(BadInput, match="an identical candidate could not pass"), open_home(home, make=small.engines()):
        pass
    with open_home(home, make=small.engines(), engines=1, measures=False) as app:
        assert app.host.run.identity == "docker sha256:1234"


def test_a_limit_that_is_not_kept_is_refused_by_its_name(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def proof(_: Sandbox) -> Proof:
        return Proof("docker+runsc", (), {"memory": "reached 384"}, "", 1.0)

    monkeypatch.setattr(sandbox, "_containers", lambda *_: Proven(Scripted(), prove=proof))
    with (
        open_sandbox(home.path, home.config()) as handle,
        pytest.raises(SandboxUnavailable, match="memory is not kept"),
    ):
        require_answer(handle)


def test_a_daemon_that_answers_no_more_is_told_as_infrastructure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> Sandbox:
        raise Unavailable("sandbox", "the daemon is gone")

    monkeypatch.setattr(sandbox, "_containers", away)
    with open_sandbox(home.path, home.config()) as handle:
        with pytest.raises(SandboxUnavailable, match=r"^metaevo\.toml: sandbox: the daemon is gone; see"):
            require_answer(handle)
        with pytest.raises(SandboxUnavailable):
            KernelRun(handle)(Kernel("def g(x): return 0", "g"), [[3]])
