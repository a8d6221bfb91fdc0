"""Admission: whether a proposed kernel may be tried at all. It promises nothing about its worth: that a trial shows.

In order: a look at the source, the values on fresh inputs, purity, blindness for answers, that it does something,
sanity of a score against the truth, the slot's laws. The first that fails is the reason, from a closed list
(`refusals.RejectReason`). Infrastructure is not a refusal: it raises, and nothing was learnt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metaevo.errors import BadInput
from metaevo.registry.generated import FORMS, Code, build
from metaevo.registry.generated_files import Generated
from metaevo.registry.laws import problems, with_sandbox
from metaevo.runtime.sandbox import KernelRun
from metaevo.synthesis.bench import Bench
from metaevo.synthesis.checks import check_blind, check_pure, filter_purity, idle_reason, score_agreement
from metaevo.synthesis.inputs import Samples, fresh_samples
from metaevo.synthesis.refusals import Rejected, RejectReason
from objectives.types import Json
from sandbox.handle import SandboxHandle
from sandbox.types import Sandbox

NAME = "syn_proposal"
REPLIES = ("yes", "no", "7", "0.5", "", "The answer is 42, because 40 + 2 = 42.", "I cannot say.", "10/10")
"""What a model might answer, at admission: kernels must stand any text."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What was decided of one proposal. ``reason`` is None where it was accepted."""

    accepted: bool
    reason: RejectReason | None
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    tier: str = ""


def admit(
    source: str,
    kind: str,
    slot: str,
    sandbox: Sandbox,
    *,
    samples: Samples | None = None,
    shown: Samples | None = None,
) -> Admission:
    """Return whether a kernel may become a module of its slot, and why not.

    ``samples`` are graded inputs it was not proposed on (default: drawn anew from the source); ``shown`` is what its
    author saw: what does something only there is refused.

    Raises:
        BadInput: There is no such kind of kernel in this slot.
        SandboxUnavailable: Infrastructure failed; nothing was learnt about the proposal.
    """
    if (slot, kind) not in FORMS:
        known = ", ".join(f"{place}.{name}" for place, name in FORMS)
        raise BadInput("", f"no kernel of kind {kind!r} in slot {slot!r}", f"there are {known}")
    bench = Bench(Code(slot, kind, NAME, source), sandbox)
    try:
        numbers = _examined(bench, samples or fresh_samples(source), shown)
    except Rejected as no:
        return Admission(False, no.reason, f"{no.reason}: {no.sentence}", dict(no.numbers), sandbox.tier)
    return Admission(True, None, "", numbers, sandbox.tier)


def _examined(bench: Bench, samples: Samples, shown: Samples | None) -> dict[str, float]:
    bench.look()
    code = bench.code
    functions = FORMS[code.slot, code.kind].functions
    rows = samples.arguments(code.slot, functions[0])
    for function in functions:
        bench.values(function, rows[:1])  # what is too much for one row is told as that, not as too much for all
        values = bench.values(function, rows)
        check_pure(bench, function, rows, values)
        check_blind(bench, function, rows, values)
        if function == "ask":
            asked = sum(len(value) for value in values)
            rows = _replied(rows, values)
    _acts(bench, samples, shown, rows, values)
    numbers = {"rows": float(len(rows))} | ({"questions": float(asked)} if len(functions) > 1 else {})
    if functions == ("score",):
        numbers |= score_agreement(rows, values, samples.truth)
    if functions == ("keep",):
        numbers |= filter_purity(values, samples.truth)
    module = build(code, Path(f"{NAME}.toml"), "", "")
    for law in problems(with_sandbox(module, KernelRun(SandboxHandle(bench.sandbox.tier, lambda: bench.sandbox)))):
        raise Rejected(RejectReason.UNLAWFUL, law)
    return numbers


def _replied(rows: list[list[Json]], asks: tuple[Json, ...]) -> list[list[Json]]:
    """Return the arguments of `use`: each row with one of the replies for each of its questions."""
    return [
        [row[0], [REPLIES[(i + j) % len(REPLIES)] for j in range(len(texts))]]
        for i, (row, texts) in enumerate(zip(rows, asks, strict=True))
    ]


def _acts(
    bench: Bench, samples: Samples, shown: Samples | None, rows: list[list[Json]], values: tuple[Json, ...]
) -> None:
    """Refuse what does nothing, or something only where its author looked.

    Raises:
        Rejected: It does.
    """
    code = bench.code
    function = FORMS[code.slot, code.kind].functions[-1]
    nothing = idle_reason(code.slot, function, rows, values)
    if nothing is None:
        return
    if shown is not None and function != "use":
        seen = shown.arguments(code.slot, function)
        if idle_reason(code.slot, function, seen, bench.values(function, seen)) is None:
            raise Rejected(RejectReason.MEMORISED, f"on fresh inputs: {nothing[1]}", {"rows": len(rows)})
    raise Rejected(*nothing, {"rows": len(rows)})


def admitted_module(code: Code, admission: Admission, proposer: str, **more: object) -> Generated:
    """Return the generated module that an accepted proposal is; `generated_files.save` writes it into a home.

    ``more`` are fields of `Generated`: about, parents, cycle.

    Raises:
        BadInput: It was not accepted.
    """
    if not admission.accepted:
        raise BadInput("", f"{code.label} was not admitted: {admission.sentence}", "")
    facts = {"name": code.name, "slot": code.slot, "kind": code.kind, "source": code.source, "proposer": proposer}
    found = {"tier": admission.tier, "numbers": dict(admission.numbers)}
    return Generated.model_validate(facts | found | more)
