"""What the gate found and said, to the ledger and back: nothing is lost, and the shape of the JSON stays."""

import json
from dataclasses import replace
from typing import Any

import pytest

from metaevo.errors import StoreError
from metaevo.gate.evidence import (
    Approval,
    BettingGain,
    CellHarm,
    Evidence,
    ExactGain,
    GuardFinding,
    Hold,
    MoreItems,
    ProtectionFinding,
    Reason,
    ReasonCode,
    RuleOutcomes,
    Screen,
    Verdict,
)

BETTING = BettingGain(0.1, 0.0, 0.2, 300, 1, 0.025, 40.0, 540, 3.0, 1.5, (0.25, 0.5))
EXACT = ExactGain(0.1, 0.0, 0.2, 120, 2, 0.025, 40.0, 120, 3.0, 0.01)
KEPT = ProtectionFinding("math", "parent", 0.01, -0.02, 0.04, 400, -0.05, "open")
SEEN = RuleOutcomes("math", 40, {"parent": {"addition/2": ((-1.0, 2), (0.0, 36), (1.0, 2))}})
GUARDS = {"cost per answer": GuardFinding(True, {"ratio": 1.1}), "answer_tokens": GuardFinding(False, {"ratio": 2.0})}
BETS = {"": ((0.0, 9), (1.0, 3)), "sorting/1": ((0.5, 1),)}
REASONS = {
    "gain proven": Reason(ReasonCode.GAIN_PROVEN, BETTING),
    "gain proven on a fixed sample": Reason(ReasonCode.GAIN_PROVEN, EXACT),
    "screen failed": Reason(ReasonCode.SCREEN_FAILED, Screen(0.0, -0.1, 0.1, 240, 0.015)),
    "ability harmed": Reason(ReasonCode.ABILITY_HARMED, KEPT),
    "cell harmed": Reason(ReasonCode.CELL_HARMED, CellHarm("sorting/4", 0.001)),
    "a guard": Reason(ReasonCode.GUARD, GuardFinding(False, {"why": "does not load", "n": 3}), "servable artifact"),
    "no gain in sight": Reason(ReasonCode.MORE_ITEMS, MoreItems(BETTING, None, 1500)),
    "more items of a fixed sample": Reason(ReasonCode.MORE_ITEMS, MoreItems(EXACT, 40, 1500)),
    "more items of a rule": Reason(ReasonCode.MORE_ITEMS, MoreItems(replace(KEPT, needed=900), 900)),
    "awaits approval": Reason(ReasonCode.AWAITS_APPROVAL, Approval(pinned=True, approval=False)),
}
EVIDENCE = {
    "screened": Evidence(("addition/5",), False, Screen(0.0, -0.1, 0.1, 240, 0.015)),
    "held again": Evidence(("addition/5", "addition/6"), False, None, BETTING, 3, outcomes=(SEEN,)),
    "whole": Evidence(("sorting/1",), False, None, EXACT, 3, (KEPT,), {"sorting/4": 0.001}, GUARDS),
    "bets kept": Evidence(
        ("sorting/1",), False, None, EXACT, 3, bets={"": ((0.0, 9), (1.0, 3)), "sorting/1": ((0.5, 1),)}
    ),
    "nothing protected": Evidence(("sorting/1",), True, None, EXACT, 3, (), {}, GUARDS),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_reason_is_read_back_as_it_was(name: str) -> None:
    told = json.loads(json.dumps(REASONS[name].as_data()))
    assert Reason.from_data(told) == REASONS[name]
    assert set(told) == {"code", "numbers"}


@pytest.mark.parametrize("name", EVIDENCE)
def test_evidence_is_read_back_as_it_was_and_what_was_not_looked_at_is_no_key(name: str) -> None:
    made = Verdict("hold", (REASONS["no gain in sight"],), "rules", EVIDENCE[name])
    told = json.loads(json.dumps(made.as_data()))
    assert Verdict.from_data(told) == made
    assert None not in told["exam"].values()


def test_a_hold_keeps_its_numbers_beside_the_evidence_as_ledgers_always_did() -> None:
    made = Hold("g000002", "g000001", 1, 3, 4, 0, 500, 4096, False, EVIDENCE["held again"])
    row = json.loads(json.dumps(made.as_data())) | {"open": True}
    assert Hold.from_data(row) == made
    assert {"needed": 500, "most": 4096, "person": False}.items() <= row["exam"].items()
    assert row["exam"]["gain"]["logs"] == [0.25, 0.5]
    assert [replace(made, needed=needed).nights for needed in (None, 0, 1, 4096, 4097)] == [None, 0, 1, 1, 2]


def test_a_hold_of_schema_3_is_read_with_what_it_did_not_say() -> None:
    made = Hold("g000002", "g000001", 1, 3, 4, 0, 500, 1500, False, replace(EVIDENCE["held again"], outcomes=None))
    row = json.loads(json.dumps(made.as_data()))
    old = {key: value for key, value in row["exam"].items() if key not in ("most", "person")}
    assert Hold.from_data(row | {"exam": old | {"finite": False, "protection": 900}}) == made


GOOD = Verdict("hold", (REASONS["no gain in sight"],), "rules", EVIDENCE["whole"]).as_data()
MORE = {"code": "needs more items", "numbers": {"needed": 3}}
UNREADABLE: dict[str, tuple[Any, str]] = {
    "a code of nobody": (GOOD | {"reasons": [{"code": "moon phase", "numbers": {}}]}, "'moon phase' is not a valid"),
    "no reasons": (GOOD | {"reasons": None}, "a verdict: 'NoneType' object is not iterable"),
    "a reason that is a word": (GOOD | {"reasons": ["x"]}, "a reason: string indices must be integers"),
    "a guard without ok": (GOOD | {"reasons": [{"code": "guard x", "numbers": {"n": 1}}]}, "a reason has no 'ok'"),
    "no limit": (GOOD | {"reasons": [MORE]}, "a reason has no 'limit'"),
    "numbers of something else": (
        GOOD | {"reasons": [{"code": "cell harmed", "numbers": {"p": 1}}]},
        "a reason: cell:",
    ),
    "a list": ([], "a verdict: list indices must be integers"),
    "a number": (7, "a verdict: 'int' object is not subscriptable"),
    "no evidence": (GOOD | {"exam": None}, "the evidence: 'NoneType' object has no attribute 'get'"),
    "a decision of nobody": (GOOD | {"decision": ["promote"]}, "a verdict decides ['promote']"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_verdict_that_cannot_be_read_is_one_typed_line(name: str) -> None:
    data, said = UNREADABLE[name]
    with pytest.raises(StoreError) as caught:
        Verdict.from_data(data)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hold_that_cannot_be_read_is_one_typed_line() -> None:
    with pytest.raises(StoreError, match="a hold has no 'exam'"):
        Hold.from_data({})
