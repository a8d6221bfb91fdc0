"""Every hostile program shows its effect on a bare process, and none in any tier, alone and four at a time."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.errors import Refused
from sandbox.self_check import Proven, self_check
from sandbox.types import Result, Sandbox
from tests.hostile import tiers
from tests.hostile.invariants import BENIGN, Host
from tests.hostile.listed import LISTED
from tests.hostile.ours import OURS
from tests.hostile.program import OUTSIDE, Program, Shows, contained, on_a_bare_process
from tests.hostile.reaching import REACHING

PROGRAMS = (*LISTED, *REACHING, *OURS)
IMMUNE = ("H11 catastrophic regex", "H12 sleep", "H24 a lone surrogate")
"""What the embedded interpreter answers at once: its regex is bounded, it never sleeps, its text has no surrogates."""
OWN_KERNEL = ("O26 namespaces by clone",)
"""What gVisor grants in its own kernel, where it reaches nothing of the host's and ends with the call."""
NEED_ROOT = ("H32", "H33", "H35", "O26")
pytestmark = [*tiers.ALONE, pytest.mark.timeout(300)]


def run(tier: Sandbox, program: Program, given: dict[str, str]) -> Result:
    for _ in range(program.calls - 1):
        tier.run(program.kernel(), [[given]])
    return tier.run(program.kernel(), [[given]])


def loosened(tier: Sandbox, program: Program) -> Program:
    """The embedded tier has none of what most programs need, and gVisor ends some otherwise: any failure holds."""
    if tier.tier == "docker":
        return program
    immune = IMMUNE if tier.tier == "monty" else OWN_KERNEL
    shows = Shows.DATA if program.name in immune else program.shows
    return Program(program.name, program.source, shows, OUTSIDE, program.returns, program.calls)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_the_program_shows_its_effect_on_a_bare_process(program: Program, given: dict[str, str]) -> None:
    if program.name.startswith(NEED_ROOT) and os.geteuid() != 0:
        pytest.skip(f"{program.name}: this control needs root")
    assert on_a_bare_process(program, {**given, "secret": given["word"]})


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_the_program_shows_none_in_a_tier(program: Program, given: dict[str, str], tier: Sandbox) -> None:
    host = Host(tier, Path(given["canaries"]))
    result = run(tier, program, given)
    assert not contained(loosened(tier, program), result, Path(given["folder"]))
    broken = host.broken(result.seconds, tier.limits.wall_s)
    assert not broken, "; ".join(broken)
    if program.shows is Shows.LATE:
        time.sleep(1.0)
        assert not (Path(given["folder"]) / "late").exists()


@pytest.mark.parametrize("at", range(0, len(PROGRAMS), 4))
def test_four_programs_at_a_time_stay_apart(at: int, given: dict[str, str], tier: Sandbox) -> None:
    batch = PROGRAMS[at : at + 4]
    host = Host(tier, Path(given["canaries"]))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda program: run(tier, program, given), batch))
    for program, result in zip(batch, results, strict=True):
        assert not contained(loosened(tier, program), result, Path(given["folder"])), program.name
    # Four share two cores and a deadline of two seconds each: the clock is judged alone, above.
    broken = host.broken(0.0, tier.limits.wall_s)
    assert not broken, "; ".join(broken)


def test_every_limit_of_a_tier_is_proven(tier: Sandbox) -> None:
    proof = self_check(tier)
    assert proof.holds, str(proof)
    assert len(proof.passed) >= 12


def test_gvisor_without_cgroups_is_refused_by_the_name_of_the_limit() -> None:
    tiers.need("docker+runsc-nocgroups")
    sandbox = tiers.open_tier("docker+runsc-nocgroups", owner="nocgroups")
    try:
        proven = Proven(sandbox, prove=lambda tier: self_check(tier, ["answers", "memory", "memory of children"]))
        with pytest.raises(Refused, match="memory is not kept"):
            proven.run(BENIGN, [[1, 2]])
        assert proven.proof is not None
        assert "answers" in proven.proof.passed
    finally:
        sandbox.close()
