"""The archive keeps the best of each kind, size and behaviour, forgives no luck, and is the same in any order."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.errors import BadInput
from metaevo.kernels import CONTRACTS
from metaevo.synthesis import grammar, samples, tree
from metaevo.synthesis.archive import BINS, Candidate, Elite, KernelArchive
from metaevo.synthesis.proposals import Proposed, Request
from metaevo.synthesis.proposer import Grammar, candidate_of
from sandbox.types import Kernel

LINE = "def keep(row):\n    return row['level'] < {}\n"


def candidate(number: int, size: int = 20, kind: str = "keep") -> Candidate:
    return Candidate(kind, LINE.format(number), size, "grammar")


def only(archive: KernelArchive) -> Elite:
    (elite,) = archive.elites.values()
    return elite


def test_the_better_of_two_that_behave_alike_stays() -> None:
    archive = KernelArchive().tell(candidate(1), 0.2, (0.5, 0.5))
    assert only(archive.tell(candidate(2), 0.3, (0.55, 0.45))).candidate == candidate(2)
    assert only(archive.tell(candidate(2), 0.1, (0.55, 0.45))).candidate == candidate(1)
    assert only(archive).quality == 0.2, "telling changes no archive"


@pytest.mark.parametrize(
    ("other", "behaviour"),
    [
        (candidate(2, kind="weight"), (0.5, 0.5)),
        (candidate(2, size=64), (0.5, 0.5)),
        (candidate(2), (0.9, 0.5)),
        (candidate(2), (0.5, 0.1)),
    ],
)
def test_one_of_another_kind_size_or_behaviour_has_a_place_of_its_own(
    other: Candidate, behaviour: tuple[float, float]
) -> None:
    archive = KernelArchive().tell(candidate(1), 0.9, (0.5, 0.5)).tell(other, 0.1, behaviour)
    assert {elite.candidate for elite in archive.elites.values()} == {candidate(1), other}


def test_a_noisy_quality_counts_for_less() -> None:
    archive = KernelArchive().tell(candidate(1), 0.30, (0.5, 0.5), noise=0.01)
    assert only(archive.tell(candidate(2), 0.35, (0.5, 0.5), noise=0.1)).candidate == candidate(1)
    assert only(archive.tell(candidate(2), 0.35, (0.5, 0.5), noise=0.02)).candidate == candidate(2)


def test_a_lucky_kernel_measured_again_loses_its_luck_and_then_its_place() -> None:
    lucky = KernelArchive().tell(candidate(1), 0.9, (0.5, 0.5), noise=0.1)
    again = lucky.tell(candidate(1), 0.1, (0.5, 0.5), noise=0.1)
    assert only(again).quality == pytest.approx(0.5)
    assert only(again).noise == pytest.approx(0.1 / 2**0.5)
    assert only(again).n == 2
    assert only(lucky.tell(candidate(2), 0.6, (0.5, 0.5))).candidate == candidate(1)
    assert only(again.tell(candidate(2), 0.6, (0.5, 0.5))).candidate == candidate(2)


def test_of_equals_the_shorter_stays_and_of_those_the_smaller_id() -> None:
    short, long = candidate(1, 17), candidate(2, 30)
    assert short.size.bit_length() == long.size.bit_length()
    for first, second in ((short, long), (long, short)):
        assert only(KernelArchive().tell(first, 0.5, (0, 0)).tell(second, 0.5, (0, 0))).candidate == short
    pair = sorted((candidate(3), candidate(4)), key=lambda one: one.id)
    for first, second in (pair, pair[::-1]):
        assert only(KernelArchive().tell(first, 0.5, (0, 0)).tell(second, 0.5, (0, 0))).candidate == pair[0]


MEASURED = st.tuples(
    st.integers(0, 10**6), st.integers(1, 60), st.sampled_from(grammar.KINDS), st.floats(-1, 1), st.floats(0, 0.5)
)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(MEASURED, max_size=30, unique_by=lambda one: one[0]), st.randoms(use_true_random=False))
def test_the_order_of_telling_does_not_matter_and_rows_give_it_back(measured: list[Any], rng: Any) -> None:
    def told(rows: list[Any]) -> KernelArchive:
        archive = KernelArchive()
        for number, size, kind, quality, noise in rows:
            behaviour = (number % 7 / 7, number % 11 / 11)
            archive = archive.tell(candidate(number, size, kind), quality, behaviour, noise)
        return archive

    archive = told(measured)
    rows = json.loads(json.dumps(archive.rows()))
    rng.shuffle(measured)
    assert told(measured).rows() == archive.rows()
    assert KernelArchive.of(rows) == archive == KernelArchive.of(rows[::-1])
    assert json.loads(json.dumps(KernelArchive.of(rows).rows())) == rows


def test_parents_come_from_every_cell_of_their_kind_the_first_from_the_better_of_two() -> None:
    archive = KernelArchive()
    for at in range(BINS):
        archive = archive.tell(candidate(at), at / 10, (at / BINS + 0.1, 0.0))
    archive = archive.tell(candidate(99, kind="weight"), 0.9, (0.0, 0.0))
    rng, first, second = Random(1), [], []
    for _ in range(1000):
        pair = archive.ask(rng, "keep")
        assert len({elite.candidate.id for elite in pair}) == 2
        first.append(pair[0].quality)
        second.append(pair[1].quality)
    assert [round(first.count(quality), -2) for quality in (0.0, 0.1, 0.2, 0.3, 0.4)] == [0, 100, 200, 300, 400]
    assert all(150 < second.count(quality) < 250 for quality in (0.0, 0.1, 0.2, 0.3, 0.4))
    assert archive.ask(Random(5), "keep") == archive.ask(Random(5), "keep")
    assert archive.ask(rng, "order") == ()
    assert len(archive.ask(rng, "weight", 3)) == 1
    assert [elite.quality for elite in archive.best("keep", 2)] == [0.4, 0.3]


@pytest.mark.parametrize(
    ("quality", "noise", "behaviour"),
    [
        (float("nan"), 0.0, (0.5, 0.5)),
        (float("inf"), 0.0, (0.5, 0.5)),
        (0.5, -0.1, (0.5, 0.5)),
        (0.5, float("nan"), (0.5, 0.5)),
        (0.5, 0.0, (1.5, 0.5)),
        (0.5, 0.0, (float("nan"), 0.5)),
    ],
)
def test_what_is_no_measurement_is_refused(quality: float, noise: float, behaviour: tuple[float, float]) -> None:
    with pytest.raises(BadInput, match="want"):
        KernelArchive().tell(candidate(1), quality, behaviour, noise)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"quality": "high"},
        {"quality": None},
        {"candidate": None},
        {"behaviour": [2.0, 0.0]},
        {"candidate": {"kind": "delete", "source": "x", "size": 1, "by": "y"}},
        {"candidate": {"kind": "keep", "source": "x", "size": 1, "by": "y", "tree": ["keep", None, ["open", 1]]}},
    ],
)
def test_a_row_that_is_no_elite_is_named(spoilt: dict[str, Any]) -> None:
    row = KernelArchive().tell(candidate(1), 0.5, (0.5, 0.5)).rows()[0]
    with pytest.raises(BadInput) as caught:
        KernelArchive.of([row, row | spoilt])
    assert "\n" not in str(caught.value)


def test_a_candidate_is_named_by_what_it_does_and_is_a_kernel() -> None:
    one = candidate(3)
    assert one.id == Candidate("keep", one.source, 1, "endpoint", saw_rows=True).id != candidate(4).id
    assert one.id != candidate(3, kind="weight").id
    assert one.kernel == Kernel(one.source, "keep", CONTRACTS["keep"].returns)


def behaved(kind: str, function: Any) -> tuple[float, float]:
    calls = samples.fixed_calls(kind)
    return samples.describe(kind, calls, [function(*call) for call in calls])


def test_behaviour_says_what_a_kernel_did_on_the_fixed_rows() -> None:
    assert samples.fixed_calls("keep") == samples.fixed_calls("keep")
    assert behaved("keep", lambda row: True) == (1.0, 1.0)
    assert behaved("keep", lambda row: False) == (0.0, 0.0)
    share, good = behaved("keep", lambda row: (row["score"] or 0) >= 0.5)
    assert (0.2 < share < 0.7, good) == (True, 1.0)
    assert behaved("weight", lambda row: 4) == (1.0, 0.0)
    assert behaved("score", lambda prompt, completion: 0.25) == (0.25, 0.0)
    assert behaved("score", lambda prompt, completion: len(completion) / 200)[1] > 0.1
    assert behaved("order", lambda rows: sorted(range(len(rows)), key=lambda i: len(rows[i]["text"])))[1] > 0.9
    assert behaved("order", lambda rows: sorted(range(len(rows)), key=lambda i: rows[i]["score"] or 0))[0] > 0.9
    assert behaved("order", lambda rows: sorted(range(len(rows)), key=lambda i: -(rows[i]["score"] or 0)))[0] < 0.1
    assert behaved("choose", lambda cells: []) == (0.0, 0.0)
    best = behaved("choose", lambda cells: sorted(range(len(cells)), key=lambda i: -(cells[i]["score"] or 0))[:4])
    assert (best[0], best[1] > 0.8) == (1.0, True)
    assert behaved("rewrite", lambda task: {"prompt": task["prompt"]})[0] == 0.0
    assert behaved("rewrite", lambda task: {"prompt": task["prompt"] + "x"})[0] == 1.0


def test_grown_kernels_fill_many_cells() -> None:
    for kind in grammar.KINDS:
        rng, archive = Random(f"fill {kind}"), KernelArchive()
        calls = samples.fixed_calls(kind)
        for _ in range(60):
            one = grammar.grow(kind, rng)
            values = [tree.run(one, *call) for call in calls]
            archive = archive.tell(candidate_of(one), rng.random(), samples.describe(kind, calls, values))
        assert len(archive.elites) >= 6, kind


def searched(seed: int, fresh: float, tries: int = 400) -> float:
    """Return how well the best kernel found agrees (F1) with a planted rule on rows the descriptor never saw."""
    rng, archive, known = Random(seed), KernelArchive(), set[str]()
    calls, fixed = samples.arguments("keep", Random("planted"), 120), samples.fixed_calls("keep")
    wanted = [row["tokens"] > 40 or row["text"].startswith(row["prompt"][:1]) for (row,) in calls]
    for _ in range(tries):
        outcome = Grammar(fresh=fresh).propose(Request("keep", archive.ask(rng, "keep"), frozenset(known)), rng)
        assert isinstance(outcome, Proposed)
        known.add(outcome.candidate.id)
        one = tree.from_json(outcome.candidate.tree)
        given = [tree.run(one, *call) for call in calls]
        quality = 2 * sum(map(min, given, wanted)) / max(1, sum(given) + sum(wanted))
        behaviour = samples.describe("keep", fixed, [tree.run(one, *call) for call in fixed])
        archive = archive.tell(outcome.candidate, quality, behaviour)
    return archive.best("keep")[0].quality


@pytest.mark.full
def test_changing_and_crossing_elites_beats_growing_at_random_at_equal_cost() -> None:
    pairs = [(searched(seed, fresh=0.2), searched(seed, fresh=1.0)) for seed in range(6)]
    assert sum(bred - grown for bred, grown in pairs) / 6 > 0.02, pairs
