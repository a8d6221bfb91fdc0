"""The whole story of a kernel that a language model wrote: proposed, admitted, searched, promoted, traced, put away.

Thirteen proposals beside it are malicious or wrong, and each is refused for its true reason.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from metaevo.ledger.tables import StepRow, TrialRow
from metaevo.registry import generated_files
from metaevo.synthesis import step
from metaevo.synthesis.proposals import NoProposalReason
from metaevo.synthesis.refusals import RejectReason as Why
from metaevo.testing.endpoint import INJECTION, Say, ScriptedEndpoint
from services.home.home import Home
from tests.journeys import small
from tests.journeys.small import rows
from tests.journeys.terminal import metaevo

pytestmark = pytest.mark.full
GOOD = "def keep(row):\n    return row['score'] is not None and row['score'] >= 1\n"


def keep(body: str, head: str = "") -> str:
    return f"```python\n{head}def keep(row):\n    {body}\n```"


def weight(body: str, head: str = "") -> str:
    return keep(body, head).replace("def keep", "def weight")


SCRIPT = (
    (weight("return 2"), Why.CONSTANT),
    (f"Certainly!\n```python\n{GOOD}```", None),
    (weight("return 1e999"), Why.NOT_FINITE),
    (keep("return bool(os.environ)", "import os\n"), NoProposalReason.IMPORTS),
    (weight("return -1.0"), Why.OUT_OF_BOUNDS),
    (keep("while True: pass"), Why.TIME),
    (weight("return random.random()", "import random\n"), Why.RANDOM),
    (keep("return row['text'] == row['answer']"), Why.LOOKS_FOR_ANSWERS),
    (weight("return eval('1') + len(row['text'])"), Why.NAMES),
    (keep("seen.append(row['id']); return len(seen) % 2 == 0", "seen = []\n"), NoProposalReason.OTHER_CODE),
    (weight("print('x' * 10 ** 6); return 1"), Why.OUTPUT),
    (keep("return row['level'] > 99"), Why.KEEPS_NOTHING),
    (weight(f"return 1  # {INJECTION}").replace("def weight", f"{INJECTION}def weigh"), NoProposalReason.NO_FUNCTION),
    (keep("return row['text'][len(row['text'])] == ''"), Why.CRASHES),
)
"""What the endpoint answers, asked for a weight and a filter in turn; why it is not a kernel: as a reply, or later."""
LENIENT = """from objectives.environments.sorting import ABILITY, LEVELS, make


def reward(completion, answer, **row):
    return 1.0 if completion.strip() == answer else 0.6 * bool(completion.strip())
"""
"""The operator's own environment gives most of the credit for any answer; only the right one passes."""
RECIPE = small.PLAIN.replace('"answer_check"', '"answer_check", knobs = { partial = true }').replace(
    '"metric_filter"', '"metric_filter", knobs = { at_least = 0.5 }'
)
"""The operator's own recipe believes that credit and trains on wrong answers: a stricter filter is what it lacks."""


def config(kernels: int, proposer: str = "") -> str:
    made = small.CONFIG.replace("trials = 2", f"trials = 2\nkernels = {kernels}").replace("sorting", "lenient")
    forbidden = small.FEW.replace("methods = [", 'methods = ["generated:feedback", "generated:tasks", ')
    return made + forbidden + proposer


def said(*words: Any, home: Home) -> Any:
    return metaevo("--json", *words, home=home.path).data


def run(home: Home) -> Any:
    """Run one cycle by the command line; return what it decided."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, "EACH", 1)
        patch.setattr("services.home.open.engine_processes", small.engines())
        (cycle,) = said("run", "--cycles", 1, home=home)["decided"]
    return cycle


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after a cycle in which the endpoint wrote, and one more in which the grammar did."""
    home = Home(tmp_path_factory.mktemp("authored") / "home")
    with ScriptedEndpoint([Say(text) for text, _ in SCRIPT]) as server:
        home.create(config(len(SCRIPT), f'[proposer]\nuse = "{server.url}"\nmodel = "writer"\ntimeout = "20s"\n'))
        (home.path / "recipes" / "plain.toml").write_text(RECIPE)
        (home.path / "environments" / "lenient.py").write_text(LENIENT)
        first = run(home)
        assert len(server.heard) == len(SCRIPT)
    assert first["outcome"] == "promote", first
    home.config_path.write_text(config(1))
    second = run(home)
    assert second["candidate"], second
    return home.path


