"""A module edited in mid-cycle ends that cycle as void, with the reason; the next one runs with the new code."""

from pathlib import Path
from typing import Any

import pytest

from services.home.home import Home
from tests.journeys import small
from tests.journeys.terminal import ROOT, metaevo

SOURCE = (ROOT / "metaevo" / "modules" / "refinement" / "metric_filter.py").read_text().replace("metric_filter", "mine")
RECIPE = small.PLAIN.replace("metric_filter", "mine").replace('"plain"', '"ours"')
PINNED = small.CONFIG + '[fixed]\nrecipe = "ours"\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose recipe uses a module of its own, so that the test edits no file of the packages."""
    made = small.create(tmp_path / "home", PINNED)
    (made.path / "modules" / "refinement").mkdir(parents=True)
    module(made).write_text(SOURCE)
    (made.path / "recipes" / "ours.toml").write_text(RECIPE)
    return made


def module(home: Home) -> Path:
    return home.path / "modules" / "refinement" / "mine.py"


def last(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = metaevo("--json", "status", home=home.path).data["last_decision"]
    return found


class Editor:
    """Edits the module when a step of the cycle is finished."""

    def __init__(self, home: Home, step: str, text: str) -> None:
        self.path, self.step, self.text, self.done = module(home), step, text, False

    def __call__(self, key: Any, done: bool) -> None:
        if done and key[4] == self.step and not self.done:
            self.path.write_text(self.text)
            self.done = True


EDITED = SOURCE.replace(">= at_least", "> at_least - 1e-9")


def test_an_edit_before_the_module_is_used_ends_the_cycle_as_void(home: Home) -> None:
    editor = Editor(home, "diagnose", EDITED)
    (first,) = small.evolve(home, watched=lambda _app, evolution: setattr(evolution, "on_step", editor))
    assert editor.done
    assert (first.outcome, first.candidate, first.verdict) == ("void", None, None)
    assert first.why == "code changed: module refinement.mine was edited while the cycle ran"
    found = last(home)
    assert (found["cycle"], found["outcome"], found["why"]) == (1, "void", first.why)


def test_the_run_itself_goes_on_with_the_next_cycle(home: Home) -> None:
    editor = Editor(home, "solutions", EDITED)
    done = small.evolve(home, 2, watched=lambda _app, evolution: setattr(evolution, "on_step", editor))
    assert [(cycle.number, cycle.outcome) for cycle in done] == [(1, "void"), (2, "promote")]
    assert done[0].why == "code changed: module refinement.mine was edited while the cycle ran"
    assert metaevo("--json", "fsck", home=home.path).data["clean"]


def test_what_a_void_cycle_made_is_never_served(home: Home) -> None:
    (home.path / "recipes" / "ours.toml").write_text(RECIPE.replace("[[stage]]", "[[stage]]\nrounds = 2"))
    editor = Editor(home, "update", EDITED)
    (first,) = small.evolve(home, watched=lambda _app, evolution: setattr(evolution, "on_step", editor))
    assert first.outcome == "void"
    rows = metaevo("--json", "generations", home=home.path).data
    assert [(row["id"], row["status"]) for row in rows] == [("g000000", "champion")]
    assert metaevo("--json", "show", "g000001", home=home.path).data["status"] == "intermediate"
    said = metaevo("why", "g000001", home=home.path, code=2).err
    assert said == "metaevo: g000001 was never examined: it is an intermediate of cycle 1\n"


def test_an_edit_between_a_crash_and_the_resumption_ends_the_cycle_too(home: Home) -> None:
    def stop(key: Any, done: bool) -> None:
        if done and key[4] == "refinement":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small.evolve(home, watched=lambda _app, evolution: setattr(evolution, "on_step", stop))
    module(home).write_text(EDITED)
    first, second = small.evolve(home, 2)
    assert (first.number, first.outcome) == (1, "void")
    assert "code changed" in first.why
    assert "refinement" in first.why
    assert (second.number, second.outcome) == (2, "promote")


def test_an_edit_of_a_module_that_is_not_used_ends_nothing(home: Home) -> None:
    other = home.path / "modules" / "refinement" / "other.py"
    other.write_text(SOURCE.replace("mine", "other"))
    editor = Editor(home, "solutions", EDITED.replace("mine", "other"))
    editor.path = other
    (first,) = small.evolve(home, watched=lambda _app, evolution: setattr(evolution, "on_step", editor))
    assert editor.done
    assert first.outcome == "promote"


def test_an_edit_that_breaks_the_module_is_told_by_its_name(home: Home) -> None:
    editor = Editor(home, "solutions", "def mine(:\n")
    (first,) = small.evolve(home, watched=lambda _app, evolution: setattr(evolution, "on_step", editor))
    assert first.outcome in ("void", "none")
    assert "mine" in first.why
    (found,) = metaevo("--json", "status", home=home.path).data["attention"]
    assert found["code"] == "module_broken"
    assert str(module(home)) in found["sentence"]
    said = metaevo("run", "--cycles", 1, home=home.path, code=1).err
    assert said == f"metaevo: {module(home)}: fails to import: SyntaxError: invalid syntax (mine.py, line 1)\n"
