"""Language models that write kernels: what one may spend in a cycle, and how its work becomes a candidate.

A model's work is held to the contract by `reply.function_in` and is never run here. Whatever goes wrong on the way to
it, or in what it wrote, is a refusal with a reason: no author can stop a cycle.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, TypeAlias

from metaevo.effects import Policy
from metaevo.errors import EngineError
from metaevo.synthesis.archive import Candidate
from metaevo.synthesis.author_prompts import Asks, Sends, chat_prompt
from metaevo.synthesis.endpoint import Written
from metaevo.synthesis.proposals import (
    INFRASTRUCTURE,
    Cost,
    NoProposal,
    NoProposalReason,
    Outcome,
    Prompt,
    Proposed,
    Proposer,
    Request,
    Unproposed,
)
from metaevo.synthesis.reply import count_tokens, function_in
from metaevo.types import Generation
from objectives.types import Message, Messages

PATIENCE = 3
"""Failures of infrastructure in a row after which an author is not asked again."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a cycle's earlier proposals took from models: what a new author's budget begins with."""

    calls: int = 0
    tokens: int = 0
    failures: int = 0
    """Of infrastructure, in a row."""


Authors: TypeAlias = Callable[[Generation, Spent], Sequence[Proposer]]
"""Who is asked before the grammar: given the champion and what was spent in this cycle."""


def no_author(_champion: Generation, _spent: Spent) -> Sequence[Proposer]:
    """Return no author: the grammar alone writes."""
    return ()


@dataclass(slots=True)
class AuthorBudget:
    """What an author may use in one cycle. A cycle that is resumed gives what was spent before."""

    calls: int
    tokens: int
    spent_calls: int = 0
    spent_tokens: int = 0
    failures: int = 0
    """Of infrastructure, in a row."""

    def check(self, most_tokens: int) -> None:
        """Raise `Unproposed` where a call of at most so many tokens does not fit."""
        if self.failures >= PATIENCE:
            raise Unproposed(NoProposalReason.PAUSED, f"{self.failures} failures in a row")
        if self.spent_calls >= self.calls:
            raise Unproposed(NoProposalReason.BUDGET, f"{self.spent_calls} of {self.calls} calls spent")
        if self.spent_tokens + most_tokens > self.tokens:
            raise Unproposed(
                NoProposalReason.BUDGET,
                f"{self.spent_tokens} of {self.tokens} tokens spent, a call takes up to {most_tokens}",
            )

    def spend(self, cost: Cost) -> None:
        """Count what a proposal took."""
        self.spent_calls += cost.calls
        self.spent_tokens += cost.tokens


class Author(Protocol):
    """A language model that answers one letter: `endpoint.Endpoint`, or `Champion`."""

    @property
    def name(self) -> str:
        """Return what provenance calls it."""

    @property
    def model(self) -> str:
        """Return which model writes: as the endpoint calls it, or the generation."""

    @property
    def max_tokens(self) -> int:
        """Return how many tokens a reply may have."""

    def write(self, asked: Prompt, seed: int) -> Written:
        """Return the reply.

        Raises:
            Unproposed: Infrastructure failed, with the reason.
        """


@dataclass(frozen=True, slots=True)
class Champion:
    """The model that evolves as an author, through its engine. The host writes the first line of its reply."""

    model: str
    policy: Callable[[int], Policy]
    """Gives the model, sampling from this seed on."""
    max_tokens: int = 512
    temperature: float = 0.8

    @property
    def name(self) -> str:
        """Return champion."""
        return "champion"

    def write(self, asked: Prompt, seed: int) -> Written:
        """Return one sampled reply, its given first line included.

        Raises:
            Unproposed: The engine failed, or the letter leaves no room in what the model can see.
        """
        begun = (*asked.messages, Message("assistant", asked.opening))
        policy, most = self.policy(seed), self.max_tokens
        try:
            ((made,),) = policy.sample([begun], n=1, temperature=self.temperature, max_tokens=most, stop=asked.stop)
        except EngineError as error:
            raise Unproposed(NoProposalReason.ENGINE, f"{type(error).__name__}: {error}") from None
        if made.finish == "length" and not made.tokens:
            raise Unproposed(NoProposalReason.NO_ROOM, f"a letter of {len(asked.messages[-1].content)} characters")
        return Written(asked.opening + made.text, _most(begun, made.tokens))


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model as a proposer: asks its author, holds the reply to the contract, counts what was spent."""

    author: Author
    budget: AuthorBudget
    sends: Sends = "code"
    asks: Asks = chat_prompt

    @property
    def name(self) -> str:
        """Return the author's name."""
        return self.author.name

    def propose(self, request: Request, rng: Random) -> Outcome:
        """Return the candidate in the author's reply, or why there is none; at most one call."""
        asked, seed = self.asks(request, self.sends), rng.getrandbits(31)
        most = _most(asked.messages, self.author.max_tokens)
        cost = Cost()
        try:
            self.budget.check(most)
            cost = Cost(1, most)  # also where the author fails: nobody says then what it took
            written = self.author.write(asked, seed)
            cost = Cost(1, most if written.tokens is None else written.tokens)
            self.budget.failures = 0
            return Proposed(self._candidate(written.text, asked, request), cost)
        except Unproposed as failure:
            self.budget.failures += failure.reason in INFRASTRUCTURE
            return NoProposal(self.name, failure.reason, failure.detail, cost)
        finally:
            self.budget.spend(cost)

    def _candidate(self, text: str, asked: Prompt, request: Request) -> Candidate:
        code = function_in(text, request.contract)
        made = Candidate(
            request.kind,
            code,
            count_tokens(code),
            self.name,
            parents=tuple(parent.candidate.id for parent in asked.parents),
            saw_rows=asked.rows or any(parent.candidate.saw_rows for parent in asked.parents),
            model=self.author.model,
            prompt=asked.digest,
        )
        if made.id in request.known:
            raise Unproposed(NoProposalReason.KNOWN, made.id)
        return made


def _most(messages: Messages, written: int) -> int:
    """Return the most tokens a call can take: a token has at least one byte of the letter."""
    return sum(len(message.content.encode()) for message in messages) + written
