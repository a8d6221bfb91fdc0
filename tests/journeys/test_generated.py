"""A kernel the system wrote: admitted, run in a pinned recipe, promoted, traced, quarantined with what came of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from metaevo.errors import ModuleFailed
from metaevo.evolution.loop import Budget
from metaevo.registry import generated_files
from metaevo.registry.generated import Code
from metaevo.registry.registry import Registry
from metaevo.runtime.sandbox import KernelRun
from metaevo.search.skeletons import skeletons
from metaevo.synthesis.admission import admit, admitted_module
from sandbox.errors import Refused, Unavailable
from sandbox.handle import SandboxHandle
from sandbox.monty import Monty
from sandbox.types import Limits
from services.home.home import Home
from services.home.open import open_home
from tests.journeys import small
from tests.journeys.terminal import metaevo

SOURCE = "def keep(row):\n    return row['score'] is not None and row['score'] >= 1\n"
CODE = Code("refinement", "keep", "syn_right", SOURCE)
RECIPE = small.PLAIN.replace("metric_filter", "syn_right").replace('"plain"', '"ours"')
PINNED = small.CONFIG + '[fixed]\nrecipe = "ours"\n'


def write(home: Home, code: Code = CODE) -> None:
    """Admit a kernel on the embedded tier and write its file."""
    with Monty() as tier:
        decided = admit(code.source, code.kind, code.slot, tier)
    made = admitted_module(code, decided, "grammar", parents=("syn_a", "syn_b"), cycle=7)
    generated_files.save(home.path, made)


@pytest.fixture(scope="module")
def promoted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the pinned recipe with the kernel was promoted, and a child of that with another recipe."""
    home = small.create(tmp_path_factory.mktemp("generated") / "home", PINNED)
    write(home)
    (home.path / "recipes" / "ours.toml").write_text(RECIPE)
    first = small.evolve(home)
    assert [cycle.outcome for cycle in first] == ["promote"], first[0].why
    home.config_path.write_text(home.text.replace('recipe = "ours"', 'recipe = "plain"'))
    (home.path / "recipes" / "plain.toml").write_text(small.PLAIN)
    second = small.evolve(home)
    assert [cycle.outcome for cycle in second] == ["promote"], second[0].why
    return home.path


@pytest.fixture
def home(promoted_once: Path, tmp_path: Path) -> Home:
    return Home(shutil.copytree(promoted_once, tmp_path / "home"))


def said(*words: Any, home: Home) -> Any:
    return metaevo("--json", *words, home=home.path).data


def status(home: Home) -> dict[str, str]:
    return {row["id"]: row["status"] for row in said("generations", home=home)}


def test_a_promoted_kernel_is_traced_to_who_wrote_it(home: Home) -> None:
    first, second = [row["id"] for row in said("generations", home=home)][1:]
    assert status(home) == {"g000000": "retired", first: "retired", second: "champion"}
    found = said("why", first, home=home)
    (written,) = found["written"]
    facts = {key: written[key] for key in ("module", "proposer", "parents", "cycle", "tier", "state")}
    assert facts == {
        "module": "refinement.syn_right",
        "proposer": "grammar",
        "parents": ["syn_a", "syn_b"],
        "cycle": 7,
        "tier": "monty",
        "state": "admitted",
    }
    line = next(line for line in found["lines"] if line.startswith("Written"))
    assert "refinement.syn_right by grammar from syn_a, syn_b in cycle 7, admitted on monty (rows " in line
    assert len(found["lines"]) <= 12
    assert said("why", second, home=home)["written"] == []


def test_it_ran_in_the_cycle_whose_recipe_names_it(home: Home) -> None:
    assert "refinement.syn_right" in small.tried(home)
    assert "refinement.metric_filter" in small.tried(home)  # of the second cycle, whose recipe has no kernel


