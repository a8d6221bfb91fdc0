"""Durations and sizes as people write them; everything else is refused with an example."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config.units import BYTES, SECONDS, bytes_of, seconds_of, shown_s


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("90s", 90),
        ("9min", 540),
        ("2h", 7200),
        ("30d", 2_592_000),
        ("1w", 604_800),
        ("1.5h", 5400),
        (" 2 h ", 7200),
        (90, 90),
        (0.25, 0.25),
    ],
)
def test_durations(said: object, seconds: float) -> None:
    assert seconds_of(said) == seconds


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("400GiB", 400 * 2**30),
        ("500MiB", 500 * 2**20),
        ("1.5KiB", 1536),
        ("2GB", 2 * 10**9),
        ("7B", 7),
        ("1TiB", 2**40),
        (1024, 1024),
    ],
)
def test_sizes(said: object, size: int) -> None:
    assert bytes_of(said) == size
    assert isinstance(bytes_of(said), int)


WRONG = ["", "soon", "9 minutes", "-1h", "1e3s", "h", "1h30min", "0s", "1,5h", "9" * 400 + "d", "1 000s", "５ ms"]


@pytest.mark.parametrize("said", [*WRONG, "2H", "1M", 0, -1, True, None, [1], {}, math.nan, math.inf, 4e9])
def test_what_is_no_duration_is_refused_with_an_example(said: object) -> None:
    with pytest.raises(ValueError, match=r"^want a duration like 90s, 9min, 2h or 30d$"):
        seconds_of(said)


@pytest.mark.parametrize("said", [*WRONG, "1gib", "1 MB/s", "5 GIB", 0, -5, False, None, math.nan, math.inf, 2**61])
def test_what_is_no_size_is_refused_with_an_example(said: object) -> None:
    with pytest.raises(ValueError, match=r"^want a size like 500MiB or 400GiB$"):
        bytes_of(said)


@given(st.integers(1, 5000), st.sampled_from(sorted(SECONDS)))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert seconds_of(f"{number}{unit}") == number * SECONDS[unit]


@given(st.integers(1, 100_000), st.sampled_from(sorted(BYTES)))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    assert bytes_of(f"{number} {unit}") == number * BYTES[unit]


@given(st.text(max_size=12) | st.floats() | st.integers())
def test_anything_is_a_positive_number_or_refused(said: object) -> None:
    for read, most in ((seconds_of, 3_153_600_000), (bytes_of, 2**60)):
        found, refusal = 1.0, "want a "
        try:
            found = read(said)
        except ValueError as error:
            refusal = str(error)
        assert 0 <= found <= most
        assert refusal.startswith("want a ")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (540, "9 min"), (5399, "90 min"), (5400, "1.5 h"), (86400, "24.0 h")],
)
def test_durations_as_a_person_reads_them(seconds: float, said: str) -> None:
    assert shown_s(seconds) == said
