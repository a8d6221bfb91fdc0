"""Splits: every text has exactly one, shares are as said, white space and Unicode forms do not matter."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives import splits
from objectives.splits import NEWEST, SHARES, Scheme, canonical, folded, only, share, split_of, task_id
from objectives.types import Message, Split

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

TEXTS = [f"add {i}+{7 * i}" for i in range(20_000)]


def said(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


@given(st.text(), st.text(max_size=20))
def test_every_text_belongs_to_exactly_one_split(text: str, environment: str) -> None:
    for scheme in Scheme:
        homes = [split for split in Split if only(split, environment, [text], scheme)]
        assert homes == [scheme.split(environment, text)]


@pytest.mark.parametrize("scheme", Scheme)
def test_shares_cover_everything_and_hold_in_numbers(scheme: Scheme) -> None:
    assert {split for split, _ in SHARES} == set(Split)
    assert sum(share(split) for split in Split) == pytest.approx(1.0)
    counts = Counter(scheme.split("addition", text) for text in TEXTS)
    for split in Split:
        expected = share(split) * len(TEXTS)
        assert abs(counts[split] - expected) < 4 * (expected * (1 - share(split))) ** 0.5, split


def test_only_keeps_the_order_and_partitions() -> None:
    parts = {split: only(split, "addition", TEXTS[:500]) for split in Split}
    assert sorted(text for part in parts.values() for text in part) == sorted(TEXTS[:500])
    assert parts[Split.TRAIN] == [text for text in TEXTS[:500] if NEWEST.split("addition", text) is Split.TRAIN]


@given(st.text(), st.sampled_from([" ", "\t", "\n", "\u00a0", "\u2003", "\r\n  "]))
def test_white_space_does_not_make_another_task(text: str, space: str) -> None:
    loose = said(space + space.join(text.split()) + space)
    assert canonical(loose) == canonical(said(text))


@given(st.text(), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_unicode_forms_do_not_make_another_task(text: str, form: str) -> None:
    assert canonical(said(unicodedata.normalize(form, text))) == canonical(said(text))


@given(st.text())
def test_canonical_text_is_a_fixed_point(text: str) -> None:
    once = canonical(said(text))
    assert canonical(said(once)) == once
    assert task_id("e", once) == task_id("e", canonical(said(once)))


@given(st.text(min_size=1), st.text(), st.text())
def test_the_system_turn_is_no_part_of_the_task(text: str, system: str, other: str) -> None:
    one, two = Message("system", system), Message("system", other)
    assert canonical((one, *said(text))) == canonical((two, *said(text))) == canonical(said(text))


def test_earlier_turns_are_part_of_the_task() -> None:
    asked, again = said("and now?"), (Message("user", "5"), Message("assistant", "6"), *said("and now?"))
    assert canonical(asked) != canonical(again)


def test_split_and_id_do_not_change_between_versions_of_the_code() -> None:
    """An exam item of an old home must stay an exam item: these values are written down for good."""
    found = [split_of("addition", f"add {i}+{i}").value for i in range(8)]
    assert found == ["gate", "gate", "train", "gate", "train", "train", "train", "vault"]
    assert task_id("addition", "add 1+1") == "t04fd19630a1492ea"


def test_the_newest_schemes_values_are_written_down_too() -> None:
    found = [Scheme.TEXT.split("any", f"add {i}+{i}").value for i in range(8)]
    assert found == ["gate", "train", "train", "anchor", "train", "train", "train", "train"]
    assert [Scheme.TEXT.seed(7, i) for i in range(2)] == [154861227856703, 199692408765545]


@given(st.text(), st.text(max_size=9), st.text(max_size=9))
def test_a_text_is_in_one_split_whatever_environment_asks_it(text: str, one: str, other: str) -> None:
    assert NEWEST.split(one, text) is NEWEST.split(other, text)


HIDDEN = "\u200b\u200d\u2060\ufeff\u00ad\ufe0f\u034f\u202e\U000e0041"


@given(st.text(), st.sampled_from(HIDDEN), st.sampled_from([" ", "\t", "\u00a0", "\n"]), st.integers(0, 50))
def test_case_spacing_and_what_nobody_sees_move_no_text_to_another_split(
    text: str, unseen: str, space: str, at: int
) -> None:
    for other in (f"{text[:at]}{unseen}{text[at:]}", f"{space}{text}{space}", text.casefold()):
        assert folded(other) == folded(text)
        assert NEWEST.split("e", other) is NEWEST.split("e", text)
    assert folded("STRASSE\u200b  1") == folded("stra\u00dfe1")


def test_a_visible_difference_is_another_text() -> None:
    assert len({folded(text) for text in ("add 1+2", "add 1-2", "add 12", "e\u0301", "e", "\u4e00")}) == 6


def test_every_item_has_a_seed_of_its_own_and_old_homes_keep_theirs() -> None:
    assert len({Scheme.TEXT.seed(stream, index) for stream in range(50) for index in range(50)}) == 2500
    assert [Scheme.NAMED.seed(9, index) for index in range(3)] == [9, 9, 9]


def test_split_depends_on_a_key_and_on_the_environment() -> None:
    assert splits.KEY == b"metaevo splits 1"
    same = sum(split_of("addition", text) is split_of("sorting", text) for text in TEXTS[:4000])
    independent = 4000 * sum(share(split) ** 2 for split in Split)
    assert abs(same - independent) < 4 * independent**0.5


def test_environment_and_text_cannot_be_mixed_up() -> None:
    assert task_id("ab", "c") != task_id("a", "bc")
