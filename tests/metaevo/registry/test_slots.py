"""A plain function becomes a module: what its signature must be, and how knobs are checked and filled in."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaevo import (
    Attempts,
    Experiences,
    Generation,
    History,
    Knob,
    Objective,
    Policy,
    Random,
    Reference,
    Report,
    Reward,
    Tasks,
    TrainSpec,
    Weights,
)
from metaevo.errors import BadInput, ModuleFailed
from metaevo.registry.slots import GIVES, RECIPE_SLOTS, SLOTS, STAGE_SLOTS, TAKES, Module, limits, read

settings.register_profile("metaevo", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("metaevo")


def module(call: Any, slot: str = "refinement") -> Module:
    return read(slot, call.__name__, call, Path(__file__), "digest")


def sieve(
    rows: Experiences,
    *,
    policy: Policy,
    rng: Random,
    n: Annotated[int, Knob(1, 16, log=True, least=0, most=100)] = 4,
    tau: Annotated[float, Knob(0.2, 0.8)] = 0.5,
    mode: Literal["best", "worst"] = "best",
    strict: bool = False,
) -> Experiences:
    """Return some rows."""
    return rows


def test_signature_is_effects_and_knobs() -> None:
    found = module(sieve)
    assert found.effects == {"policy": Policy, "rng": Random}
    assert found.fill({}, "here") == {"n": 4, "tau": 0.5, "mode": "best", "strict": False}
    assert found.space["n"] == Knob(1, 16, log=True, least=0, most=100)
    assert (found.space["mode"], found.space["strict"]) == (("best", "worst"), (False, True))
    assert not found.online


@pytest.mark.parametrize("slot", SLOTS)
def test_every_slot_maps_its_own_records(slot: str) -> None:
    kinds = {"takes": TAKES[slot][0], "gives": GIVES[slot]}

    def right(batch: Any) -> Any:
        """Return the batch."""
        return batch

    right.__annotations__ = {"batch": kinds["takes"], "return": kinds["gives"]}
    assert module(right, slot).slot == slot
    right.__annotations__ = {"batch": kinds["takes"], "return": int}
    with pytest.raises(ModuleFailed, match=rf"{slot}\.right: must map .* got .* to int"):
        module(right, slot)


def test_an_update_of_tasks_is_online() -> None:
    def online(tasks: Tasks, *, weights: Weights, spec: TrainSpec) -> Generation:
        return weights.publish(tasks)

    def offline(rows: Experiences, *, weights: Weights) -> Generation:
        return weights.publish(rows)

    assert module(online, "update").online
    assert not module(offline, "update").online


def no_batch() -> Experiences:
    return ()


def wrong_batch(tasks: Tasks) -> Experiences:
    return ()


def untyped(rows, *, n=1):  # type: ignore[no-untyped-def]
    return rows


def positional(rows: Experiences, n: Annotated[int, Knob(1, 2)] = 1) -> Experiences:
    return rows


def starred(rows: Experiences, *more: int) -> Experiences:
    return rows


def keywords(rows: Experiences, **more: int) -> Experiences:
    return rows


def no_default(rows: Experiences, *, n: Annotated[int, Knob(1, 2)]) -> Experiences:
    return rows


def no_effect(rows: Experiences, *, clock: Path) -> Experiences:
    return rows


def bare_int(rows: Experiences, *, n: int = 3) -> Experiences:
    return rows


def a_string(rows: Experiences, *, n: Annotated[str, Knob(1, 2)] = "a") -> Experiences:
    return rows


def no_knob(rows: Experiences, *, n: Annotated[int, "many"] = 1) -> Experiences:
    return rows


def crossed(rows: Experiences, *, n: Annotated[int, Knob(5, 2)] = 3) -> Experiences:
    return rows


def outside(rows: Experiences, *, n: Annotated[int, Knob(1, 2)] = 3) -> Experiences:
    return rows


def beyond(rows: Experiences, *, n: Annotated[int, Knob(1, 9, least=2)] = 3) -> Experiences:
    return rows


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (no_batch, "the batch must be the first parameter"),
        (wrong_batch, "must map Experiences to Experiences, got Tasks to Experiences"),
        (untyped, "must map Experiences to Experiences, got None to None"),
        (positional, "parameter 'n' must be keyword-only"),
        (starred, "parameter 'more' must be keyword-only"),
        (keywords, "parameter 'more' must be keyword-only"),
        (no_default, "knob 'n' needs a default"),
        (no_effect, r"knob 'clock' needs a default \(or is not a known effect"),
        (bare_int, r"knob 'n' must be Annotated\[int or float, Knob"),
        (a_string, r"knob 'n' must be Annotated\[int or float, Knob"),
        (no_knob, r"knob 'n' must be Annotated\[int or float, Knob"),
        (crossed, "want least <= low <= high <= most and a default inside"),
        (outside, "want least <= low <= high <= most and a default inside"),
        (beyond, "want least <= low <= high <= most and a default inside"),
    ],
)
def test_a_signature_that_breaks_the_contract_is_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ModuleFailed, match=sentence) as caught:
        module(call)
    assert str(caught.value).startswith(f"refinement.{call.__name__}: ")


def misspelt(rows: "Experienzes") -> Experiences:  # type: ignore[name-defined]  # noqa: F821
    return rows


def underscored(rows: Experiences, *, _n: bool = True) -> Experiences:
    return rows


@pytest.mark.parametrize("call", [misspelt, underscored])
def test_whatever_is_wrong_with_a_signature_is_the_module_s_failure(call: Any) -> None:
    with pytest.raises(ModuleFailed, match=call.__name__):
        module(call)


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"N": 3}, r"stage 1: refinement\.sieve\.N = 3: unknown knob, known: n, tau, mode, strict"),
        ({"mod": "best"}, r"refinement\.sieve\.mod = 'best': unknown knob, did you mean mode\?"),
        ({"n": 101}, r"refinement\.sieve\.n = 101: want 0 to 100"),
        ({"n": -1}, r"refinement\.sieve\.n = -1: want 0 to 100"),
        ({"n": 2.5}, r"refinement\.sieve\.n = 2\.5: want 0 to 100"),
        ({"n": "many"}, r"refinement\.sieve\.n = 'many': want 0 to 100"),
        ({"tau": float("nan")}, r"refinement\.sieve\.tau = nan: want 0\.2 to 0\.8"),
        ({"tau": float("inf")}, r"refinement\.sieve\.tau = inf: want 0\.2 to 0\.8"),
        ({"mode": "Best"}, r"refinement\.sieve\.mode = 'Best': want best, worst"),
        ({"strict": 1}, r"refinement\.sieve\.strict = 1: want false, true"),
        ({"policy": "x"}, r"refinement\.sieve\.policy = 'x': unknown knob"),
        ({"n": None}, r"refinement\.sieve\.n = None: want 0 to 100"),
    ],
)
def test_wrong_knobs_are_named_with_value_and_limits(given_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        module(sieve).fill(given_, "recipe x: stage 1")


@given(st.integers(0, 100), st.floats(0.2, 0.8), st.sampled_from(["best", "worst"]), st.booleans())
def test_lawful_knobs_come_through_unchanged(n: int, tau: float, mode: str, strict: bool) -> None:
    knobs = {"n": n, "tau": tau, "mode": mode, "strict": strict}
    found = module(sieve)
    assert found.fill(knobs, "here") == knobs
    assert found.fill(found.fill(knobs, "here"), "here") == knobs


@given(st.integers() | st.floats(allow_nan=True) | st.text() | st.none() | st.booleans())
def test_any_value_is_taken_inside_the_limits_or_refused(value: Any) -> None:
    try:
        taken = module(sieve).fill({"n": value}, "here")["n"]
    except BadInput:
        return
    assert isinstance(taken, int)
    assert 0 <= taken <= 100


def test_knobs_without_any_are_told_so() -> None:
    def plain(rows: Experiences) -> Experiences:
        return rows

    with pytest.raises(BadInput, match="unknown knob, known: none"):
        module(plain).fill({"n": 1}, "here")


def test_limits_as_a_person_reads_them() -> None:
    assert limits(Knob(0.001, 0.1, least=0, most=1)) == "0 to 1"
    assert limits(Knob(1, 16)) == "1 to 16"
    assert limits(("a", "b")) == "a, b"
    assert limits((False, True)) == "false, true"


def test_the_slots_are_the_survey_s_and_two_are_never_in_a_recipe() -> None:
    assert len(SLOTS) == 9
    assert set(SLOTS) - set(RECIPE_SLOTS) == {"evaluation", "objective"}
    assert set(RECIPE_SLOTS) - set(STAGE_SLOTS) == {"consolidation"}
    assert (GIVES["objective"], TAKES["objective"], GIVES["evaluation"]) == (Objective, (History,), Report)


def test_what_a_module_reads_is_in_its_signature() -> None:
    def cheat(attempts: Attempts, *, reward: Reward, reference: Reference) -> Experiences:
        return ()

    assert set(module(cheat, "feedback").effects.values()) == {Reward, Reference}
