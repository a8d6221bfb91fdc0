"""Every hostile program shows its effect on a bare process: what a tier holds back is there to be held back."""

import os

import pytest

from tests.hostile.program import Program, on_a_bare_process
from tests.hostile.programs import PROGRAMS

NEED_ROOT = ("H32", "H33", "H35", "O26")
pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_the_program_shows_its_effect_on_a_bare_process(program: Program, given: dict[str, str]) -> None:
    if program.name.startswith(NEED_ROOT) and os.geteuid() != 0:
        pytest.skip(f"{program.name}: this control needs root")
    assert on_a_bare_process(program, {**given, "secret": given["word"]})
