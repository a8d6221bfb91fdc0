"""What a cycle's one line and its explanation say of a promotion: one gain, and the claim it belongs to."""

import pytest

from metaevo.evolution.outcome import Cycle
from metaevo.gate.evidence import BettingGain, Evidence, Reason, ReasonCode, ToldGain, Verdict
from metaevo.types import Generation
from objectives.types import Cell, Direction, Objective
from services.records.why import Claim, CycleCost, SeenItems, Why
from services.reports.verdicts import gain_found, told_found
from services.text.explain import lines_of, sentence

GAIN = BettingGain(0.628, 0.468, 0.788, 43, 1, 0.025, 40.0, 43, 30.0, 99.0, (4.0,), promotions=0, budget=1)
TOLD = ToldGain(0.628, 0.288, 0.837, 43, "confidence sequence", {})


def why(*, told: ToldGain | None = TOLD, budgets: int = 1, seen: SeenItems | None = None) -> str:
    found = Why(
        generation="g000003",
        parent="g000000",
        status="champion",
        decision="promote",
        at=None,
        weakness=None,
        objective=None,
        method=None,
        written=(),
        gain=gain_found(GAIN),
        told=told_found(told),
        seen_items=seen,
        claim=Claim(alpha=0.05, budgets=budgets, epochs=1),
        screen=None,
        kept=None,
        against="g000000",
        protects_nothing=True,
        secret_seed=None,
        reasons=(),
        data=None,
        cost=CycleCost(tokens=0, seconds=None),
        undo=None,
        lines=(),
    )
    return "\n".join(lines_of(found))


def run_line(told: ToldGain | None) -> str:
    evidence = Evidence(("fin/1",), protects_nothing=True, gain=GAIN, told=told)
    verdict = Verdict("promote", (Reason(ReasonCode.GAIN_PROVEN, GAIN),), "rules", evidence)
    objective = Objective("other", Direction.PERFORMANCE, (Cell("fin", 1),), "", "x")
    return sentence(Cycle.decided(1, Generation("g000003", "g000000", {}), verdict, objective=objective))


@pytest.mark.parametrize(("told", "bounds"), [(TOLD, "+28.8…+83.7"), (None, "+46.8…+78.8")], ids=["told", "before"])
def test_a_promotion_has_one_interval_wherever_it_is_told(told: ToldGain | None, bounds: str) -> None:
    assert f"+62.8 ({bounds}, n 43)" in run_line(told)
    assert f"({bounds}, 43 " in why(told=told)


def test_what_an_older_error_budget_promoted_is_no_part_of_the_claim() -> None:
    assert "false promotions over this home's life is at most one in twenty" in why(budgets=1)
    closed = why(budgets=3)
    assert "Claim      none any more: promoted under error budget 1, and a person opened number 3" in closed
    assert "one in twenty" not in closed


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (SeenItems(seen=0, of=48, exams=1), "None of its 48 exam items was asked in the exam before."),
        (SeenItems(seen=1, of=48, exams=3), "1 of its 48 exam items was asked in the last 3 exams before."),
        (SeenItems(seen=40, of=48, exams=1), "40 of its 48 exam items were asked in the exam before."),
    ],
)
def test_items_asked_before_are_counted_among_those_of_this_exam(seen: SeenItems, said: str) -> None:
    assert said in why(seen=seen)
