"""What the ledger knows of the kernels of earlier cycles: which were proposed, what their trials showed.

A kernel's proposal is a journal row, the trial beside the same recipe without it another. The
archive is rebuilt from both, so that nothing but the ledger and the home's files is the truth.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metaevo.artifacts.bodies import BodyStore
from metaevo.artifacts.store import Store
from metaevo.ledger.journal import read_body
from metaevo.ledger.ledger import Ledger
from metaevo.ledger.proposed import StepRecord, measured_kernels, proposal_counts, proposals_of
from metaevo.registry import generated_files
from metaevo.registry.registry import Registry
from metaevo.synthesis.archive import Candidate, KernelArchive
from metaevo.synthesis.authors import Spent
from metaevo.synthesis.proposals import INFRASTRUCTURE, Cost, NoProposal

UNAVAILABLE = "sandbox unavailable"
"""Not a reason to reject: nothing was learnt about the proposal."""
WINDOW = 64
"""The newest measured kernels: from them the archive is made."""
IN_USE = 4
"""Kernels of earlier cycles that a search may use: every further one would displace another combination."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal and what became of it. ``reason`` is from a closed list; empty: it was admitted as ``name``."""

    kind: str
    slot: str
    name: str = ""
    candidate: Candidate | None = None
    reason: str = ""
    sentence: str = ""
    refusals: tuple[NoProposal, ...] = ()
    """What proposers before its author gave instead of a candidate."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    behaviour: tuple[float, ...] = ()
    tier: str = ""
    cost: Cost = field(default_factory=Cost)
    failures: int = 0
    """Failures of infrastructure in a row on the way to models, after this proposal."""

    @property
    def accepted(self) -> bool:
        """Return whether it was admitted."""
        return self.candidate is not None and not self.reason

    @property
    def label(self) -> str:
        """Return ``slot.name``."""
        return f"{self.slot}.{self.name}"

    def counts(self) -> dict[str, Any]:
        """Return what the journal row says of it."""
        made = self.candidate
        known: dict[str, Any] = {"id": made.id, "proposer": made.by} if made is not None else {}
        known |= {"model": made.model, "prompt": made.prompt} if made is not None and made.model else {}
        known |= {"calls": self.cost.calls, "author_tokens": self.cost.tokens} if self.cost.calls else {}
        refused = [f"{refusal.by}: {refusal.reason}" for refusal in self.refusals]
        said = {"kind": self.kind, "reason": self.reason} | ({"module": self.label} if self.accepted else {})
        return known | said | ({"before": refused} if refused else {})


def failures(refusals: Sequence[NoProposal], before: int) -> int:
    """Return how many failures of infrastructure in a row there are after these refusals."""
    for refusal in refusals:
        if refusal.reason in INFRASTRUCTURE:
            before += 1
        elif refusal.cost.calls:
            before = 0
    return before


def sum_spent(done: Sequence[Proposal]) -> Spent:
    """Return what a cycle's proposals took from models so far."""
    last = done[-1].failures if done else 0
    return Spent(sum(made.cost.calls for made in done), sum(made.cost.tokens for made in done), last)


def outcome_events(done: Sequence[Proposal]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (code, sentence, data) of each event that says what came of a cycle's proposals."""
    for author in sorted({refusal.by for made in done for refusal in made.refusals}):
        no = Counter(str(refusal.reason) for made in done for refusal in made.refusals if refusal.by == author)
        kernels = sum(made.candidate is not None and made.candidate.by == author for made in done)
        calls, tokens = sum(made.cost.calls for made in done), sum(made.cost.tokens for made in done)
        said = f"{author} was asked {calls} times and wrote {kernels} kernels; otherwise: {_counted(no)}"
        facts = {"author": author, "refused": dict(no), "kernels": kernels, "calls": calls, "tokens": tokens}
        yield "author_refused", said, facts
    names = [made.name for made in done if made.accepted]
    why = Counter(made.reason for made in done if made.reason)
    refused = f"; refused: {_counted(why)}" if why else ""
    which = f": {', '.join(names)}" if names else ""
    yield (
        "kernels_proposed",
        f"{len(done)} kernels proposed, {len(names)} admitted{which}{refused}",
        {"refused": dict(why)},
    )


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))


@dataclass(frozen=True, slots=True)
class Worth:
    """What the trials of one kernel showed. ``gain`` is None where its trial came to no score."""

    gain: float | None
    error: float


def known_ids(ledger: Ledger, before: int) -> frozenset[str]:
    """Return the ids of all candidates that earlier cycles judged, refused ones too."""
    rows = proposal_counts(ledger, before)
    return frozenset(row["id"] for row in rows if "id" in row and row["reason"] != UNAVAILABLE)


def worths(ledger: Ledger, before: int) -> dict[str, Worth]:
    """Return what was measured of each kernel in earlier cycles, by ``slot.name``, the newest `WINDOW`."""
    return {row.module: _worth(row) for row in measured_kernels(ledger, before, WINDOW)}


def _worth(row: StepRecord) -> Worth:
    return Worth(row.counts["gain"], row.counts["error"])


def archive_of(ledger: Ledger, store: Store, registry: Registry, before: int) -> KernelArchive:
    """Return the archive of the kernels that were measured in earlier cycles and may still be used.

    A kernel is tried in the cycle that proposed it, so the proposals of the cycles in the window are all there are.
    """
    measured = measured_kernels(ledger, before, WINDOW)
    known = {row.module: _worth(row) for row in measured}
    slots = {label.partition(".")[0] for label in known}
    usable = {f"{slot}.{name}" for slot in slots for name in registry.names(slot)}
    archive = KernelArchive()
    for row in proposals_of(ledger, {row.cycle for row in measured}):
        label = row.counts.get("module")
        worth = known.get(label) if label in usable else None
        if worth is None or worth.gain is None:
            continue
        proposal = read_body(row, BodyStore(store), Proposal)
        if proposal.candidate is not None:
            archive = archive.tell(proposal.candidate, worth.gain, proposal.behaviour, worth.error)
    return archive


def resting_modules(ledger: Ledger, registry: Registry, before: int) -> tuple[str, ...]:
    """Return the generated modules of earlier cycles that search leaves alone: those that measured worse than nothing,
    and all but the best `IN_USE` of the others. What a person adopted or wrote never rests.
    """
    if registry.home is None:
        return ()
    every = [
        made for made in generated_files.every_module(registry.home) if made.cycle is not None and made.cycle < before
    ]
    open_ = [made for made in every if made.state == "admitted"]
    known = worths(ledger, before) if open_ else {}
    fine = [(known.get(made.label, Worth(0.0, 0.0)).gain, made.cycle or 0, made.name) for made in open_]
    best = sorted(entry for entry in fine if entry[0] is not None and entry[0] >= 0)[-IN_USE:]
    return tuple(sorted({made.name for made in open_} - {name for _, _, name in best}))
