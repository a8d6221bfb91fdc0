"""Kernels inside a cycle: proposed, admitted, tried beside a preset, resumed; refusals and a lost sandbox are told."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaevo.evolution.outcome import Cycle
from metaevo.ledger.journal import At, StepKey
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import CycleRow, EventRow, StepRow, TrialRow
from metaevo.registry import generated_files
from metaevo.registry.registry import Registry
from metaevo.runtime.sandbox import KernelRun
from metaevo.search.kernel_pairs import NewKernels, add_step, with_kernels
from metaevo.search.skeletons import skeletons
from metaevo.synthesis.proposals import Cost, NoProposal, NoProposalReason, Request
from metaevo.synthesis.record import UNAVAILABLE, archive_of, known_ids, resting_modules, worths
from sandbox.errors import Unavailable
from sandbox.handle import SandboxHandle
from services.config.read import parse
from services.home.home import Home
from services.home.open import App
from tests.journeys import small
from tests.journeys.small import rows

CONFIG = small.CONFIG.replace("trials = 2", "trials = 3\nkernels = 2")


class Killed(BaseException):
    """The process dies: nothing of ours catches it."""


def evolved(home: Home, watched: Callable[[App, Any], None] = lambda _app, _evolution: None) -> Cycle:
    """Run one cycle on few items."""

    def fewer(app: App, evolution: Any) -> None:
        evolution.settings = replace(evolution.settings, pool=96, rehearsal=96, dev=48, anchor=4)
        watched(app, evolution)

    (cycle,) = small.evolve(home, watched=fewer)
    return cycle


def steps(home: Home, name: str) -> list[StepRow]:
    found = [row for row in rows(home, StepRow) if row.step == name]
    return sorted(found, key=lambda row: (row.cycle, row.position))


def files(home: Home) -> dict[str, str]:
    """Return every file of a generated module."""
    return {path.name: path.read_text() for path in (home.path / "modules").rglob("generated/*.toml")}


def told(home: Home) -> list[Any]:
    """Return what the trials were and what they gave."""
    return [(row.number, row.params, row.score, row.failure) for row in rows(home, TrialRow)]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home after one cycle that wrote kernels."""
    home = small.create(tmp_path_factory.mktemp("synthesis") / "home", CONFIG)
    cycle = evolved(home)
    assert cycle.trials, cycle.why
    return home


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home after one cycle that was to write none."""
    home = small.create(tmp_path_factory.mktemp("plain") / "home", CONFIG.replace("kernels = 2", "kernels = 0"))
    evolved(home)
    return home


def test_a_cycle_proposes_and_admits_at_most_so_many_with_their_provenance(once: Home) -> None:
    proposed = [row.counts for row in steps(once, "kernel")]
    admitted = [counts["module"] for counts in proposed if not counts["reason"]]
    assert 1 <= len(admitted) <= 2
    assert all(counts["kind"] in ("keep", "weight", "score", "order") for counts in proposed)
    assert all(counts["proposer"] == "grammar" for counts in proposed)
    made = {one.label: one for one in generated_files.every_module(once.path)}
    assert set(made) == set(admitted)
    assert {(one.proposer, one.cycle, one.tier, one.state) for one in made.values()} == {
        ("grammar", 1, "monty", "admitted")
    }
    (summary,) = steps(once, "kernels")
    assert summary.counts == {"proposed": len(proposed), "admitted": len(admitted)}
    (event,) = [row for row in rows(once, EventRow) if row.code == "kernels_proposed"]
    assert event.data["refused"] == {
        reason: sum(c["reason"] == reason for c in proposed) for reason in {c["reason"] for c in proposed} - {""}
    }


def test_a_trial_uses_a_new_kernel_and_differs_from_another_by_it_alone(once: Home) -> None:
    trials = {row.number: row for row in rows(once, TrialRow)}
    (pair,) = steps(once, "kernel.trial")
    new, old = trials[pair.counts["trial"]], trials[pair.counts["against"]]
    name = pair.module.partition(".")[2]
    assert name in new.params["skeleton"]
    assert new.params["skeleton"].replace(f"+{name}", "") == old.params["skeleton"]
    changed = {key for key in old.params if key != "skeleton" and new.params[key] != old.params[key]}
    assert changed <= {"refinement.metric_filter.at_least"}
    assert new.fidelity == old.fidelity
    assert (pair.counts["tokens"], pair.counts["tokens_against"]) == (new.tokens, old.tokens)
    assert pair.module in small.tried(once)
    made = {(row.trial, row.step): row.digest for row in rows(once, StepRow) if row.position == 0}
    before = ("tasks",) if pair.module.startswith("tasks.") else ("tasks", "solutions")  # the steps without the kernel
    assert [made[new.number, step] for step in before] == [made[old.number, step] for step in before]


def test_a_pair_has_the_same_random_streams_but_for_the_kernel_itself(once: Home) -> None:
    registry = Registry(once.path)
    kernel = next(one for one in generated_files.every_module(once.path) if one.slot == "refinement")
    rft = next(one for one in skeletons(registry).values() if one.preset == "rft")
    found = add_step(rft, kernel.label, registry)
    assert found is not None
    alike = NewKernels(pairs={5: (kernel.label, 2)}).alike(5, found.recipe)
    keys = [At(1, 5).key(*step) for step in (("solutions", 0), ("refinement", 0), ("refinement", 3), ("update", 0))]
    assert [alike(key) for key in keys] == [
        At(1, 2).key("solutions"),
        At(1, 5).key("refinement"),
        At(1, 2).key("refinement", 2),
        At(1, 2).key("update"),
    ]
    assert NewKernels().alike(5, found.recipe)(keys[0]) == keys[0]


def test_what_the_trial_showed_is_in_the_module_s_file_and_in_the_archive(once: Home) -> None:
    (pair,) = steps(once, "kernel.trial")
    slot, _, name = pair.module.partition(".")
    file = generated_files.load(generated_files.path_of(once.path, slot, name))
    ledger = once.ledger()
    try:
        assert worths(ledger, 1) == {}
        worth = worths(ledger, 2)[pair.module]
        archive = archive_of(ledger, once.store(), Registry(once.path), 2)
        known = known_ids(ledger, 2)
    finally:
        ledger.close()
    assert (worth.gain, worth.error) == (pair.counts["gain"], pair.counts["error"])
    if worth.gain is None:
        assert pair.counts["failure"]
        return
    assert (file.numbers["gain"], file.numbers["gain_error"]) == (worth.gain, worth.error)
    (elite,) = archive.elites.values()
    assert (elite.candidate.source, elite.quality) == (file.source, worth.gain)
    assert elite.candidate.id in known


class Mute:
    """An author that never writes."""

    name = "endpoint"

    def propose(self, request: Request, rng: Any) -> NoProposal:
        return NoProposal(self.name, NoProposalReason.TIMEOUT, "nobody answered", Cost(1, 10))


def test_a_second_cycle_writes_others_and_an_author_is_asked_before_the_grammar(once: Home, tmp_path: Path) -> None:
    home = Home(shutil.copytree(once.path, tmp_path / "home"))
    before, seen = files(home), []

    def authored(_app: App, evolution: Any) -> None:
        def authors(_champion: Any, spent: Any) -> list[Any]:
            seen.append((spent.calls, spent.tokens, spent.failures))
            return [Mute()]

        evolution.authors = authors

    evolved(home, authored)
    ids = [row.counts["id"] for row in steps(home, "kernel")]
    assert len(set(ids)) == len(ids)
    second = [row.counts for row in steps(home, "kernel") if row.cycle == 2]
    assert all((row["proposer"], row["before"]) == ("grammar", ["endpoint: timeout"]) for row in second)
    assert seen == [(i, 10 * i, i) for i in range(len(second))]  # what was spent is known, also after a restart
    assert {one.cycle for one in generated_files.every_module(home.path)} <= {1, 2}
    assert {name: files(home)[name] for name in before} == before


@pytest.mark.parametrize("at", [("kernel", True), ("kernels", True)])
def test_a_killed_cycle_ends_with_the_same_kernels_and_trials(once: Home, tmp_path: Path, at: tuple[str, bool]) -> None:
    home = small.create(tmp_path / "home", CONFIG)

    def dies(_app: App, evolution: Any) -> None:
        def on_step(key: StepKey, done: bool) -> None:
            if (key[4], done) == at:
                raise Killed

        evolution.on_step = on_step

    with pytest.raises(Killed):
        evolved(home, dies)
    (row,) = rows(home, CycleRow)
    assert row.outcome == "open"
    cycle = evolved(home)
    assert "code changed" not in cycle.why
    assert files(home) == files(once)
    assert told(home) == told(once)
    assert [row.counts for row in steps(home, "kernel")] == [row.counts for row in steps(once, "kernel")]


class Down:
    """A tier whose daemon does not answer."""

    def __call__(self) -> Any:
        raise Unavailable("the daemon is gone")


def test_a_lost_sandbox_is_told_and_the_cycle_goes_on_as_without_kernels(plain: Home, tmp_path: Path) -> None:
    lost = small.create(tmp_path / "lost", CONFIG)

    def away(app: App, _evolution: Any) -> None:
        app.host.run = KernelRun(SandboxHandle("docker", Down()))

    cycle = evolved(lost, away)
    assert [row.outcome for row in rows(plain, CycleRow)] == [cycle.outcome]
    assert told(lost) == told(plain)
    (event,) = [row for row in rows(lost, EventRow) if row.code == "synthesis_unavailable"]
    assert "the daemon is gone" in event.sentence
    (step,) = steps(lost, "kernel")
    assert step.counts["reason"] == UNAVAILABLE
    assert files(lost) == {}
    ledger = lost.ledger()
    try:
        assert known_ids(ledger, 2) == frozenset()  # nothing was learnt: it may be proposed again
    finally:
        ledger.close()


def test_without_kernels_a_cycle_has_no_step_and_no_file_of_them(plain: Home) -> None:
    assert parse(CONFIG.replace("\nkernels = 2", "")).search.kernels == 0
    assert not [row.step for row in rows(plain, StepRow) if row.step.startswith("kernel")]
    assert files(plain) == {}
    assert told(plain)


def test_where_nothing_is_new_every_trial_is_the_sampler_s() -> None:
    choices = skeletons(Registry())
    same, none = with_kernels(choices, Registry(), (), (), True)
    assert (same, none.fits, none.skeletons) == (choices, {}, {})
    asked = {1: {"skeleton": next(iter(choices))}}
    assert {none.proposal(number, 6, asked, choices) for number in range(6)} == {None}


def test_a_kernel_of_rows_stands_before_the_filters_and_a_human_filter_after(once: Home) -> None:
    registry = Registry(once.path)
    made = next(one for one in generated_files.every_module(once.path) if one.slot == "refinement")
    choices = {one.preset: one for one in skeletons(registry).values() if one.preset}

    def order(preset: str, module: str) -> list[str]:
        found = add_step(choices[preset], module, registry)
        assert found is not None
        return [step.use for step in found.recipe.stage[0].refinement]

    assert order("rft", made.label) == [made.name, "metric_filter", "diversity_filter", "experience_replay"]
    assert order("star", made.label)[:2] == ["rationalization", made.name]
    human = order("rft", "refinement.self_consistency_filter")
    assert human.index("self_consistency_filter") > human.index("metric_filter")


def test_what_measured_worse_than_nothing_rests_and_only_the_best_are_in_use(once: Home, tmp_path: Path) -> None:
    home = Home(shutil.copytree(once.path, tmp_path / "home"))
    first = next(generated_files.every_module(home.path))
    names = [f"syn_{first.kind}_{i}" for i in range(7)]
    for name in names:
        generated_files.save(home.path, first.model_copy(update={"name": name, "seal": ""}))
    generated_files.save(home.path, first.model_copy(update={"name": "syn_mine", "state": "adopted", "seal": ""}))
    ledger = home.ledger(read_only=False)
    try:
        for name, gain in zip(names, (-0.1, 0.3, 0.2, 0.1, 0.4, None, 0.5), strict=True):
            worse(ledger, f"{first.slot}.{name}", gain)
        found = set(resting_modules(ledger, Registry(home.path), 2))
    finally:
        ledger.close()
    assert {names[0], names[5]} <= found
    assert not found & {names[1], names[2], names[4], names[6], "syn_mine"}


def worse(ledger: Ledger, module: str, gain: float | None) -> None:
    """Write what a kernel's trial showed."""
    with ledger.write() as session:
        number = 100 + int(module[-1])
        facts = {"step": "kernel.trial", "position": number, "module": module, "mark": "m", "digest": "d"}
        counts = json.loads(json.dumps({"gain": gain, "error": 0.01}))
        session.add(StepRow(cycle=1, trial=0, stage=0, round=0, counts=counts, opened_at=ledger.now(), **facts))
