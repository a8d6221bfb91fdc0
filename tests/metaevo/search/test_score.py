"""What a trial is worth: gain on the objective, less what others lose beyond noise; likely large losses exclude."""

from collections.abc import Mapping, Sequence

import pytest

from metaevo.search.score import PARENT, REFERENCE, SHARE, Changes, measure_changes, score_trial
from metaevo.types import Trial
from objectives.types import Cell, Direction, Environment, Outcome, Report, Split

AIM, KEPT, OTHER = Cell("sums", 1), Cell("words", 1), Cell("games", 1)
ENVIRONMENTS = {
    name: Environment(name, ability, Direction.PERFORMANCE, (1,), {1: None}, 1.0, 2.0, "v")
    for name, ability in (("sums", "math"), ("words", "language"), ("games", "planning"))
}
MADE = Trial(1, "recipe", 1.0, None, tokens=100)


def report(scores: Mapping[Cell, Sequence[float | None]]) -> Report:
    rows = [(cell, i, score) for cell, values in scores.items() for i, score in enumerate(values)]
    return Report("g", Split.DEV, tuple(Outcome(f"{cell}#{i}", cell, score, 1) for cell, i, score in rows))


def aimed(n: int) -> frozenset[str]:
    return frozenset(f"{AIM}#{i}" for i in range(n))


def by(gain: float, lost: float, n: int = 400) -> Changes:
    """Return changes of exactly this mean on the aim and in one other ability, most items unchanged."""

    def values(mean: float) -> list[float]:
        moved = round(abs(mean) * n)
        return [1.0 if mean > 0 else -1.0] * moved + [0.0] * (n - moved)

    return Changes({AIM: values(gain)}, {("language", PARENT): {KEPT: values(-lost)}})


def test_items_are_compared_by_cell_and_ability_and_unsaid_ones_left_out() -> None:
    new = report({AIM: [1, 1, None], KEPT: [0, 1], OTHER: [1]})
    old = report({AIM: [0, 1, 1], KEPT: [1, None], OTHER: [1]})
    found = measure_changes(ENVIRONMENTS, aimed(3), new, {PARENT: old})
    assert found.aimed == {AIM: [1, 0]}
    assert found.kept == {("language", PARENT): {KEPT: [-1]}, ("planning", PARENT): {OTHER: [0]}}


def test_the_objective_is_compared_with_the_parent_only_and_the_rest_with_the_reference_too() -> None:
    new, parent, reference = (report({AIM: [a], KEPT: [b]}) for a, b in ((1, 0), (0, 0), (0, 1)))
    found = measure_changes(ENVIRONMENTS, aimed(1), new, {PARENT: parent, REFERENCE: reference})
    assert found.aimed == {AIM: [1]}
    assert found.kept == {("language", PARENT): {KEPT: [0]}, ("language", REFERENCE): {KEPT: [-1]}}


def test_a_gain_without_a_loss_is_the_score() -> None:
    found = score_trial(MADE, by(0.1, 0.0), 0.05, None)
    assert found.score == pytest.approx(0.1)
    assert set(found.constraints) == {"kept language"}
    assert found.constraints["kept language"] <= 0


def test_a_gain_elsewhere_adds_nothing() -> None:
    assert score_trial(MADE, by(0.1, -0.2), 0.05, None).score == pytest.approx(0.1)


def test_the_more_is_lost_the_less_a_trial_is_worth() -> None:
    scores = [score_trial(MADE, by(0.2, lost), 0.05, None).score or 0.0 for lost in (0.0, 0.05, 0.1, 0.2)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[2] > scores[3]


def test_a_likely_loss_beyond_the_share_of_the_margin_excludes_and_a_doubtful_one_does_not() -> None:
    assert score_trial(MADE, by(0.2, 0.2), 0.05, None).constraints["kept language"] > 0
    assert score_trial(MADE, by(0.2, 0.2), 0.5, None).constraints["kept language"] < 0
    few = Changes({AIM: [1.0]}, {("language", PARENT): {KEPT: [-1.0, 0.0, 0.0, 1.0, 0.0, -1.0]}})
    assert score_trial(MADE, few, 0.05, None).constraints["kept language"] < 0
    assert 0 < SHARE < 1


def test_the_worse_of_parent_and_reference_counts_once() -> None:
    bad, fine = by(0.2, 0.2).kept["language", PARENT], by(0.2, 0.0).kept["language", PARENT]
    aim = by(0.2, 0.0).aimed
    one = score_trial(MADE, Changes(aim, {("language", PARENT): bad}), 0.05, None)
    for first, second in ((bad, fine), (fine, bad), (bad, bad)):
        both = Changes(aim, {("language", PARENT): first, ("language", REFERENCE): second})
        found = score_trial(MADE, both, 0.05, None)
        assert (found.score, found.constraints) == (one.score, one.constraints)


def test_tokens_over_the_limit_exclude() -> None:
    assert score_trial(MADE, by(0.1, 0.0), 0.05, 80).constraints["cost"] == pytest.approx(0.25)
    assert score_trial(MADE, by(0.1, 0.0), 0.05, 100).constraints["cost"] == 0