def test_quarantine_marks_what_came_of_it_and_goes_back(home: Home) -> None:
    first, second = [row["id"] for row in said("generations", home=home)][1:]
    done = said("modules", "quarantine", "syn_right", "--reason", "it lies", home=home)
    assert done == {
        "module": "refinement.syn_right",
        "state": "quarantined",
        "reason": "it lies",
        "marked": [first, second],
        "champion": "g000000",
    }
    assert status(home) == {"g000000": "champion", first: "quarantined", second: "quarantined"}
    assert said("fsck", home=home)["clean"]
    lines = said("why", first, home=home)["lines"]
    assert lines[0].endswith("(now quarantined).")
    assert any(line.endswith("now quarantined: it lies.") for line in lines)
    again = said("modules", "quarantine", "refinement.syn_right", "--reason", "it lies", home=home)
    assert (again["marked"], again["champion"]) == ([], None)


def test_what_is_quarantined_is_used_no_more_and_stays_on_record(home: Home) -> None:
    shown = metaevo("modules", "show", "syn_right", home=home.path).out
    assert "asks for: Run" in shown
    assert "refinement.syn_right by grammar from syn_a, syn_b in cycle 7, admitted on monty" in shown
    assert shown.endswith(SOURCE)
    told = metaevo("modules", "quarantine", "syn_right", "--reason", "it lies", home=home.path).out
    assert told.startswith("refinement.syn_right is quarantined, and with it g0000")
    assert "now quarantined: it lies" in metaevo("modules", "show", "syn_right", home=home.path).out
    (row,) = [row for row in said("modules", "list", home=home) if row["name"] == "syn_right"]
    assert (row["state"], row["from"]) == ("quarantined", "generated")
    assert said("modules", "show", "syn_right", home=home)["source"] == SOURCE
    home.config_path.write_text(home.text.replace('recipe = "plain"', 'recipe = "ours"'))
    wrong = metaevo("run", "--cycles", 1, home=home.path, code=2).err
    why = "recipe ours: stage 1: refinement.syn_right is quarantined (it lies); take it out of the recipe"
    assert why in wrong.replace("ours.toml", "recipe ours")
    metaevo("modules", "adopt", "syn_right", home=home.path, code=4)
    home.config_path.write_text(home.text.replace('recipe = "ours"', 'recipe = "plain"'))
    (cycle,) = small.evolve(home)
    assert cycle.trials, cycle.why


def test_the_champion_stays_where_it_never_used_the_module(home: Home) -> None:
    said("rollback", "--to", "g000000", "--reason", "another way", home=home)
    done = said("modules", "quarantine", "syn_right", "--reason", "it lies", home=home)
    assert (done["marked"], done["champion"]) == ([first_user(home)], None)
    assert status(home)["g000000"] == "champion"


def first_user(home: Home) -> str:
    return str(said("generations", home=home)[1]["id"])


def test_an_adopted_one_is_no_longer_forbidden_with_its_kind(home: Home) -> None:
    def proposed() -> bool:
        every = skeletons(Registry(home.path), forbidden=["generated:refinement"])
        return any("refinement.syn_right" in s.recipe.modules for s in every.values())

    assert any("refinement.syn_right" in s.recipe.modules for s in skeletons(Registry(home.path)).values())
    (home.path / "recipes" / "ours.toml").unlink()
    assert not proposed()
    digest = Registry(home.path).get("refinement", "syn_right").digest
    assert said("modules", "adopt", "syn_right", home=home) == {"module": "refinement.syn_right", "state": "adopted"}
    assert proposed()
    assert Registry(home.path).get("refinement", "syn_right").digest == digest
    assert said("modules", "show", "syn_right", home=home)["state"] == "adopted"


RULE = Code("objective", "choose", "syn_weak", "def choose(cells):\n    return [0]\n")
ASKS = Code(
    "refinement",
    "ask",
    "syn_agrees",
    "def ask(row):\n    return [row['prompt']] if row['of'] > 1 else []\n"
    "def use(row, replies):\n    return {'keep': replies == [row['text']] or not replies}\n",
)


