"""What holds for every coding environment: right programs pass, garbage and mistakes do not, tests are hidden."""

import pytest

from objectives.environment import Program, from_file
from objectives.finder import BUILT_IN
from objectives.types import ABILITIES
from tests.objectives import coding
from tests.objectives.coding import Inside


@pytest.fixture(scope="module", params=["tinyprog", "bugfix"])
def program(request: pytest.FixtureRequest) -> Program:
    return from_file(request.param, BUILT_IN / f"{request.param}.py")


def test_exports(program: Program) -> None:
    assert program.ability == "coding"
    assert program.ability in ABILITIES
    assert program.levels == tuple(range(1, 9))
    assert program.runs


def test_rows_are_pure_and_read_back(program: Program) -> None:
    coding.check_pure(program)


def test_right_programs_pass_and_garbage_does_not(program: Program, run: Inside) -> None:
    coding.check_answers(program, run)


def test_tests_are_hidden(program: Program, run: Inside) -> None:
    coding.check_hidden(program, run)


def test_mistakes_are_wrong(program: Program, run: Inside) -> None:
    coding.check_mistakes(program, run)


def test_the_audit_passes(program: Program, run: Inside) -> None:
    found = coding.audited(program, run)
    assert [finding for finding in found.findings if not finding.ok and finding.name != "cost of a call"] == []
    assert found.usable
