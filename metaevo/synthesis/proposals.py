"""What a proposer is asked and what it answers: a candidate, or a refusal with a reason from a closed list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Protocol, TypeAlias

from metaevo.artifacts.fingerprint import fingerprint
from metaevo.kernels import CONTRACTS, Contract
from metaevo.synthesis.archive import Candidate, Elite
from objectives.types import Json, Messages

DETAIL_CHARS = 200


class NoProposalReason(StrEnum):
    """Why there is no candidate. None of these is a score: a refused proposal is never told to the archive."""

    EMPTY = "empty"
    """The reply has no text."""
    TOO_LONG = "too_long"
    """The reply or the function is longer than the cap."""
    NO_FUNCTION = "no_function"
    """No function of the asked name is in it."""
    MANY_FUNCTIONS = "many_functions"
    """More than one function, or one inside another."""
    SIGNATURE = "signature"
    """The function takes other arguments than the contract says."""
    OTHER_CODE = "other_code"
    """Something beside imports and the function."""
    NO_PYTHON = "no_python"
    """It does not parse."""
    TOO_DEEP = "too_deep"
    """Brackets, blocks or operators nest too deeply."""
    IMPORTS = "imports"
    """It imports what a kernel may not."""
    LONG_TEXT = "long_text"
    """It carries more text in constants than a kernel needs."""
    KNOWN = "known"
    """It was proposed before."""
    BUDGET = "budget"
    """The cycle's calls or tokens for proposals are spent."""
    PAUSED = "paused"
    """Too many failures in a row: it is not asked again in this cycle."""
    TIMEOUT = "timeout"
    """No whole answer within the deadline."""
    UNREACHABLE = "unreachable"
    """No connection, or it broke."""
    HTTP_ERROR = "http_error"
    """A status other than 200."""
    BAD_RESPONSE = "bad_response"
    """The answer is not the JSON that was agreed on."""
    TOO_LARGE = "too_large"
    """More bytes than the cap."""
    KEY = "key"
    """The endpoint's key is gone, or no line of printable ASCII."""
    ENGINE = "engine"
    """The champion's engine failed."""
    NO_ROOM = "no_room"
    """The letter fills all that the champion can see."""


INFRASTRUCTURE = frozenset(
    {
        *(
            NoProposalReason.TIMEOUT,
            NoProposalReason.UNREACHABLE,
            NoProposalReason.HTTP_ERROR,
            NoProposalReason.BAD_RESPONSE,
            NoProposalReason.TOO_LARGE,
        ),
        *(NoProposalReason.KEY, NoProposalReason.ENGINE, NoProposalReason.NO_ROOM),
    }
)
"""Reasons that say something about the way to the author, nothing about what it wrote."""


class Unproposed(Exception):
    """There is no candidate: `NoProposal` as it travels inside a proposer. ``detail`` is cut and made printable."""

    def __init__(self, reason: NoProposalReason, detail: str = "") -> None:
        self.reason = reason
        self.detail = "".join(c if c.isprintable() else " " for c in detail[:DETAIL_CHARS])
        super().__init__(f"{reason}: {self.detail}")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a proposal took: calls of a model, and tokens read and written as far as known, else an upper bound."""

    calls: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted: a kernel of a kind, beside its parents, that is not among the ``known`` ids.

    ``rows`` are redacted train rows as kernels see them, for authors that may see any.
    """

    kind: str
    parents: tuple[Elite, ...] = ()
    known: frozenset[str] = frozenset()
    rows: tuple[Mapping[str, Json], ...] = ()

    @property
    def contract(self) -> Contract:
        """Return what the kernel must be."""
        return CONTRACTS[self.kind]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an author is asked, and what it shows: ``parents``, and whether ``rows``.

    A model of ours gets its reply begun with ``opening``, and ended before a text of ``stop``.
    """

    messages: Messages
    opening: str
    stop: tuple[str, ...] = ()
    parents: tuple[Elite, ...] = ()
    rows: bool = False

    @property
    def digest(self) -> str:
        """Return 16 hex digits of what was asked: provenance keeps them."""
        return fingerprint(self.messages)


@dataclass(frozen=True, slots=True)
class Proposed:
    """A candidate that has the contract's form. Nothing is known yet about what it does."""

    candidate: Candidate
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class NoProposal:
    """No candidate, by whom and why; ``detail`` is short and printable, for people."""

    by: str
    reason: NoProposalReason
    detail: str = ""
    cost: Cost = Cost()

    @property
    def infrastructure(self) -> bool:
        """Return whether it says nothing about the author's work."""
        return self.reason in INFRASTRUCTURE


Outcome: TypeAlias = Proposed | NoProposal


class Proposer(Protocol):
    """Something that writes kernels. It raises nothing for what a model or a network does wrong."""

    @property
    def name(self) -> str:
        """Return who it is: grammar, champion or endpoint."""

    def propose(self, request: Request, rng: Random) -> Outcome:
        """Return one candidate or one refusal, within the proposer's own limits."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What asking proposers in turn gave: the first candidate, and the refusals before it."""

    proposed: Proposed | None
    refusals: tuple[NoProposal, ...] = ()


def in_turn(proposers: Sequence[Proposer], request: Request, rng: Random) -> Turns:
    """Return the first candidate: with the grammar last in line, a model that fails never stops synthesis."""
    refusals: list[NoProposal] = []
    for proposer in proposers:
        outcome = proposer.propose(request, rng)
        if isinstance(outcome, Proposed):
            return Turns(outcome, tuple(refusals))
        refusals.append(outcome)
    return Turns(None, tuple(refusals))
