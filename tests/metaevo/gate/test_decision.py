"""Every verdict of the gate, with its reason and its numbers."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metaevo.artifacts.bodies import dump
from metaevo.gate.case import Case
from metaevo.gate.decision import decide, resume
from metaevo.gate.evidence import ExactGain, ReasonCode, Verdict
from metaevo.gate.settings import GateRules
from metaevo.ledger.confirmations import confirmation_count
from metaevo.types import Completion
from objectives.goals import Rule
from services.text.format import WORDS, reason_words
from tests.metaevo.gate.drawn import BASE, NEW, OLD
from tests.metaevo.gate.simulated import AIM, OTHER, SIDE, SMALL, Ground, SimulatedExam, grounded


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return grounded(tmp_path)


def verdict(ground: Ground, exam: SimulatedExam, manifest: Any = None, **case: Any) -> Verdict:
    exam.host = ground
    digest = ground.store.put(dump(BASE_MANIFEST if manifest is None else manifest))
    facts = {"cells": (AIM,), "rules": (), "dev_gain": 0.1, "epoch": 1, "manifest": digest}
    return decide(exam, Case(NEW, OLD, BASE, **(facts | case)))  # type: ignore[arg-type]


PROBES = [Completion("42", 1, -0.5)]
BASE_MANIFEST: dict[str, Any] = {"id": "g000000", "parent": None, "parts": {}, "runtime": "r", "probes": PROBES}
MARGIN = (Rule("math", (SIDE,), 0.05), Rule("other", (OTHER,), 0.05))
GAIN = {AIM: 0.3}
VERDICTS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "a gain, nothing lost": ({"gains": GAIN, "discordant": 0.02}, {"rules": MARGIN}, "promote", "gain proven"),
    "nothing is protected": ({"gains": GAIN}, {}, "promote", "gain proven"),
    "no gain": ({"gains": {AIM: -0.1}}, {"rules": MARGIN}, "reject", "screen failed"),
    "a gain too small to prove": (
        {"gains": {AIM: 0.06}, "rules": GateRules(max_items=64)},
        {},
        "hold",
        "needs more items",
    ),
    "a protected ability falls": ({"gains": GAIN | {SIDE: -0.3}}, {"rules": MARGIN}, "reject", "ability harmed"),
    "one cell of an ability falls": (
        {"gains": GAIN | {SIDE: -0.3, OTHER: 0.3}, "discordant": 0.3},
        {"rules": (Rule("math", (SIDE, OTHER), 0.4, own_cell_margin=0.02),)},
        "reject",
        "cell harmed",
    ),
    "too few items to say": (
        {"gains": GAIN, "rules": GateRules(protect_items=64)},
        {"rules": MARGIN},
        "hold",
        "needs more items",
    ),
    "the weights changed on the way": (
        {"gains": GAIN, "answers": (Completion("41", 1, -0.5),)},
        {"rules": MARGIN},
        "reject",
        "guard servable artifact",
    ),
    "log-probabilities changed": (
        {"gains": GAIN, "answers": (Completion("42", 1, -0.6),)},
        {},
        "reject",
        "guard servable artifact",
    ),
    "it talks too much": (
        {"gains": GAIN, "token_ratio": 1.2},
        {"answer_tokens": 1.1},
        "reject",
        "guard answer_tokens",
    ),
    "the champion is pinned": ({"gains": GAIN}, {"pinned": True}, "hold", "awaits approval"),
    "a person must approve": ({"gains": GAIN}, {"approval": True}, "hold", "awaits approval"),
    "pinned, and harm": ({"gains": GAIN | {SIDE: -0.3}}, {"rules": MARGIN, "pinned": True}, "reject", "ability harmed"),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_every_verdict_has_its_reason_and_its_numbers(ground: Ground, name: str) -> None:
    exam, case, decision, reason = VERDICTS[name]
    found = verdict(ground, SimulatedExam(Random(21), **exam), **case)
    assert found.decision == decision
    assert reason in {r.label for r in found.reasons}
    assert found.gate == exam.get("rules", GateRules()).hash
    for r in found.reasons:
        assert r.numbers
        assert reason_words(r.as_data()).startswith(f"{r.label}: ")
        assert r.code in WORDS or (r.code is ReasonCode.GUARD and r.guard)
    assert bool(confirmation_count(ground.ledger, before=99)) == (reason != "screen failed")


def test_protection_is_looked_at_only_after_a_proven_gain(ground: Ground) -> None:
    exam = SimulatedExam(Random(2), {AIM: 0.06, SIDE: -0.9}, GateRules(max_items=64))
    assert verdict(ground, exam, rules=MARGIN).decision == "hold"
    assert {step for step, _ in exam.asked} == {"screen", "confirm"}


def test_a_finite_cell_is_decided_by_the_exact_test_on_its_whole_sample(ground: Ground) -> None:
    exam = SimulatedExam(Random(2), {SMALL: 0.3})
    found = verdict(ground, exam, cells=(SMALL,))
    gain = found.evidence.gain
    assert isinstance(gain, ExactGain)
    assert (found.decision, gain.test, gain.n) == ("promote", "exact paired", 120)
    assert exam.asked[0][0] == "exact"
    assert verdict(ground, SimulatedExam(Random(2)), cells=(SMALL,), dev_gain=0.0).reasons[0].code == "screen failed"


@pytest.mark.parametrize(
    ("floor", "skill", "gain", "decision"),
    [
        (0.5, 1.0, 0.0, "promote"),
        (0.5, 1.0, -0.8, "reject"),
        (0.99, 0.6, 0.0, "promote"),
        (0.99, 0.6, -0.4, "reject"),
        (0.999, 1.0, 0.0, "hold"),
    ],
    ids=["above", "below", "the champion is below too", "below the champion", "not yet for sure"],
)
def test_a_floor_binds_the_candidate_and_where_the_champion_is_lower_the_champion_does(
    ground: Ground, floor: float, skill: float, gain: float, decision: str
) -> None:
    exam = SimulatedExam(Random(5), GAIN | {SIDE: gain}, discordant=0.0, skill=skill)
    rule = Rule("math", (SIDE,), None, floor)
    assert verdict(ground, exam, rules=(rule,)).decision == decision


@pytest.mark.parametrize("cells", [(SMALL,), (AIM, SMALL)], ids=["a file", "mixed"])
@pytest.mark.parametrize("first", [{"approval": True}, {"rules": MARGIN}], ids=["approval", "protection"])
def test_what_a_hold_waited_for_changes_nothing_of_what_is_told(
    ground: Ground, cells: tuple[Any, ...], first: dict[str, Any]
) -> None:
    gains = {AIM: 0.4, SMALL: 0.4}
    at_once = verdict(ground, SimulatedExam(Random(3), gains), cells=cells).evidence.told
    rules = GateRules(protect_items=64) if "rules" in first else GateRules()
    held = verdict(ground, SimulatedExam(Random(3), gains, rules), cells=cells, **first)
    assert held.decision == "hold"
    kept = Verdict.from_data(json.loads(json.dumps(held.as_data()))).evidence
    assert kept.gain is not None
    again = resume(kept.gain, kept.bets)
    found = verdict(ground, SimulatedExam(Random(4), gains), cells=cells, held=again, held_k=kept.gain.k)
    assert (found.decision, found.evidence.told) == ("promote", at_once)
    assert at_once is not None
    assert at_once.n == kept.gain.n > 0
    assert set(at_once.cells) == set(map(str, cells))


def test_differences_of_every_cycle_are_told_and_a_hold_that_kept_none_tells_nothing(ground: Ground) -> None:
    tight, cells = GateRules(max_items=64, screen_items=16, screen_bar=-1.0), (AIM, SMALL)
    exam = SimulatedExam(Random(3), {AIM: 0.1, SMALL: 0.1}, tight, discordant=0.3)
    first = verdict(ground, exam, cells=cells)
    gain = first.evidence.gain
    assert gain is not None
    assert (first.decision, gain.n) == ("hold", 64)
    more = {"cells": cells, "held_k": gain.k, "stream": first.evidence.stream}
    found = verdict(ground, exam, held=resume(gain, first.evidence.bets), **more)
    assert found.evidence.gain is not None
    assert found.evidence.gain.n == 128
    bets = found.evidence.bets
    assert bets is not None
    assert sum(times for _, times in bets[""]) == 128
    proven = replace(resume(gain), proven=True)
    assert verdict(ground, exam, held=proven, **more).evidence.told is None
    endless = verdict(ground, SimulatedExam(Random(3), {AIM: 0.3}), approval=True)
    assert (endless.decision, endless.evidence.bets) == ("hold", None)