def test_a_rule_and_a_kernel_that_asks_the_model_run_in_a_cycle(tmp_path: Path) -> None:
    recipe = RECIPE.replace('{ use = "experience_replay" }', '{ use = "syn_agrees" }')
    home = small.create(tmp_path / "home", PINNED + '[objective]\nrule = "syn_weak"\n')
    for code in (CODE, RULE, ASKS):
        write(home, code)
    (home.path / "recipes" / "ours.toml").write_text(recipe)
    (cycle,) = small.evolve(home)
    assert cycle.objective is not None, cycle.why
    assert (cycle.objective.rule, len(cycle.objective.cells)) == ("syn_weak", 1)
    assert {"objective.syn_weak", "refinement.syn_right", "refinement.syn_agrees"} <= small.tried(home)
    assert cycle.candidate is not None, cycle.why
    named = [made["module"] for made in said("why", cycle.candidate.id, home=home)["written"]]
    assert named == ["refinement.syn_right", "refinement.syn_agrees", "objective.syn_weak"]
    assert said("fsck", home=home)["clean"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("modules", "quarantine", "syn_wrong", "--reason", "x"), "no generated module 'syn_wrong'; there are refinem"),
        (("modules", "quarantine", "metric_filter", "--reason", "x"), "no generated module 'metric_filter'"),
        (("modules", "quarantine", "syn_right", "--reason", " "), "--reason: is empty; say why: it is kept and shown"),
        (("modules", "adopt", "feedback.syn_right"), "no generated module 'feedback.syn_right'"),
    ],
)
def test_bad_input_is_one_line(home: Home, words: tuple[str, ...], why: str) -> None:
    before = status(home)
    assert why in metaevo(*words, home=home.path, code=2).err
    assert status(home) == before


def back(home: Home) -> None:
    """Go back to the base, so that there is something to learn again, with the recipe that uses the kernel."""
    said("rollback", "--to", "g000000", "--reason", "once more", home=home)
    home.config_path.write_text(home.text.replace('recipe = "plain"', 'recipe = "ours"'))


class Down:
    """A tier whose daemon does not answer, or which is refused."""

    tier, limits = "docker", Limits()

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(self, *_: Any, **__: Any) -> Any:
        raise self.error

    def close(self) -> None:
        return None


@pytest.mark.parametrize("error", [Unavailable("the daemon is gone"), Refused("sandbox tier docker: memory")])
def test_a_sandbox_that_fails_is_infrastructure_and_blames_nobody(home: Home, error: Exception) -> None:
    back(home)
    with open_home(home, make=small.engines(), engines=1) as app:
        app.host.run = KernelRun(SandboxHandle("docker", lambda: Down(error)))
        evolution = app.evolution()
        try:
            (cycle,) = evolution.run(Budget(cycles=1))
        finally:
            evolution.sampler.close()
    assert (cycle.outcome, cycle.candidate) == ("none", None)
    assert cycle.why.startswith("infrastructure")
    assert str(error) in cycle.trials[0].failure
    assert cycle.trials[0].score is None


def test_a_kernel_that_fails_is_its_own_failure(home: Home) -> None:
    path = generated_files.path_of(home.path, "refinement", "syn_right")
    made = generated_files.load(path)
    broken = "def keep(row):\n    return row['score'] / 0\n"
    generated_files.save(home.path, made.model_copy(update={"source": broken, "seal": ""}))
    back(home)
    (cycle,) = small.evolve(home)
    assert cycle.outcome == "none"
    assert "ModuleFailed: refinement.syn_right: its kernel keep ended with crash: raised: ZeroDivision" in cycle.why


def test_what_was_admitted_is_sealed(home: Home) -> None:
    path = generated_files.path_of(home.path, "refinement", "syn_right")
    path.write_text(path.read_text().replace(">= 1", ">= 0"))
    with pytest.raises(ModuleFailed, match="its source is not what was admitted; have it admitted again"):
        generated_files.load(path)
    listed = [row for row in said("modules", "list", home=home) if row["name"] == "syn_right"]
    assert "is not what was admitted" in listed[0]["broken"]
    metaevo("modules", "adopt", "syn_right", home=home.path, code=1)
    done = said("modules", "quarantine", "syn_right", "--reason", "somebody edited it", home=home)
    assert len(done["marked"]) == 2
