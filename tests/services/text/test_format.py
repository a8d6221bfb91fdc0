"""Numbers and the gate's reasons as people read them: plain, one line, every number in them."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.text.format import WORDS, bounded, per_cent, points, reason_words, signed, thousands

LINE = {"what": "math", "mean": -0.031, "low": -0.05, "high": -0.012, "limit": -0.02, "n": 1596, "against": "parent"}
NUMBERS: dict[str, dict[str, Any]] = {
    "screen failed": {"mean": 0.004, "low": -0.01, "high": 0.02, "n": 240, "bar": 0.015},
    "ability harmed": LINE,
    "cell harmed": {"cell": "addition/3", "p": 0.00012},
    "needs more items": {"mean": 0.021, "n": 1500, "needed": 2400, "limit": 1500},
    "gain proven": {"mean": 0.094, "n": 483},
    "awaits approval": {"pinned": False, "approval": True},
}
SAID = {
    "screen failed": "screen failed: +0.4 on 240 items, +1.5 needed.",
    "ability harmed": "ability harmed: math −3.1 (−5.0…−1.2, limit −2.0, n 1596) against parent.",
    "cell harmed": "cell harmed: addition/3, p 0.00012 after Holm correction.",
    "needs more items": "needs more items: +2.1 after 1,500 items, about 2,400 more items, limit 1,500.",
    "gain proven": "gain proven: +9.4 on 483 items.",
    "awaits approval": "awaits approval: a person must approve.",
}


@pytest.mark.parametrize("code", WORDS)
def test_every_reason_of_the_closed_list_is_one_plain_sentence(code: str) -> None:
    assert reason_words({"code": code, "numbers": NUMBERS[code]}) == SAID[code]


def test_the_list_of_reasons_is_the_design_s() -> None:
    assert set(WORDS) == set(NUMBERS) == set(SAID)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (LINE | {"needed": 4000}, "math −3.1 (−5.0…−1.2, limit −2.0, n 1596) against parent; about 4,000 items would"),
        (LINE, "needs more items: math −3.1 (−5.0…−1.2, limit −2.0, n 1596) against parent."),
        (
            {"mean": 0.0, "n": 256, "needed": None, "limit": 1500},
            "+0.0 after 256 items, no gain in sight, limit 1,500.",
        ),
        (
            {"mean": 0.01, "n": 64, "needed": 3793, "limit": 1500, "left": 0},
            "+1.0 after 64 items, about 3,793 more items, and no item is left: the hold ends, limit 1,500.",
        ),
        (
            {"mean": 0.01, "n": 1, "needed": 1, "limit": 1500, "left": 5},
            "+1.0 after 1 item, about 1 more item, limit 1,500.",
        ),
        (LINE | {"needed": 400, "left": 1}, "about 400 items would settle it, and 1 item is left: the hold ends."),
        (LINE | {"needed": None, "left": 0}, "against parent; it is not settled, and no item is left: the hold ends."),
        (LINE | {"needed": 40, "left": None}, "against parent; about 40 items would settle it."),
    ],
)
def test_more_items_are_needed_for_a_gain_or_for_a_protection(numbers: dict[str, Any], said: str) -> None:
    assert said in reason_words({"code": "needs more items", "numbers": numbers})


def test_a_pin_is_told_apart_from_the_mode() -> None:
    assert reason_words({"code": "awaits approval", "numbers": {"pinned": True}}).endswith("the champion is pinned.")


def test_a_guard_says_its_own_numbers() -> None:
    numbers = {"ok": False, "ratio": 1.23456, "limit": 1.1}
    assert (
        reason_words({"code": "guard answer_tokens", "numbers": numbers})
        == "guard answer_tokens: ok False, ratio 1.23, limit 1.1."
    )


@pytest.mark.parametrize(
    ("share", "said"), [(0.094, "+9.4"), (-0.004, "−0.4"), (0.0, "+0.0"), (None, "not measured"), (-1.0, "−100.0")]
)
def test_differences_have_a_sign_and_one_decimal(share: float | None, said: str) -> None:
    assert signed(share) == said


def test_sizes_of_numbers() -> None:
    assert (points(-0.031), per_cent(0.614)) == ("3.1 points", "61 %")
    assert [thousands(n) for n in (0, 999.6, 2310, 10**9, 3.2e14)] == ["0", "1,000", "2,310", "1.0e+09", "3.2e+14"]
    assert bounded(LINE) == "−3.1 (−5.0…−1.2, limit −2.0, n 1596)"


@given(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0), st.integers(0, 10**7), st.sampled_from(sorted(WORDS)))
def test_any_numbers_give_one_line_without_adjectives(mean: float, bound: float, n: int, code: str) -> None:
    numbers = {"mean": mean, "low": bound, "high": bound, "limit": bound, "bar": bound, "n": n, "against": "reference"}
    numbers |= {"what": "math", "cell": "sorting/2", "p": abs(bound), "needed": n, "pinned": n % 2 == 0}
    said = reason_words({"code": code, "numbers": numbers})
    assert re.fullmatch(rf"{code}: [^\n]+\.", said)
    assert not {"great", "good", "bad", "huge", "significant", "impressive"} & set(re.findall(r"[a-z]+", said))
    assert "-" not in said.replace("e-", "")
