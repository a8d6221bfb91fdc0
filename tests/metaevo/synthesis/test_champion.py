"""The champion as an author: what it is asked, how its reply is begun and ended, and what its engine may do wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from metaevo.errors import EngineTimeout
from metaevo.synthesis import grammar
from metaevo.synthesis.author_prompts import chat_prompt, line_prompt
from metaevo.synthesis.authors import PATIENCE, AuthorBudget, Champion, LanguageModel
from metaevo.synthesis.proposals import NoProposal, NoProposalReason, Proposed, Request
from metaevo.synthesis.tree import from_json
from metaevo.types import Completion
from objectives.types import Message, Messages
from tests.metaevo.synthesis.test_proposer import ANY, GOOD, PLAIN, REQUEST, SEEN


@dataclass(frozen=True, slots=True)
class Fixed:
    """A policy that goes on with one text, or fails."""

    text: str = ""
    fails: bool = False
    finish: Any = "stop"
    heard: list[Any] = field(default_factory=list)
    id: str = "g000003"

    def sample(self, prompts_P: Sequence[Messages], *, n: int = 1, **how: Any) -> list[list[Completion]]:
        if self.fails:
            raise EngineTimeout("no answer within 3 s")
        self.heard.append((*prompts_P, n, how))
        return [[Completion(self.text, 33 if self.text else 0, finish=self.finish)]]

    def score(self, prompts_P: Sequence[Messages], completions_P: Sequence[str]) -> list[Completion]:
        raise NotImplementedError

    def embed(self, texts_R: Sequence[str]) -> list[list[float]]:
        raise NotImplementedError


def champion(policy: Fixed, asks: Any = chat_prompt) -> LanguageModel:
    return LanguageModel(Champion("g000003", lambda _seed: policy, max_tokens=200), AuthorBudget(9, 10**6), asks=asks)


HEAD, BODY = GOOD[: GOOD.index(":") + 1], GOOD[GOOD.index(":") + 1 :]


def test_the_champion_goes_on_with_a_first_line_that_the_host_wrote() -> None:
    policy = Fixed(BODY)
    outcome = champion(policy).propose(REQUEST, Random(1))
    assert isinstance(outcome, Proposed)
    made, wrote = outcome.candidate, chat_prompt(REQUEST, "code")
    assert (made.by, made.source, made.model, made.prompt) == ("champion", GOOD, "g000003", wrote.digest)
    ((said, n, how),) = policy.heard
    assert said == (*wrote.messages, Message("assistant", f"```python\n{HEAD}"))
    assert (n, how) == (1, {"temperature": 0.8, "max_tokens": 200, "stop": ("```",)})


def test_the_champion_samples_from_the_proposal_s_own_stream() -> None:
    seeds: list[int] = []

    def writes(seed: int) -> Fixed:
        seeds.append(seed)
        return Fixed(BODY)

    for stream in (1, 1, 2):
        LanguageModel(Champion("g000003", writes), AuthorBudget(9, 10**6)).propose(ANY, Random(stream))
    assert seeds[0] == seeds[1] != seeds[2]


def test_a_model_that_learnt_the_grammar_gets_its_line_with_the_words_of_one_parent() -> None:
    policy = Fixed(BODY)
    outcome = champion(policy, line_prompt).propose(Request("keep", (SEEN, PLAIN)), Random(1))
    assert isinstance(outcome, Proposed)
    words = " ".join(grammar.words(from_json(PLAIN.candidate.tree)))
    assert policy.heard[0][0] == (Message("user", f"keep(row): {words}"), Message("assistant", HEAD))
    assert (outcome.candidate.source, outcome.candidate.parents) == (GOOD, (PLAIN.candidate.id,))
    assert outcome.cost.tokens == len(f"keep(row): {words}{HEAD}") + 33
    alone = line_prompt(Request("keep", (SEEN,)), "rows")
    assert (alone.messages[0].content, alone.parents) == ("keep(row)", ())


def test_an_engine_that_fails_and_a_letter_without_room_are_infrastructure() -> None:
    for policy, reason in (
        (Fixed(fails=True), NoProposalReason.ENGINE),
        (Fixed(finish="length"), NoProposalReason.NO_ROOM),
    ):
        proposer = champion(policy)
        outcomes = [proposer.propose(Request("keep"), Random(at)) for at in range(PATIENCE + 1)]
        assert [outcome.reason for outcome in outcomes] == [reason] * PATIENCE + [NoProposalReason.PAUSED]  # type: ignore[union-attr]
    assert isinstance(champion(Fixed("", finish="stop")).propose(ANY, Random(1)), NoProposal)
    assert "EngineTimeout" in champion(Fixed(fails=True)).propose(ANY, Random(1)).detail  # type: ignore[union-attr]
