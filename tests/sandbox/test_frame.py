"""Frames and strict JSON: what is not plain, finite, bounded data is refused before anybody uses it."""

import hashlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import frame
from sandbox.errors import BadKernel
from sandbox.types import Shape

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value: object) -> None:
    assert frame.parse(json.dumps(value).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    "raw",
    [
        b"NaN", b"Infinity", b"-Infinity", b"1e400", b"[1e999]", b"9" * 5000, b"9223372036854775808",
        b'{"a":1,"a":2}', b"\xff", b'"\\ud800"', b'["\\udfff"]', b"[" * 100_000 + b"]" * 100_000, b"[1", b"", b"1 2",
        b"'a'", b"\xef\xbb\xbf1",
    ],
)  # fmt: skip
def test_what_is_no_strict_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(frame.Malformed):
        frame.parse(raw)


def test_brackets_inside_texts_nest_nothing() -> None:
    assert frame.parse(json.dumps(["[" * 500 + '"' + "\\"]).encode()) == ["[" * 500 + '"' + "\\"]


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        (Shape.TRUTH, [True, False], [1, 0, None, "True"]),
        (Shape.NUMBER, [1, 0.5, -3], [True, "0.9", None, [1]]),
        (Shape.INDICES, [[], [0, 2]], [[True], [0.5], "01", {}]),
        (Shape.TEXTS, [[], ["a"]], ["a", [1], [None]]),
        (Shape.OBJECT, [{}, {"a": 1}], [[], None, "x"]),
        (Shape.ANY, [None, 1, "x", [], {}], []),
    ],
)
def test_each_shape_takes_its_own_values_and_no_other(shape: Shape, good: list[object], bad: list[object]) -> None:
    for value in good:
        assert frame.values(json.dumps([value]).encode(), 1, shape) == (value,)
    for value in bad:
        with pytest.raises(frame.Malformed):
            frame.values(json.dumps([value]).encode(), 1, shape)


@pytest.mark.parametrize("raw", [b"[]", b"[1,2]", b"{}", b"1", b"null"])
def test_the_number_of_values_is_the_number_of_rows(raw: bytes) -> None:
    with pytest.raises(frame.Malformed):
        frame.values(raw, 1, Shape.ANY)


def test_a_request_is_a_length_and_that_many_bytes() -> None:
    packed = frame.pack([[1, "é"]], 100, "rows")
    assert int.from_bytes(packed[:4], "big") == len(packed) - 4
    assert json.loads(packed[4:]) == [[1, "é"]]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object(), b"x", "x" * 200])
def test_a_request_that_is_no_json_or_too_long_is_the_callers_error(value: object) -> None:
    with pytest.raises(BadKernel, match="rows"):
        frame.pack([value], 100, "rows")


def test_only_the_key_of_the_call_seals() -> None:
    key, head = b"k" * 32, frame.HEAD.pack(b"R", 7, True, 2)
    tag = hashlib.blake2s(head + b"\xffl[1]", key=key).digest()
    assert frame.opened(key, tag, head + b"\xffl[1]") == (frame.Head("returned", 7, True, b"\xffl"), b"[1]")
    for wrong in (
        (b"l" * 32, tag, head + b"\xffl[1]"),
        (key, tag, head + b"\xffl[2]"),
        (key, tag, frame.HEAD.pack(b"E", 7, True, 2) + b"\xffl[1]"),
        (key, b"x" * 32, head + b"\xffl[1]"),
    ):
        with pytest.raises(frame.Malformed):
            frame.opened(*wrong)


@pytest.mark.parametrize("said", [b"", b"R", frame.HEAD.pack(b"?", 0, False, 1 << 31)])
def test_what_is_sealed_and_yet_no_reply_is_malformed_or_unknown(said: bytes) -> None:
    tag = hashlib.blake2s(said, key=b"k" * 32).digest()
    if len(said) < frame.HEAD.size:
        with pytest.raises(frame.Malformed):
            frame.opened(b"k" * 32, tag, said)
    else:
        assert frame.opened(b"k" * 32, tag, said) == (frame.Head("unknown"), b"")


@given(st.text() | st.binary())
def test_what_people_see_is_short_and_has_no_control_characters(text: str | bytes) -> None:
    said = frame.shown(text, 50)
    assert len(said) <= 50
    assert all(c in "\n\t" or ord(c) >= 32 for c in said)
    assert not {"\u202e", "\x1b", "\x7f"} & set(said)
    said.encode("utf-8")


@pytest.mark.parametrize(
    "raw", [b"[" + b"[1]," * 1_000_000 + b"1]", b"[" * 2_000_000, b'["' + b'\\"[' * 1_000_000 + b'"]']
)
def test_a_reply_of_megabytes_costs_one_promised_bool_nothing(raw: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(frame.Malformed):
        frame.values(raw, 1, Shape.TRUTH)
    assert time.process_time() - begun < 0.1
    frame._deep(raw)
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("depth", [64, 65])
def test_depth_is_counted_over_lists_and_objects_alike(depth: int) -> None:
    raw = b"".join(b'{"[":' if level % 2 else b"[" for level in range(depth)) + b"1"
    raw += b"".join(b"}" if level % 2 else b"]" for level in reversed(range(depth)))
    assert frame._deep(raw) == (depth > 64)
