"""What a module gives back is looked at before it is a step's result: NaN or an infinity is the module's failure."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaevo import testing
from metaevo.effects import Policy
from metaevo.errors import ModuleFailed
from metaevo.registry.slots import Module, read
from metaevo.runtime.step_runner import call, identify
from metaevo.types import Experience, Experiences, Feedback

ROWS = tuple(testing.experience(text, 1.0) for text in ("1", "2"))


def module(call: Any) -> Module:
    return read("refinement", call.__name__, call, Path(__file__), "d")


def given(made: Any) -> Module:
    def giving(rows: Experiences) -> Experiences:
        return made  # type: ignore[no-any-return]

    return module(giving)


def row(**changes: Any) -> Experience:
    return replace(ROWS[0], **changes)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["score", "weight", "feedback"])
def test_a_number_that_is_none_is_the_module_s_failure_by_name(name: str, value: float) -> None:
    made = row(feedback=(Feedback(value),)) if name == "feedback" else row(**{name: value})
    with pytest.raises(ModuleFailed, match=r"refinement\.giving gave a result with no canonical form"):
        identify(given(()), (ROWS[1], made))


@pytest.mark.parametrize("made", [(), ROWS, (row(score=None),), (row(weight=0.0, tags=("a",)),)])
def test_whatever_is_lawful_comes_through_as_it_is(made: Experiences) -> None:
    found = identify(given(made), call(given(made), ROWS, {}, {}))
    assert found is made


def test_what_a_module_raises_has_its_name_and_its_own_words() -> None:
    def failing(rows: Experiences, *, policy: Policy) -> Experiences:
        raise KeyError("hole")

    with pytest.raises(ModuleFailed, match=r"refinement\.failing failed: KeyError: 'hole'"):
        call(module(failing), ROWS, {"policy": None}, {})