@pytest.fixture
def home(twice: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(twice, tmp_path / "home"))


def written(home: Home) -> generated_files.Generated:
    (made,) = [one for one in generated_files.every_module(home.path) if one.proposer == "endpoint"]
    return made


def used(home: Home, cycle: int) -> set[str]:
    """Return the modules that ran in a cycle."""
    return {row.module for row in rows(home, StepRow) if row.cycle == cycle and row.digest and row.trial}


def test_each_bad_proposal_is_refused_for_its_true_reason(home: Home) -> None:
    made = [row.counts for row in rows(home, StepRow) if (row.cycle, row.step) == (1, "kernel")]
    assert len([reason for _, reason in SCRIPT if reason]) >= 12
    for counts, (text, reason) in zip(made, SCRIPT, strict=True):
        if isinstance(reason, NoProposalReason):  # the grammar wrote in its place
            assert (counts["before"], counts["proposer"]) == ([f"endpoint: {reason}"], "grammar"), text
        else:
            assert (counts["proposer"], counts["reason"], "before" in counts) == ("endpoint", reason or "", False), text


def test_the_right_one_was_admitted_searched_and_is_in_the_promoted_generation(home: Home) -> None:
    made = written(home)
    assert (made.source, made.state, made.tier, made.model, made.cycle) == (GOOD, "admitted", "monty", "writer", 1)
    assert made.numbers["gain"] > 0, "its trial beside the same recipe without it"
    (pair,) = [row for row in rows(home, StepRow) if (row.cycle, row.step) == (1, "kernel.trial")]
    assert (pair.module, pair.counts["gain"]) == (made.label, made.numbers["gain"])
    tried = {row.number: row.params["skeleton"] for row in rows(home, TrialRow) if row.cycle == 1}
    assert made.name in tried[pair.counts["trial"]]
    assert made.name not in tried[pair.counts["against"]]
    first = said("generations", home=home)[1]["id"]
    found = said("why", first, home=home)
    assert found["decision"] == "promote"
    assert [one["module"] for one in found["written"]] == [made.label]
    assert (found["written"][0]["model"], found["written"][0]["prompt"]) == ("writer", made.prompt)
    line = next(line for line in found["lines"] if line.startswith("Written"))
    assert f"{made.label} by endpoint writer (prompt {made.prompt}) in cycle 1, admitted on monty" in line


def test_put_away_it_takes_its_descendants_along_and_the_next_cycle_does_not_use_it(home: Home) -> None:
    made, before = written(home), [row["id"] for row in said("generations", home=home)]
    done = said("modules", "quarantine", made.name, "--reason", "it flatters", home=home)
    assert (done["marked"], done["champion"]) == (before[1:], "g000000")
    states = {row["id"]: row["status"] for row in said("generations", home=home)}
    assert states == {"g000000": "champion"} | dict.fromkeys(before[1:], "quarantined")
    assert said("show", before[-1], home=home)["status"] == "quarantined"
    lines = said("why", before[1], home=home)["lines"]
    assert lines[0].endswith("(now quarantined).")
    assert any(line.endswith("now quarantined: it flatters.") for line in lines)
    run(home)
    assert made.label in used(home, 1)
    assert used(home, 3)
    assert made.label not in used(home, 3)
    assert not [row for row in rows(home, TrialRow) if row.cycle == 3 and made.name in json.dumps(row.params)]
    assert said("fsck", home=home)["clean"]
