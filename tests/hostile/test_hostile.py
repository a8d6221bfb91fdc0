"""No hostile program shows its effect in any tier, alone and four at a time (`test_controls.py`: each has one)."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.errors import Refused
from sandbox.self_check import Proven, self_check
from sandbox.types import Result, Sandbox, Verdict
from tests.hostile import tiers
from tests.hostile.invariants import BENIGN, Host
from tests.hostile.program import OUTSIDE, Program, Shows, contained
from tests.hostile.programs import PROGRAMS

IMMUNE = ("H11 catastrophic regex", "H12 sleep", "H24 a lone surrogate")
"""What the embedded interpreter answers at once: its regex is bounded, it never sleeps, its text has no surrogates."""
LONG_S = 10.0
OWN_KERNEL = ("O26 namespaces by clone",)
"""What gVisor grants in its own kernel, where it reaches nothing of the host's and ends with the call."""
pytestmark = [*tiers.ALONE, pytest.mark.timeout(300)]


def wall_s(tier: Sandbox, program: Program) -> float:
    """Return a short deadline for what ends by it, and a long one for what must end otherwise on a busy machine too."""
    return tier.limits.wall_s if program.expect & {Verdict.TIMEOUT} else LONG_S


def run(tier: Sandbox, program: Program, given: dict[str, str]) -> Result:
    for _ in range(program.calls - 1):
        tier.run(program.kernel(), [[given]])
    return tier.run(program.kernel(), [[given]], wall_s=wall_s(tier, program))


def loosened(tier: Sandbox, program: Program) -> Program:
    """The embedded tier has none of what most programs need, and gVisor ends some otherwise: any failure holds."""
    if tier.tier == "docker":
        return program
    immune = IMMUNE if tier.tier == "monty" else OWN_KERNEL
    shows = Shows.DATA if program.name in immune else program.shows
    return Program(program.name, program.source, shows, OUTSIDE, program.returns, program.calls)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_the_program_shows_none_in_a_tier(program: Program, given: dict[str, str], tier: Sandbox) -> None:
    host = Host(tier, Path(given["canaries"]))
    result = run(tier, program, given)
    assert not contained(loosened(tier, program), result, Path(given["folder"]))
    broken = host.broken(result.seconds, wall_s(tier, program))
    assert not broken, "; ".join(broken)
    if program.shows is Shows.LATE:
        time.sleep(1.0)
        assert not (Path(given["folder"]) / "late").exists()


def test_four_programs_at_a_time_stay_apart(given: dict[str, str], tier: Sandbox) -> None:
    host = Host(tier, Path(given["canaries"]))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda program: run(tier, program, given), PROGRAMS))
    said = [contained(loosened(tier, p), r, Path(given["folder"])) for p, r in zip(PROGRAMS, results, strict=True)]
    assert not any(said), "; ".join(f"{p.name}: {what}" for p, what in zip(PROGRAMS, said, strict=True) if what)
    # Four share two cores and a deadline of one second each: the clock is judged alone, above.
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
