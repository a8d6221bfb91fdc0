"""Optuna in its own process: the same request gives the same answer; what the space no longer knows is left out."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metaevo.errors import EngineError
from metaevo.ledger.ledger import open_ledger
from metaevo.ledger.tables import TrialRow
from metaevo.registry.registry import OURS, Registry
from metaevo.search.skeletons import skeletons
from metaevo.search.study import ENQUEUED, WINDOW, Sampler, Study, draw_at_random, shorter_within_noise, study

REGISTRY = Registry()
CHOICES = skeletons(REGISTRY)
SPACES: dict[str, Any] = {
    "a": {"m.x": {"kind": "float", "low": 0.001, "high": 1.0, "log": True, "default": 0.5}},
    "b": {
        "m.x": {"kind": "float", "low": 0.001, "high": 1.0, "log": True, "default": 0.5},
        "m.mode": {"kind": "choice", "choices": ["one", "two"], "default": "one"},
        "m.n": {"kind": "int", "low": 2, "high": 16, "log": True, "default": 4},
    },
    "fixed": {"m.only": {"kind": "int", "low": 3, "high": 3, "log": True, "default": 3}},
}


@pytest.fixture(scope="module")
def sampler() -> Iterator[Sampler]:
    made = Sampler()
    yield made
    made.close()


def row(skeleton: str, score: float | None, **params: Any) -> dict[str, Any]:
    constraints = {"retention": -0.01} if score is not None else {}
    return {"params": {"skeleton": skeleton, **params}, "score": score, "constraints": constraints, "fidelity": 0.5}


ROWS = [row("a", 0.01 * i, **{"m.x": 0.01 * (i + 1)}) for i in range(6)]
ROWS += [row("b", 0.1 + 0.01 * i, **{"m.x": 0.5, "m.mode": "two", "m.n": 2 + i}) for i in range(6)]


def asked(sampler: Sampler, seed: int = 1, rows: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    request = {"seed": seed, "startup": 4, "rows": ROWS if rows is None else rows, "spaces": SPACES}
    return sampler.propose(request | more)


def test_the_same_request_gives_the_same_answer_also_in_a_new_process(sampler: Sampler) -> None:
    first = [asked(sampler, seed) for seed in range(8)]
    other = Sampler()
    try:
        assert [asked(other, seed) for seed in range(8)] == first
    finally:
        other.close()
    assert len({repr(sorted(found.items())) for found in first}) > 1


def test_every_answer_is_a_point_of_its_skeleton_s_space(sampler: Sampler) -> None:
    for seed in range(12):
        found = asked(sampler, seed, rows=[])
        space = SPACES[found.pop("skeleton")]
        assert set(found) == set(space)
        for name, value in found.items():
            entry = space[name]
            inside = value in entry["choices"] if entry["kind"] == "choice" else entry["low"] <= value <= entry["high"]
            assert inside
            assert isinstance(value, {"int": int, "float": float, "choice": str}[entry["kind"]])


@pytest.mark.parametrize(
    "stranger",
    [
        row("gone", 9.9, **{"m.x": 0.5}),
        row("gone", None),
        {"params": {}, "score": 9.9, "constraints": {}, "fidelity": 1.0},
    ],
)
def test_rows_outside_the_choices_are_ignored(sampler: Sampler, stranger: dict[str, Any]) -> None:
    for seed in range(4):
        assert asked(sampler, seed, rows=[stranger, *ROWS, stranger]) == asked(sampler, seed)


@pytest.mark.parametrize(
    "old",
    [
        row("a", 0.5, **{"m.x": 77.0}),
        row("a", 0.5),
        row("b", 0.5, **{"m.x": 0.5, "m.renamed": 3, "m.n": 4}),
        row("a", None, **{"m.x": 0.5}),
        row("b", 0.5, **{"m.x": 0.5, "m.mode": "three", "m.n": 4}),
    ],
    ids=["range moved", "knob is new", "knob was renamed", "failed", "choice is gone"],
)
def test_evidence_from_before_a_module_was_edited_stops_nothing(sampler: Sampler, old: dict[str, Any]) -> None:
    assert asked(sampler, 3, rows=[old, *ROWS])["skeleton"] in SPACES


def test_evidence_moves_proposals(sampler: Sampler) -> None:
    """Forty good trials of one skeleton and forty bad ones of the others: it is proposed more often than by chance."""
    rows = [row("b", 0.5, **{"m.x": 0.5, "m.mode": "two", "m.n": 4}) for _ in range(40)]
    rows += [row("a", -0.5, **{"m.x": 0.01}) for _ in range(40)]
    chosen = [asked(sampler, seed, rows=rows)["skeleton"] for seed in range(12)]
    assert chosen.count("b") > 8


def test_a_violated_constraint_outweighs_a_better_score(sampler: Sampler) -> None:
    bad = row("a", 0.9, **{"m.x": 0.01}) | {"constraints": {"retention": 0.3}}
    rows = [bad] * 40 + [row("b", 0.1, **{"m.x": 0.5, "m.mode": "two", "m.n": 4})] * 40
    chosen = [asked(sampler, seed, rows=rows)["skeleton"] for seed in range(12)]
    assert chosen.count("b") > chosen.count("a")


def test_an_impossible_space_is_an_error_by_name_and_the_process_lives(sampler: Sampler) -> None:
    with pytest.raises(EngineError, match="ValueError"):
        asked(sampler, spaces={})
    assert asked(sampler)["skeleton"] in SPACES


def proposals(sampler: Sampler, evidence: Study, total: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number in range(total):
        made.append(evidence.proposal(sampler, number, total, 100 + number, [p["skeleton"] for p in made]))
    return made


@pytest.mark.parametrize("total", [1, 3, 6])
def test_few_presets_first_and_a_third_is_none(sampler: Sampler, total: int) -> None:
    evidence = Study("math/performance", CHOICES, (), REGISTRY)
    chosen = [CHOICES[p["skeleton"]] for p in proposals(sampler, evidence, total)]
    assert sum(s.preset is None for s in chosen[min(ENQUEUED, total // 3) :]) >= min(-(-total // 3), total - 1)
    assert chosen[0].preset == "rft"
    assert all(len(s.recipe.stage) == 1 for s in chosen[: min(ENQUEUED, max(1, total // 3))])


def test_the_best_record_comes_first(sampler: Sampler) -> None:
    star = next(s for s in CHOICES.values() if s.preset == "star")
    evidence = Study("x", CHOICES, (row(star.id, 0.2), row(next(iter(CHOICES)), -0.3)), REGISTRY)
    assert evidence.ranked_presets()[0].preset == "star"
    assert evidence.proposal(sampler, 0, 6, 1, [])["skeleton"] == star.id


def test_after_the_presets_the_best_known_recipe_is_tried_with_one_module_less(sampler: Sampler) -> None:
    by_preset = {s.preset: s for s in CHOICES.values() if s.preset}
    rows: list[dict[str, Any]] = []
    less: set[str] = set()
    while True:
        evidence = Study("x", CHOICES, tuple(rows), REGISTRY)
        made = evidence.proposal(sampler, ENQUEUED, 6, 5, [])
        if not evidence.ablations():
            break
        one = CHOICES[made["skeleton"]]
        assert Counter(one.recipe.modules) < Counter(by_preset["rft"].recipe.modules)
        assert len(one.recipe.modules) == len(by_preset["rft"].recipe.modules) - 1
        less |= set(by_preset["rft"].recipe.modules) - set(one.recipe.modules)
        rows.append(row(one.id, -0.2))
    assert {"tasks.pool_sampling", "refinement.diversity_filter"} <= less
    known = (row(by_preset["grpo"].id, 0.4), row(by_preset["rft"].id, 0.1))
    other = Study("x", CHOICES, known, REGISTRY).proposal(sampler, ENQUEUED, 6, 5, [])
    assert Counter(CHOICES[other["skeleton"]].recipe.modules) < Counter(by_preset["grpo"].recipe.modules)


def untried_shorter(id_: str, tried: set[str]) -> list[str]:
    """Return what has one module less than this skeleton, in stages alike."""
    whole = CHOICES[id_].recipe
    rest = [s for s in CHOICES.values() if s.preset is None and s.id not in tried]
    alike = [
        s for s in rest if [(t.rounds, t.start) for t in s.recipe.stage] == [(t.rounds, t.start) for t in whole.stage]
    ]
    fewer = [(s.id, Counter(whole.modules) - Counter(s.recipe.modules), s.recipe.modules) for s in alike]
    return sorted(id_ for id_, gone, left in fewer if gone.total() == 1 and len(left) == len(whole.modules) - 1)


def test_where_the_best_known_recipe_has_nothing_to_leave_out_the_next_best_is_shortened() -> None:
    rft = next(s.id for s in CHOICES.values() if s.preset == "rft")
    rows = [row(rft, 0.1)]
    while shorter := Study("x", CHOICES, tuple(rows), REGISTRY).ablations():
        rows.append(row(shorter[0], 0.5))  # the best known from here on
    tried = {entry["params"]["skeleton"] for entry in rows}
    assert len(tried) > 3
    assert [untried_shorter(id_, tried) for id_ in tried] == [[]] * len(tried)


def test_what_lost_is_not_shortened() -> None:
    rft = next(s.id for s in CHOICES.values() if s.preset == "rft")
    evidence = Study("x", CHOICES, (row(rft, -0.1),), REGISTRY)
    assert evidence.ranked_presets()[0].preset == "star"  # untried, and with nothing to leave out
    assert evidence.ablations() == []
    presets = [s.id for s in evidence.ranked_presets()]
    assert Study("x", CHOICES, tuple(row(id_, -0.1) for id_ in presets), REGISTRY).ablations() == []
    won = (*(row(id_, -0.1) for id_ in presets), row(rft, 0.3))
    assert Study("x", CHOICES, won, REGISTRY).ablations() == untried_shorter(rft, set())


def test_a_module_that_the_operator_added_is_tried_in_the_first_search_of_a_study(
    tmp_path: Path, sampler: Sampler
) -> None:
    source = (OURS / "refinement" / "metric_filter.py").read_text()
    (tmp_path / "modules" / "refinement").mkdir(parents=True)
    (tmp_path / "modules" / "refinement" / "mine.py").write_text(source.replace("metric_filter", "mine"))
    registry = Registry(tmp_path)
    choices = skeletons(registry)
    rft = next(s.id for s in choices.values() if s.preset == "rft")
    evidence = Study("x", choices, (row(rft, 0.3),), registry)
    made = evidence.proposal(sampler, ENQUEUED, 6, 5, [])
    assert "refinement.mine" in choices[made["skeleton"]].recipe.modules
    assert len({len(choices[id_].recipe.modules) for id_ in evidence.newcomers()}) == 1
    again = Study("x", choices, (*evidence.rows, row(made["skeleton"], -0.2)), registry)
    assert again.newcomers() == []
    assert again.proposal(sampler, ENQUEUED, 6, 5, [])["skeleton"] in again.ablations()
    assert Study("x", CHOICES, (), REGISTRY).newcomers() == []


def test_a_study_is_the_newest_rows_of_earlier_cycles_without_what_failed_twice(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "metaevo.db", create=True)
    ids = list(CHOICES)

    def trial(cycle: int, number: int, **facts: Any) -> TrialRow:
        common = {"study": "x", "recipe": "r", "fidelity": 1.0, "constraints": {}, "params": {"skeleton": ids[0]}}
        made: dict[str, Any] = common | {"score": 0.1} | facts
        return TrialRow(cycle=cycle, number=number, skeleton=made["params"]["skeleton"], **made)

    with ledger.write() as session:
        session.add_all([trial(1, i) for i in range(WINDOW + 5)])
        session.add_all([trial(2, i, params={"skeleton": ids[1]}, failure="ModuleFailed", score=None) for i in (1, 2)])
        session.add(trial(2, 3, params={"skeleton": ids[2]}, failure="ModuleFailed", score=None))
        session.add_all([trial(2, 9, study="another"), trial(3, 1, score=0.7)])
    found = study(ledger, "x", CHOICES, REGISTRY, before=3)
    assert len(found.rows) == WINDOW
    assert found.rows[-1]["params"] == {"skeleton": ids[2]}
    assert set(found.choices) == set(CHOICES) - {ids[1]}
    assert len(study(ledger, "x", CHOICES, REGISTRY, before=4).rows) == WINDOW
    assert study(ledger, "x", CHOICES, REGISTRY, before=4).rows[-1]["score"] == 0.7
    assert study(ledger, "unknown", CHOICES, REGISTRY, before=9).rows == ()


def test_within_noise_the_shorter_recipe_wins() -> None:
    scores = [(0.30, 9, 1), (0.28, 5, 2), (0.27, 5, 3), (0.10, 2, 4)]
    assert shorter_within_noise(scores, 0.05) == 2
    assert shorter_within_noise(scores, 0.0) == 1
    assert shorter_within_noise(scores, 1.0) == 4


def test_a_random_final_is_drawn_from_its_own_stream() -> None:
    drawn = [draw_at_random(seed, [3, 5, 8]) for seed in range(30)]
    assert set(drawn) == {3, 5, 8}
    assert drawn == [draw_at_random(seed, [3, 5, 8]) for seed in range(30)]
    assert draw_at_random(1, []) is None
