"""A home whose sandbox is a real daemon: kernels and rewards' programs run in its containers, and none is left."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaevo.engines.grader import Graded
from metaevo.registry import generated_files
from objectives.types import Split
from sandbox.address import Address
from sandbox.daemon import Daemon
from sandbox.policy import LABEL
from services.home.home import Home
from services.home.open import App, graders
from services.home.sandbox import open_sandbox, owner_of, require_answer
from tests.hostile import tiers
from tests.journeys import small
from tests.journeys.terminal import metaevo

pytestmark = [*tiers.ALONE]
CODE = """ABILITY = "coding"
rows = [{"prompt": f"double {i}", "answer": "def f(x): return 2 * x"} for i in range(60)]
def reward(completion, run, **row):
    return float(run(completion, "f", [[2], [5]]).values == (4, 10))
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    tiers.need("docker")
    places = f'[sandbox]\nuse = "docker"\nhost = "{tiers.url()}"\nimage = "{tiers.image()}"\n'
    return small.create(tmp_path / "home", small.CONFIG.replace("trials = 2", "trials = 3\nkernels = 2") + places)


@pytest.fixture
def left(home: Home) -> Iterator[Any]:
    """What returns the home's containers, whoever of it opened them."""
    daemon = Daemon(Address(tiers.url()))

    def found() -> list[str]:
        said = daemon.client.containers(all=True, filters={"label": LABEL})
        return [entry["Id"] for entry in said if entry["Labels"][LABEL].startswith(owner_of(home.path))]

    yield found
    daemon.close()


def test_a_cycle_writes_its_kernels_in_containers_and_leaves_none(home: Home, left: Any) -> None:
    seen: list[int] = []

    def fewer(app: App, evolution: Any) -> None:
        evolution.settings = replace(evolution.settings, pool=96, rehearsal=96, dev=48, anchor=4)
        evolution.on_step = lambda _key, _done: seen.append(len(left()))

    (cycle,) = small.evolve(home, watched=fewer)
    assert cycle.trials, cycle.why
    made = list(generated_files.every_module(home.path))
    assert {one.tier for one in made} == {"docker"}
    assert {one.label for one in made} & small.tried(home)
    assert max(seen) >= 1
    assert left() == []


def test_a_reward_s_programs_run_in_the_same_containers(home: Home, left: Any) -> None:
    home.config_path.write_text(home.text.replace("[environments.sorting]", '[environments.code]\nuse = "code.py"'))
    home.config_path.write_text(home.text.replace("levels = [4, 5]", "", 1))
    (home.path / "code.py").write_text(CODE)
    config = home.config()
    with open_sandbox(home.path, config) as run, graders(home.path, config, run) as (pool, _):
        require_answer(run)
        (task,) = pool.draw("code", 1, Split.TRAIN, 0, 0, 1).tasks
        answers = ("def f(x): return 2 * x", "def f(x): return x", "def f(x):\n while True: pass")
        rows = [(task.origin, task.level, task.prompt[-1].content, text) for text in answers]
        right, wrong, endless = pool.grade("code", rows)
        assert (right, wrong) == (Graded(1.0), Graded(0.0))
        assert (endless.score, endless.note) == (0.0, "timeout")
        assert left()
    assert left() == []


def test_check_and_doctor_see_the_daemon_the_runtimes_and_the_image(home: Home, left: Any) -> None:
    rows = {row["backend"]: row for row in metaevo("--json", "sandbox", "check", home=home.path).data}
    for backend in ("monty", *tiers.CONTAINERS):
        if not tiers.missing(backend):
            assert rows[backend]["usable"], rows[backend]
    assert len(rows["docker"]["checks"]) >= 3 + 12
    (row,) = [row for row in metaevo("--json", "doctor", home=home.path).data["checks"] if row["name"] == "sandbox"]
    assert row["state"] == "ok"
    assert row["found"].startswith(f"docker: {tiers.url()}; runc; sha256:")
    home.config_path.write_text(home.text.replace(tiers.url(), "unix:///nowhere/docker.sock"))
    (row,) = [
        row for row in metaevo("--json", "doctor", home=home.path, code=3).data["checks"] if row["name"] == "sandbox"
    ]
    assert row["state"] == "fail"
    assert row["found"].startswith("docker: daemon: unix:///nowhere/docker.sock does not answer")
    assert left() == []
