"""Every knob does something: moved alone it changes its module's result, or a test of its own shows what it does."""

import pytest

from tests.architecture.knobs import TESTS, every_knob, moves, ours, shown

SHOWN = shown()
MODULES = {f"{module.slot}.{module.name}": module for module in ours()}


@pytest.mark.parametrize("knob", every_knob())
def test_a_knob_has_an_effect_test(knob: str) -> None:
    module, _, name = knob.rpartition(".")
    if knob not in SHOWN:
        said = f"{knob} changes nothing; remove it, or show what it does in {TESTS[0].name}"
        assert moves(MODULES[module], name), said


def test_tests_of_knobs_name_knobs_that_exist() -> None:
    assert set(every_knob()) >= SHOWN


def test_the_probe_sees_a_knob_that_does_nothing() -> None:
    assert moves(MODULES["refinement.diversity_filter"], "tau")
    assert not moves(MODULES["feedback.self_critique"], "temperature")
