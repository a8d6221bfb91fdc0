"""Fingerprints: the same value gives the same digits in every process, or an error."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.recipes.schema import Step
from metaevo.types import Generation, TrainSpec

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), plain, min_size=1), st.randoms())
def test_the_order_of_keys_is_no_difference(value: dict[str, Any], rng: Any) -> None:
    keys = list(value)
    rng.shuffle(keys)
    assert fingerprint({key: value[key] for key in keys}) == fingerprint(value)


@given(plain, plain)
def test_equal_values_and_only_equal_values_have_equal_fingerprints(one: Any, two: Any) -> None:
    assert (fingerprint(one) == fingerprint(two)) == (repr_of(one) == repr_of(two))


def repr_of(value: Any) -> Any:
    """Return a value's identity: its kind, and its parts without an order of keys."""
    if isinstance(value, dict):
        return ("{}", tuple(sorted((key, repr_of(part)) for key, part in value.items())))
    if isinstance(value, list):
        return ("[]", tuple(repr_of(part) for part in value))
    return (type(value).__name__, repr(value))


def test_parts_are_not_run_together() -> None:
    assert len({fingerprint("ab", "c"), fingerprint("a", "bc"), fingerprint("abc"), fingerprint(["ab", "c"])}) == 4


def test_records_and_models_are_their_fields() -> None:
    step, same = Step(use="x", knobs={"n": 1}), Step(use="x", knobs={"n": 1})
    assert fingerprint(step, TrainSpec()) == fingerprint(same, TrainSpec())
    one = Generation("g000001", "g000000", {"policy": "p"})
    other = Generation("g000001", "g000000", {"policy": "q"})
    assert fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one)) == 16


@dataclass
class Odd:
    """Holds something without a canonical form."""

    thing: object


@pytest.mark.parametrize("value", [object(), Odd(object()), lambda: 1, [object()]])
def test_what_has_no_canonical_form_is_an_error(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        fingerprint(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("-inf")]])
def test_numbers_that_are_none_have_no_canonical_form(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        fingerprint(value)


def in_another_process(expression: str, seed: int) -> str:
    code = f"from metaevo.artifacts.fingerprint import fingerprint; print(fingerprint({expression}))"
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    return done.stdout.strip() or "error"


def test_another_process_gives_the_same_digits() -> None:
    expression = "{'b': [1, 2.5, None, 'ü'], 'a': {'x': True}}, ('t', 1)"
    assert in_another_process(expression, 1) == fingerprint({"b": [1, 2.5, None, "ü"], "a": {"x": True}}, ("t", 1))


def test_a_set_has_one_fingerprint_or_none() -> None:
    found = {in_another_process("{'alpha', 'beta', 'gamma', 'delta', 'epsilon'}", seed) for seed in (1, 2, 3)}
    assert len(found) == 1
